// Package poolconn opens connections with the settings of a pool, but beside it: for work that must not wait for a connection of the
// pool, because its user may hold all of them. It bounds how many are open in a process for short work (Source).
//
// May import: nothing of this module; pgx.
package poolconn

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// acquireTimeout is how long Acquire waits for a connection of the pool before it opens one beside it, and starvedTimeout
	// after a call that had to do so.
	acquireTimeout, starvedTimeout = time.Second, 50 * time.Millisecond
	// maxBeside bounds the connections that all sources of the process have open beside their pools.
	maxBeside = 4
	// closeTimeout bounds the end of a connection.
	closeTimeout = 5 * time.Second
)

// beside has a place for each connection beside a pool.
var beside = make(chan struct{}, maxBeside)

// Source gives one goroutine a connection at a time.
type Source struct {
	Pool    *pgxpool.Pool
	starved bool // the pool had no free connection for the last call
}

// Acquire returns a connection of the pool, and a function that frees it. Where the pool has none free, as when work holds them
// all, it opens one beside the pool, once fewer than maxBeside are open. So it does where the pool is closed: the last lines of a
// run, and its end, are stored all the same.
func (s *Source) Acquire(ctx context.Context) (conn *pgx.Conn, free func(), err error) {
	wait := acquireTimeout
	if s.starved {
		wait = starvedTimeout
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	pooled, err := s.Pool.Acquire(limited)
	switch {
	case err == nil:
		s.starved = false
		return pooled.Conn(), pooled.Release, nil
	case ctx.Err() != nil || limited.Err() == nil && !IsClosed(err):
		return nil, nil, err
	}
	s.starved = true
	select {
	case beside <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	own, err := Dial(ctx, s.Pool)
	if err != nil {
		<-beside
		return nil, nil, err
	}
	return own, func() {
		_ = Close(ctx, own)
		<-beside
	}, nil
}

// Dial opens a connection with the settings of the pool, but outside of it, so it also works while the pool has none free.
func Dial(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	config := pool.Config()
	config.ConnConfig.OnNotification = nil // it would keep notifications from WaitForNotification
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	if err = prepare(ctx, config, conn); err != nil {
		return nil, errors.Join(err, Close(ctx, conn))
	}
	return conn, nil
}

// prepare does what a pool does with a connection before it hands it out.
func prepare(ctx context.Context, config *pgxpool.Config, conn *pgx.Conn) error {
	if config.AfterConnect != nil {
		if err := config.AfterConnect(ctx, conn); err != nil {
			return err
		}
	}
	usable, err := true, error(nil)
	switch {
	case config.PrepareConn != nil:
		usable, err = config.PrepareConn(ctx, conn)
	case config.BeforeAcquire != nil: //nolint:staticcheck // pools call it as well
		usable = config.BeforeAcquire(ctx, conn) //nolint:staticcheck // as above
	}
	if err == nil && !usable {
		err = errors.New("the pool's hook rejected the connection")
	}
	return err
}

// Close closes a connection, also when ctx has ended.
func Close(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return conn.Close(ctx)
}

// IsClosed reports whether err says that the pool was closed. The error is declared in a package beneath pgx.
func IsClosed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == "closed pool" {
			return true
		}
	}
	return false
}
