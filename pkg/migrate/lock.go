package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrLocked is returned by Up when another session holds a lock for longer than LockTimeout. The message names the session.
var ErrLocked = errors.New("a lock was not free in time")

// The replacement of a trigger waits for every session that writes, and later writers then wait behind it. So each wait is
// short, and a pause, in which writers get through, comes before the next one.
const (
	lockTurn  = 800 * time.Millisecond // below deadlock_timeout (1 s): no writer is the victim of a deadlock with an upgrade
	lockPause = time.Second

	defaultLockTimeout = time.Minute
	// lookEvery is the interval between two lookups of the sessions that Up waits for.
	lookEvery = 500 * time.Millisecond
)

func lockLimit() string {
	return fmt.Sprintf("set local lock_timeout = %d;\n", lockTurn.Milliseconds())
}

func isLockTimeout(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "55P03"
}

// withLockTurns runs do, which waits for locks in short turns, until it gets them or the time is over.
func (u *upgrade) withLockTurns(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !isLockTimeout(err) {
			return err
		}
		if time.Now().Add(lockPause).After(u.deadline) {
			return u.locked()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// lock takes the lock that serialises installers, and returns the function that releases it.
func (u *upgrade) lock(ctx context.Context) (unlock func(), err error) {
	err = pgx.BeginFunc(ctx, u.conn, func(tx pgx.Tx) error {
		limit := max(time.Until(u.deadline), time.Millisecond)
		if _, err := tx.Exec(ctx, fmt.Sprintf("set local lock_timeout = %d", limit.Milliseconds())); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "select pg_catalog.pg_advisory_lock($1)", advisoryLock) // it outlives the transaction
		return err
	})
	switch {
	case isLockTimeout(err):
		return nil, u.locked()
	case err != nil:
		return nil, fmt.Errorf("taking the migration lock: %w", err)
	}
	return func() {
		// Also when ctx has ended: the session may live on in a pool.
		_, _ = u.conn.Exec(context.WithoutCancel(ctx), "select pg_catalog.pg_advisory_unlock($1)", advisoryLock)
	}, nil
}

// locked returns the error of a lock that was not free in time.
func (u *upgrade) locked() error {
	by := u.blockers.get()
	if by == "" {
		by = "another session (see pg_stat_activity)"
	}
	return fmt.Errorf("schema %s: %w: waited %s for %s; end it, or wait longer with --lock-timeout", u.name, ErrLocked, u.limit, by)
}

// blockers are the sessions that Up waited for at the last lookup.
type blockers struct {
	mu   sync.Mutex
	text string
}

func (b *blockers) get() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text
}

// set stores the blockers, and reports whether they have changed.
func (b *blockers) set(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := b.text != text
	b.text = text
	return changed
}

// watchLocks looks up, on a connection of its own, the sessions that Up waits for, and reports them. Most runs end before the
// first lookup, and need no second connection. The returned function ends the watch.
func (u *upgrade) watchLocks(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	pid, config := u.conn.PgConn().PID(), u.conn.Config()
	config.RuntimeParams["search_path"] = "pg_catalog"
	go func() {
		defer close(done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var conn *pgx.Conn
		defer func() {
			if conn != nil {
				_ = conn.Close(context.WithoutCancel(ctx))
			}
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if conn == nil || conn.IsClosed() {
				var err error
				if conn, err = pgx.ConnectConfig(ctx, config); err != nil {
					conn = nil // there may be no connection left; the next lookup tries again
					continue
				}
			}
			by, err := blocking(ctx, conn, pid)
			if err == nil && by != "" && u.blockers.set(by) {
				u.waiting(fmt.Sprintf("waiting up to %s for a lock that is held by %s", u.limit, by))
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// blocking returns the sessions that a session waits for, "" where it waits for none.
func blocking(ctx context.Context, conn *pgx.Conn, pid uint32) (string, error) {
	rows, err := conn.Query(ctx, `
		select case when b.pid = 0 then 'a prepared transaction (see pg_prepared_xacts)'
		       else pg_catalog.format('pid %s (role %s, application %s, %s)%s', b.pid, coalesce(a.usename, '?'),
		              coalesce(nullif(a.application_name, ''), '?'), coalesce(a.state, 'state not visible'),
		              coalesce(': ' || nullif(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 200), ''), ''))
		       end
		from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) b(pid)
		left join pg_catalog.pg_stat_activity a on a.pid = b.pid
		order by b.pid`, pid)
	if err != nil {
		return "", err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(found, ", and by "), err
}
