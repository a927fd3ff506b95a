package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/pgurl"
)

const (
	// ConnectTimeout bounds an attempt to connect.
	ConnectTimeout = 5 * time.Second
	// lockTimeout bounds each wait of a request for a row lock.
	lockTimeout = 4 * time.Second
	// statementTimeout bounds a statement that continues in Postgres after its request was given up.
	statementTimeout = 65 * time.Second
)

// The sessions of the sidecar by purpose.
var (
	readSession  = pgurl.Session{Name: "agentexec sidecar", LockTimeout: lockTimeout, StatementTimeout: statementTimeout}
	writeSession = pgurl.Session{Name: "agentexec writes", LockTimeout: lockTimeout, StatementTimeout: statementTimeout}
)

// DB is the sidecar's connections: a pool for reads and the feed, a pool for writes, which may wait for locks, and
// single direct ones for LISTEN and the tail.
type DB struct {
	Reads, Writes *Pool

	config *pgx.ConnConfig // of DatabaseURL
	direct *pgx.ConnConfig // of ListenURL
	same   bool            // both lead to the same place
	pooled atomic.Bool     // DatabaseURL leads to a pooler
}

// Config configures a DB.
type Config struct {
	URL, ListenURL string
	Reads, Writes  int // the sizes of the pools
}

// Open reads the URLs and makes the pools. It does not connect: Run waits for a database that is down.
func Open(cfg Config) (*DB, error) {
	config, err := pgurl.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	direct, err := pgurl.Parse(cfg.ListenURL)
	if err != nil {
		return nil, fmt.Errorf("listen URL: %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = ConnectTimeout
	}
	if !strings.Contains(cfg.URL, "pool_ping_timeout") {
		config.PingTimeout = ConnectTimeout
	}
	d := &DB{config: config.ConnConfig, direct: direct.ConnConfig, same: cfg.ListenURL == cfg.URL}
	if d.Reads, err = newPool(config, readSession, cfg.Reads, &d.pooled); err != nil {
		return nil, err
	}
	d.Writes, err = newPool(config, writeSession, cfg.Writes, &d.pooled)
	return d, err
}

// Close closes the pools. For each connection that does not respond, pgx waits 15 s.
func (d *DB) Close() {
	d.Reads.Close()
	d.Writes.Close()
}

// The sessions of direct connections. Their statements have no time limit here: the tail has its own.
var (
	tailSession     = pgurl.Session{Name: "agentexec tail", LockTimeout: lockTimeout}
	listenerSession = pgurl.Session{Name: "agentexec listener", LockTimeout: lockTimeout}
)

// Direct is the tail's connection. Behind a pooler, each statement carries its settings.
type Direct struct {
	*pgx.Conn
	over   pgurl.DB
	Pooled bool
}

// Exec implements pgurl.DB.
func (c *Direct) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return c.over.Exec(ctx, sql, args...)
}

// Query implements pgurl.DB.
func (c *Direct) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return c.over.Query(ctx, sql, args...)
}

// QueryRow implements pgurl.DB.
func (c *Direct) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return c.over.QueryRow(ctx, sql, args...)
}

// ConnectTail opens the tail's connection. It returns errStandby on a standby.
func (d *DB) ConnectTail(ctx context.Context) (*Direct, error) {
	conn, err := d.connect(ctx, tailSession)
	if err != nil {
		return nil, err
	}
	pooled, err := behindPooler(ctx, conn)
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	c := &Direct{Conn: conn, over: conn, Pooled: pooled}
	if pooled {
		c.over = tailSession.PerTransaction(conn)
	}
	return c, nil
}

// ConnectListener opens the connection for LISTEN.
func (d *DB) ConnectListener(ctx context.Context) (*pgx.Conn, error) {
	return d.connect(ctx, listenerSession)
}

// connect opens a direct connection. Its keepalive detects a peer that vanished without closing the connection.
func (d *DB) connect(ctx context.Context, session pgurl.Session) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	c := d.direct.Copy()
	c.DialFunc = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	open := session.Connect
	if d.same && d.pooled.Load() {
		unprepared(c)
		open = session.ConnectBehindPooler
	}
	conn, err := open(ctx, c)
	if err == nil {
		typed(conn)
	}
	return conn, err
}

// Check opens one connection through each URL, and passes the one of DatabaseURL to with.
func (d *DB) Check(ctx context.Context, with func(*pgx.Conn) error) error {
	c := d.config.Copy()
	c.DefaultQueryExecMode = pgx.QueryExecModeExec // works with and without a pooler
	conn, err := readSession.Connect(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	pooled, err := behindPooler(ctx, conn)
	if err != nil {
		return err
	}
	d.pooled.Store(pooled)
	if !d.same {
		if err := d.checkDirect(ctx); err != nil {
			return fmt.Errorf("through the listen URL: %w", err)
		}
	}
	return with(conn)
}

func (d *DB) checkDirect(ctx context.Context) error {
	conn, err := d.connect(ctx, tailSession)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = behindPooler(ctx, conn)
	return err
}

// ReconnectDelay returns the wait after so many failed attempts to connect.
func ReconnectDelay(failures int) time.Duration {
	return backoff.Delay(failures, 100*time.Millisecond, 5*time.Second)
}

// IsHopeless distinguishes a wrong setting (password, database, rights, a startup parameter) from a server that is not up yet.
func IsHopeless(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	for _, class := range []string{"22", "28", "3D", "42"} {
		if strings.HasPrefix(pgErr.Code, class) {
			return true
		}
	}
	return pgurl.RefusesParameters(err)
}

// Pool is a pool whose statements behave the same with and without a pooler.
type Pool struct {
	*pgxpool.Pool
	pooled         *atomic.Bool
	perTransaction pgurl.DB
}

var _ pgurl.DB = (*Pool)(nil)

func newPool(config *pgxpool.Config, session pgurl.Session, size int, pooled *atomic.Bool) (*Pool, error) {
	c := config.Copy()
	c.MaxConns = int32(min(size, 1000))
	c.MinConns, c.MinIdleConns = min(c.MinConns, c.MaxConns), min(c.MinIdleConns, c.MaxConns)
	c.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		if pooled.Load() {
			session.ApplyBehindPooler(cc)
			unprepared(cc)
		} else {
			session.Apply(cc)
		}
		return nil
	}
	c.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		typed(conn)
		return nil
	}
	p, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, err
	}
	return &Pool{Pool: p, pooled: pooled, perTransaction: session.PerTransaction(p)}, nil
}

func (p *Pool) db() pgurl.DB {
	if p.pooled.Load() {
		return p.perTransaction
	}
	return p.Pool
}

// Exec implements pgurl.DB.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return p.db().Exec(ctx, sql, args...)
}

// Query implements pgurl.DB.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return p.db().Query(ctx, sql, args...)
}

// QueryRow implements pgurl.DB.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return p.db().QueryRow(ctx, sql, args...)
}

// SendBatch implements pgurl.DB.
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return p.db().SendBatch(ctx, b)
}
