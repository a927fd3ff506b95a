package client

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
)

const (
	// cleanUp bounds the last statements when the loop has ended.
	cleanUp = 5 * time.Second
	// grace is the time that a statement on the client's one connection has to finish after ctx ends: pgx closes a connection
	// that is interrupted.
	grace = time.Second
)

// wakeups tells Watch that lines were written, anywhere in the schema. A wake-up carries no data and may be lost: Watch reads
// the table after each wake-up and, more rarely, without one. See wakeupLease for when writers notify.
//
// While Watch yields lines, no connection may LISTEN unread: the socket would fill up, and the server process behind it would
// hold a snapshot. So either a goroutine of its own reads the connection (poolWakeups), or the connection stops to LISTEN
// before the yield (connWakeups).
type wakeups interface {
	// wait returns when a wake-up has arrived since the last wait, or after d.
	wait(ctx context.Context, d time.Duration) error
	// suspend is called before lines are yielded.
	suspend(ctx context.Context)
	// bound returns the context for one statement.
	bound(ctx context.Context) (context.Context, context.CancelFunc)
	// broken reports whether the database cannot be reached any more.
	broken() bool
	// close frees everything, also when ctx has ended.
	close()
}

// newWakeups returns the implementation that fits the client's DB.
func (c *Client) newWakeups(ctx context.Context) (wakeups, error) {
	const inTx = "Watch cannot follow what others commit from inside a transaction; use a client on the pool"
	switch db := c.db.(type) {
	case pgx.Tx:
		return nil, invalid(inTx)
	case *pgxpool.Pool:
		if !c.config.PollOnly {
			return newPoolWakeups(ctx, db, c.schema), nil
		}
	case interface{ Conn() *pgx.Conn }: // *pgxpool.Conn
		return newConnWakeups(db.Conn(), c, inTx)
	case *pgx.Conn:
		return newConnWakeups(db, c, inTx)
	}
	return noWakeups{}, nil
}

// noWakeups has no wake-ups: Watch polls.
type noWakeups struct{}

func (noWakeups) wait(ctx context.Context, d time.Duration) error { return backoff.Wait(ctx, d) }
func (noWakeups) suspend(context.Context)                         {}
func (noWakeups) broken() bool                                    { return false }
func (noWakeups) close()                                          {}

func (noWakeups) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, readTimeout)
}

// poolWakeups listens on a connection of its own, in a goroutine that ends with close.
type poolWakeups struct {
	noWakeups
	pool   *pgxpool.Pool
	schema string // quoted, and the channel's name too
	woken  notify.Signal
	cancel context.CancelFunc
	done   chan struct{}
}

func newPoolWakeups(ctx context.Context, pool *pgxpool.Pool, schema string) *poolWakeups {
	ctx, cancel := context.WithCancel(ctx)
	b := &poolWakeups{pool: pool, schema: schema, woken: notify.NewSignal(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		retry := backoff.Growing{Least: minRetry, Most: maxRetry}
		for {
			began := time.Now()
			b.listen(ctx)
			if time.Since(began) > maxRetry {
				retry.Reset()
			}
			if backoff.Wait(ctx, retry.Next()) != nil {
				return
			}
		}
	}()
	return b
}

// listen receives wake-ups until the connection breaks or ctx ends. It drops the error: Watch polls meanwhile, and returns
// an error of its own reads.
func (b *poolWakeups) listen(ctx context.Context) {
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
	b.woken.Set() // for the lines written before
	_ = b.receive(ctx, conn)
}

// receive passes on each wake-up until something fails.
func (b *poolWakeups) receive(ctx context.Context, conn *pgx.Conn) error {
	lease := newWakeupLease(conn, b.schema)
	for {
		taken, err := lease.take(ctx)
		if err != nil {
			return err
		}
		most := tryAgain
		if lease.held {
			most = checkEvery
		}
		if taken {
			b.woken.Set() // for the lines written before
		}
		limited, cancel := context.WithTimeout(ctx, most)
		err = awaitWakeup(limited, conn)
		silent := limited.Err() != nil && ctx.Err() == nil && !conn.IsClosed()
		cancel()
		switch {
		case err == nil:
			b.woken.Set()
			err = lease.count(ctx)
		case silent:
			err = nil // the next query of the lock or the queue shows whether the connection works
		}
		if err != nil {
			return err
		}
	}
}

func (b *poolWakeups) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.woken:
		return nil
	case <-timer.C:
		return nil
	}
}

func (b *poolWakeups) close() {
	b.cancel()
	<-b.done
}

// connWakeups listens on the client's one connection, and only while Watch waits.
type connWakeups struct {
	conn      *pgx.Conn
	channel   string // quoted
	pollOnly  bool
	listening bool
	lease     *wakeupLease
}

func newConnWakeups(conn *pgx.Conn, c *Client, inTx string) (wakeups, error) {
	if conn.PgConn().TxStatus() != 'I' && !conn.IsClosed() {
		return nil, invalid(inTx)
	}
	return &connWakeups{conn: conn, channel: c.schema, pollOnly: c.config.PollOnly, lease: newWakeupLease(conn, c.schema)}, nil
}

func (b *connWakeups) broken() bool { return b.conn.IsClosed() }

// bound gives a running statement a moment to finish after ctx ends, so that the connection outlives Watch.
func (b *connWakeups) bound(ctx context.Context) (context.Context, context.CancelFunc) {
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

func (b *connWakeups) wait(ctx context.Context, d time.Duration) error {
	if b.pollOnly {
		return backoff.Wait(ctx, d)
	}
	bound, done := b.bound(ctx)
	defer done()
	if !b.listening {
		if _, err := b.conn.Exec(bound, "listen "+b.channel); err != nil {
			return dbError("listen", err)
		}
		b.listening = true
		_, err := b.lease.take(bound)
		return dbError("listen", err) // a read is due, for the lines written before
	}
	if taken, err := b.lease.take(bound); taken || err != nil {
		return dbError("listen", err)
	}
	if !b.lease.held {
		d = min(d, time.Until(b.lease.next))
	}
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := awaitWakeup(limited, b.conn)
	switch {
	case err == nil:
		b.drain()
		bound, done := b.bound(ctx)
		defer done()
		return dbError("listen", b.lease.count(bound))
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) && !b.conn.IsClosed():
		return nil
	}
	return dbError("listen", err)
}

func (b *connWakeups) suspend(ctx context.Context) {
	if !b.listening || b.conn.IsClosed() {
		return
	}
	ctx, done := b.bound(ctx)
	defer done()
	if _, err := b.conn.Exec(ctx, "unlisten "+b.channel); err == nil {
		b.listening = false
	}
	_ = b.lease.release(ctx)
	b.drain()
}

// awaitWakeup returns when a wake-up arrives on conn. A wake-up carries no payload; a notification that carries one is the
// probe of a sidecar, and is ignored.
func awaitWakeup(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil || notify.IsWakeup(n) {
			return err
		}
	}
}

// drain drops the notifications that have already arrived; the next read covers all of them.
func (b *connWakeups) drain() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if n, err := b.conn.WaitForNotification(ended); n == nil || err != nil {
			return
		}
	}
}

func (b *connWakeups) close() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUp)
	defer cancel()
	b.suspend(ctx)
}
