package tail

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// clock converts Postgres's times to this machine's, to compute the age of a line. created_at comes from Postgres's clock, and
// the two clocks may be seconds apart.
type clock struct {
	ahead   atomic.Int64 // of Postgres's clock, in nanoseconds
	metrics *tailMetrics
}

// set asks Postgres for the time, in one round trip, so that a session that is killed repeatedly still gets to read. The
// answer is exact to half the round trip.
func (c *clock) set(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var theirs time.Time
	began := time.Now()
	err := conn.QueryRow(ctx, "select pg_catalog.clock_timestamp()", pgx.QueryExecModeSimpleProtocol).Scan(&theirs)
	if err != nil {
		return err
	}
	ahead := theirs.Sub(began.Add(time.Since(began) / 2))
	c.ahead.Store(int64(ahead))
	c.metrics.clock.Set(ahead.Seconds())
	return nil
}

// now returns the time of Postgres's clock.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

var createdAt = []byte(`"created_at": "`)

// written returns when a line was written, in Unix nanoseconds of this machine's clock; 0 where its JSON has no time.
func (c *clock) written(line []byte) int64 {
	// The last one: jsonb sorts its keys by length, so only percentage and cancel_requested follow. data, which may hold the
	// same words, comes before.
	_, text, found := cutLast(line, createdAt)
	if !found {
		return 0
	}
	text, _, _ = bytes.Cut(text, []byte{'"'})
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return 0
	}
	return at.UnixNano() - c.ahead.Load()
}

func cutLast(b, sep []byte) (before, after []byte, found bool) {
	i := bytes.LastIndex(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+len(sep):], true
}

// lag is the delay of a read of the tail.
type lag struct {
	lines  int
	oldest int64 // when it was written, as returned by clock
}

func (l *lag) add(writtenAt int64) {
	l.lines++
	if writtenAt != 0 && (l.oldest == 0 || writtenAt < l.oldest) {
		l.oldest = writtenAt
	}
}

// seconds returns the age of the oldest line now.
func (l *lag) seconds() float64 {
	if l.oldest == 0 {
		return 0
	}
	return max(0, time.Duration(time.Now().UnixNano()-l.oldest).Seconds())
}
