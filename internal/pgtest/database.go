package pgtest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Database is one database of one test.
type Database struct {
	// Name is the database's name on its server.
	Name string
	// URL connects as superuser, with the server's default search_path.
	URL string

	c            *cluster
	releaseLimit time.Duration // how long the end of a test waits until connections are released to a pool
}

// Pool returns a pool that is closed when the test ends. Its connections have an empty search_path, so a name without a schema
// fails at once. It has as many connections as the server has for each parallel test, at most 16 unless configure asks for
// more. configure may also change its ConnConfig.
//
// The test fails if a connection is not released when it ends.
func (d *Database) Pool(t testing.TB, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	config.MaxConns = min(16, d.c.maxConns)
	d.prepare(t, config.ConnConfig)
	for _, f := range configure {
		f(config)
	}
	config.MaxConns = min(config.MaxConns, d.c.maxConns)
	ctx, cancel := limited()
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			pool.Close()
		}()
		select {
		case <-closed:
		case <-time.After(d.releaseLimit):
			t.Errorf("pgtest: %d connections of the pool were never released", pool.Stat().AcquiredConns())
		}
	})
	return pool
}

// Conn returns one connection with an empty search_path, closed when the test ends.
func (d *Database) Conn(t testing.TB) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(d.URL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	d.prepare(t, config)
	ctx, cancel := limited()
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := limited()
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Exec runs one statement on a connection of its own, with an empty search_path, and fails the test on an error.
// Without args, sql may hold several statements.
func (d *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	ctx, cancel := limited()
	defer cancel()
	config, err := pgx.ParseConfig(d.URL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	d.prepare(t, config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		t.Fatalf("pgtest: %v\n%s", err, sql)
	}
}

// AwaitLockWaits returns when at least n sessions of the database wait for a lock, so that a test of races can act. It fails
// the test if that takes more than a minute.
func (d *Database) AwaitLockWaits(t testing.TB, n int) {
	t.Helper()
	ctx, cancel := limited()
	defer cancel()
	conn := d.Conn(t)
	for {
		var waiting int
		err := conn.QueryRow(ctx, `select count(*) from pg_catalog.pg_stat_activity a
			where a.datname = pg_catalog.current_database() and a.wait_event_type = 'Lock'`).Scan(&waiting)
		if err == nil && waiting >= n {
			return
		}
		if err != nil {
			t.Fatalf("pgtest: waiting for %d sessions to wait for a lock: %v", n, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (d *Database) prepare(t testing.TB, config *pgx.ConnConfig) {
	config.RuntimeParams["search_path"] = ""
	config.RuntimeParams["application_name"] = t.Name()
}
