package client

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// cleanUp bounds a good-bye to the database when the loop has ended.
	cleanUp = 5 * time.Second
	// grace is what a statement on the client's one connection has left to finish when ctx ends: pgx closes a connection
	// that is interrupted.
	grace = time.Second
)

// bell tells Watch that something was written, anywhere in the schema. It carries nothing and may fail to ring: Watch
// reads the table after each ring and, more rarely, without one. See hook for when it rings.
//
// While lines are given out nobody reads from a connection of bell's that LISTENs; the socket would fill up, and the
// server process behind it hold a snapshot. So either a goroutine of its own reads it (poolBell), or it stops to LISTEN
// before (connBell).
type bell interface {
	// wait returns when it rang since the last wait, or after d.
	wait(ctx context.Context, d time.Duration) error
	// hush is called before lines are given out.
	hush(ctx context.Context)
	// bound returns the context for one statement.
	bound(ctx context.Context) (context.Context, context.CancelFunc)
	// broken reports whether the database cannot be reached any more.
	broken() bool
	// close frees everything, also when ctx has ended.
	close()
}

// newBell returns the bell that fits the client's DB.
func (c *Client) newBell(ctx context.Context) (bell, error) {
	const inTx = "Watch cannot follow what others commit from inside a transaction; use a client on the pool"
	switch db := c.db.(type) {
	case pgx.Tx:
		return nil, invalid(inTx)
	case *pgxpool.Pool:
		if !c.config.PollOnly {
			return newPoolBell(ctx, db, c.schema), nil
		}
	case interface{ Conn() *pgx.Conn }: // *pgxpool.Conn
		return newConnBell(db.Conn(), c, inTx)
	case *pgx.Conn:
		return newConnBell(db, c, inTx)
	}
	return pollBell{}, nil
}

// pollBell never rings.
type pollBell struct{}

func (pollBell) wait(ctx context.Context, d time.Duration) error { return pause(ctx, d) }
func (pollBell) hush(context.Context)                            {}
func (pollBell) broken() bool                                    { return false }
func (pollBell) close()                                          {}

func (pollBell) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, readTimeout)
}

// poolBell listens on a connection of its own, in a goroutine that ends with close.
type poolBell struct {
	pollBell
	pool   *pgxpool.Pool
	schema string // quoted, and the channel's name too
	rung   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

func newPoolBell(ctx context.Context, pool *pgxpool.Pool, schema string) *poolBell {
	ctx, cancel := context.WithCancel(ctx)
	b := &poolBell{pool: pool, schema: schema, rung: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		retry := delay{min: minRetry, max: maxRetry}
		for {
			began := time.Now()
			b.listen(ctx)
			if time.Since(began) > maxRetry {
				retry.reset()
			}
			if pause(ctx, retry.grow()) != nil {
				return
			}
		}
	}()
	return b
}

// listen rings until the connection breaks or ctx ends. What went wrong is of no interest: Watch reads by itself
// meanwhile, and meets it there.
func (b *poolBell) listen(ctx context.Context) {
	pooled, err := b.pool.Acquire(ctx)
	if err != nil {
		return
	}
	conn := pooled.Hijack() // waiting for hours must not use up the pool
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "listen "+b.schema); err != nil {
		return
	}
	b.ring() // for what was written before
	_ = b.hear(ctx, conn)
}

// hear rings for each notification until something fails.
func (b *poolBell) hear(ctx context.Context, conn *pgx.Conn) error {
	hook := newHook(conn, b.schema)
	for {
		taken, err := hook.take(ctx)
		if err != nil {
			return err
		}
		patience := tryAgain
		if hook.held {
			patience = checkEvery
		}
		if taken {
			b.ring() // for what was written before
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		err = awaitWakeup(limited, conn)
		silent := limited.Err() != nil && ctx.Err() == nil && !conn.IsClosed()
		cancel()
		switch {
		case err == nil:
			b.ring()
			err = hook.rang(ctx)
		case silent:
			err = nil // the next look at the lock or the queue finds out whether the connection lives
		}
		if err != nil {
			return err
		}
	}
}

func (b *poolBell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

func (b *poolBell) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.rung:
		return nil
	case <-timer.C:
		return nil
	}
}

func (b *poolBell) close() {
	b.cancel()
	<-b.done
}

// connBell listens on the client's one connection, and only while Watch waits.
type connBell struct {
	conn      *pgx.Conn
	channel   string // quoted
	pollOnly  bool
	listening bool
	hook      *hook
}

func newConnBell(conn *pgx.Conn, c *Client, inTx string) (bell, error) {
	if conn.PgConn().TxStatus() != 'I' && !conn.IsClosed() {
		return nil, invalid(inTx)
	}
	return &connBell{conn: conn, channel: c.schema, pollOnly: c.config.PollOnly, hook: newHook(conn, c.schema)}, nil
}

func (b *connBell) broken() bool { return b.conn.IsClosed() }

// bound leaves a statement that runs when ctx ends a moment to finish, so that the connection outlives Watch.
func (b *connBell) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return context.WithCancel(ctx)
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return bound, func() {
		forget()
		cancel()
	}
}

func (b *connBell) wait(ctx context.Context, d time.Duration) error {
	if b.pollOnly {
		return pause(ctx, d)
	}
	bound, done := b.bound(ctx)
	defer done()
	if !b.listening {
		if _, err := b.conn.Exec(bound, "listen "+b.channel); err != nil {
			return dbError("listen", err)
		}
		b.listening = true
		_, err := b.hook.take(bound)
		return dbError("listen", err) // a read is due, for what was written before
	}
	if taken, err := b.hook.take(bound); taken || err != nil {
		return dbError("listen", err)
	}
	if !b.hook.held {
		d = min(d, time.Until(b.hook.next))
	}
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := awaitWakeup(limited, b.conn)
	switch {
	case err == nil:
		b.drain()
		bound, done := b.bound(ctx)
		defer done()
		return dbError("listen", b.hook.rang(bound))
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) && !b.conn.IsClosed():
		return nil
	}
	return dbError("listen", err)
}

func (b *connBell) hush(ctx context.Context) {
	if !b.listening || b.conn.IsClosed() {
		return
	}
	ctx, done := b.bound(ctx)
	defer done()
	if _, err := b.conn.Exec(ctx, "unlisten "+b.channel); err == nil {
		b.listening = false
	}
	_ = b.hook.release(ctx)
	b.drain()
}

// awaitWakeup returns when a wake-up arrives on conn. A wake-up carries no payload; a notification that carries one is the
// probe of a sidecar, and is ignored.
func awaitWakeup(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil || n.Payload == "" {
			return err
		}
	}
}

// drain drops the notifications that have already arrived; the next read is for all of them.
func (b *connBell) drain() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if n, err := b.conn.WaitForNotification(ended); n == nil || err != nil {
			return
		}
	}
}

func (b *connBell) close() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUp)
	defer cancel()
	b.hush(ctx)
}
