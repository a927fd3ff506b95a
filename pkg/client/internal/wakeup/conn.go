package wakeup

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/backoff"
)

// grace is the time that a statement on the client's one connection has to finish after ctx ends: pgx closes a connection
// that is interrupted.
const grace = time.Second

// single listens on the client's one connection, and only while Watch waits.
type single struct {
	conn      *pgx.Conn
	channel   string // quoted
	pollOnly  bool
	listening bool
	lease     *lease
}

func newSingle(conn *pgx.Conn, schema string, pollOnly bool) (wakeups Wakeups, ok bool) {
	if conn.PgConn().TxStatus() != 'I' && !conn.IsClosed() {
		return nil, false
	}
	return &single{conn: conn, channel: schema, pollOnly: pollOnly, lease: newLease(conn, schema)}, true
}

// Broken implements Wakeups.
func (s *single) Broken() bool { return s.conn.IsClosed() }

// Bound implements Wakeups. It gives a running statement a moment to finish after ctx ends, so that the connection outlives Watch.
func (s *single) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return context.WithCancel(ctx)
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return bound, func() {
		forget()
		cancel()
	}
}

// Wait implements Wakeups.
func (s *single) Wait(ctx context.Context, d time.Duration) error {
	if s.pollOnly {
		return backoff.Wait(ctx, d)
	}
	bound, done := s.Bound(ctx)
	defer done()
	if !s.listening {
		if _, err := s.conn.Exec(bound, "listen "+s.channel); err != nil {
			return err
		}
		s.listening = true
		_, err := s.lease.take(bound)
		return err // a read is due, for the lines written before
	}
	if taken, err := s.lease.take(bound); taken || err != nil {
		return err
	}
	if !s.lease.held {
		d = min(d, time.Until(s.lease.next))
	}
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := awaitWakeup(limited, s.conn)
	switch {
	case err == nil:
		s.drain()
		bound, done := s.Bound(ctx)
		defer done()
		return s.lease.count(bound)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) && !s.conn.IsClosed():
		return nil
	}
	return err
}

// Suspend implements Wakeups.
func (s *single) Suspend(ctx context.Context) {
	if !s.listening || s.conn.IsClosed() {
		return
	}
	ctx, done := s.Bound(ctx)
	defer done()
	if _, err := s.conn.Exec(ctx, "unlisten "+s.channel); err == nil {
		s.listening = false
	}
	_ = s.lease.release(ctx)
	s.drain()
}

// drain drops the notifications that have already arrived; the next read covers all of them.
func (s *single) drain() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if n, err := s.conn.WaitForNotification(ended); n == nil || err != nil {
			return
		}
	}
}

// Close implements Wakeups.
func (s *single) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUp)
	defer cancel()
	s.Suspend(ctx)
}
