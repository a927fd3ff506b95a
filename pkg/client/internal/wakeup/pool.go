package wakeup

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/pkg/client/internal/poolconn"
)

// minRetry and maxRetry bound the growing delay before LISTEN is tried again.
const minRetry, maxRetry = 50 * time.Millisecond, 5 * time.Second

// pooled listens on a connection of its own, in a goroutine that ends with Close.
type pooled struct {
	polling
	pool   *pgxpool.Pool
	schema string // quoted, and the channel's name too
	woken  notify.Signal
	cancel context.CancelFunc
	done   chan struct{}
}

func newPooled(ctx context.Context, pool *pgxpool.Pool, schema string) *pooled {
	ctx, cancel := context.WithCancel(ctx)
	p := &pooled{pool: pool, schema: schema, woken: notify.NewSignal(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		retry := backoff.Growing{Least: minRetry, Most: maxRetry}
		for {
			began := time.Now()
			p.listen(ctx)
			if time.Since(began) > maxRetry {
				retry.Reset()
			}
			if backoff.Wait(ctx, retry.Next()) != nil {
				return
			}
		}
	}()
	return p
}

// listen receives wake-ups until the connection breaks or ctx ends. It drops the error: Watch polls meanwhile, and returns
// an error of its own reads.
func (p *pooled) listen(ctx context.Context) {
	borrowed, err := p.pool.Acquire(ctx)
	if err != nil {
		return
	}
	conn := borrowed.Hijack() // waiting for hours must not use up the pool
	defer func() { _ = poolconn.Close(ctx, conn) }()
	if _, err := conn.Exec(ctx, "listen "+p.schema); err != nil {
		return
	}
	p.woken.Set() // for the lines written before
	_ = p.receive(ctx, conn)
}

// receive passes on each wake-up until something fails.
func (p *pooled) receive(ctx context.Context, conn *pgx.Conn) error {
	lease := newLease(conn, p.schema)
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
			p.woken.Set() // for the lines written before
		}
		limited, cancel := context.WithTimeout(ctx, most)
		err = awaitWakeup(limited, conn)
		silent := limited.Err() != nil && ctx.Err() == nil && !conn.IsClosed()
		cancel()
		switch {
		case err == nil:
			p.woken.Set()
			err = lease.count(ctx)
		case silent:
			err = nil // the next query of the lock or the queue shows whether the connection works
		}
		if err != nil {
			return err
		}
	}
}

// Wait implements Wakeups.
func (p *pooled) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.woken:
		return nil
	case <-timer.C:
		return nil
	}
}

// Close implements Wakeups.
func (p *pooled) Close() {
	p.cancel()
	<-p.done
}
