package tail

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// clock turns Postgres's times into this machine's, so that the age of a line can be told. created_at is read from
// Postgres's clock when a line is written, and the two clocks may be seconds apart.
type clock struct {
	ahead   atomic.Int64 // of Postgres's clock, in nanoseconds
	metrics *tailMetrics
}

// set asks Postgres for the time, in one round trip: a session that is killed again and again must get to reading. The
// answer is exact to half of what that takes.
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

var createdAt = []byte(`"created_at": "`)

// written is when a line was written, in Unix nanoseconds of this machine's clock; 0 where its JSON does not say.
func (c *clock) written(line []byte) int64 {
	// The last one: jsonb sorts its keys by length, so nothing but the percentage follows, while data, which may hold the
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

// lag is how far a read of the tail was behind.
type lag struct {
	lines  int
	oldest int64 // when it was written, as clock has it
}

func (l *lag) add(writtenAt int64) {
	l.lines++
	if writtenAt != 0 && (l.oldest == 0 || writtenAt < l.oldest) {
		l.oldest = writtenAt
	}
}

// seconds is the age of the oldest line now.
func (l *lag) seconds() float64 {
	if l.oldest == 0 {
		return 0
	}
	return max(0, time.Duration(time.Now().UnixNano()-l.oldest).Seconds())
}
