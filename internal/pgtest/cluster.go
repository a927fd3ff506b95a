package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/pkg/migrate"
)

// adminConns bounds how many databases are made or dropped at a time.
const adminConns = 4

// cluster is a server, and the databases this process makes on it.
type cluster struct {
	url      string
	stop     func() error   // ends a private server; nil on a shared server
	guard    *pgx.Conn      // on a shared server: holds the lock that marks the run as alive
	run      string         // the part of database names that is unique to this process
	maxConns int32          // the connections of one test at most
	count    atomic.Int64   // for names
	admins   chan *pgx.Conn // connections for making and dropping databases; nil = not yet opened

	// Made once, when a test first asks.
	template func() error
	forTx    func() (*Database, error)
}

func newCluster(url string) *cluster {
	c := &cluster{url: url, run: fmt.Sprintf("%016x", rand.Uint64())}
	c.template = sync.OnceValue(c.makeTemplate)
	c.forTx = sync.OnceValues(func() (*Database, error) { return c.create(true) })
	c.admins = make(chan *pgx.Conn, adminConns)
	for range adminConns {
		c.admins <- nil
	}
	return c
}

// openOurs opens a server that is private to this process, and stops it on an error.
func openOurs(ctx context.Context, url string, stop func() error) (*cluster, error) {
	c := newCluster(url)
	c.stop = stop
	conn, err := pgx.Connect(ctx, url)
	if err == nil {
		if c.maxConns, err = connsPerTest(ctx, conn, 1); err == nil {
			err = cheapenPassword(ctx, conn)
		}
		err = errors.Join(err, conn.Close(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return c, nil
}

// openTheirs opens a shared server, and drops the databases of killed processes.
func openTheirs(ctx context.Context, url string) (*cluster, error) {
	c := newCluster(url)
	var err error
	if c.guard, err = pgx.Connect(ctx, url); err != nil {
		return nil, err
	}
	// "go test ./..." runs as many test processes at a time as there are processors.
	if c.maxConns, err = connsPerTest(ctx, c.guard, runtime.GOMAXPROCS(0)); err == nil {
		err = c.guardAndSweep(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.guard.Close(ctx))
	}
	return c, nil
}

func (c *cluster) name(of any) string { return fmt.Sprintf("%s%s_%v", namePrefix, c.run, of) }

func (c *cluster) templateName() string { return c.name("template") }

// database makes a database that is dropped when t ends.
func (c *cluster) database(t testing.TB, withSchema bool) *Database {
	t.Helper()
	d, err := c.create(withSchema)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.drop(d.Name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return d
}

func (c *cluster) create(withSchema bool) (*Database, error) {
	source := "template0"
	if withSchema {
		if err := c.template(); err != nil {
			return nil, err
		}
		source = c.templateName()
	}
	name := c.name(c.count.Add(1))
	if err := c.admin("create database " + name + " template " + source); err != nil {
		return nil, err
	}
	return &Database{Name: name, URL: withDatabase(c.url, name), c: c, releaseLimit: 10 * time.Second}, nil
}

func (c *cluster) drop(name string) error {
	return c.admin("drop database if exists " + name + " with (force)")
}

// makeTemplate installs the schema into a database that allows no connections afterwards: a clone needs an idle source.
func (c *cluster) makeTemplate() error {
	name := c.templateName()
	if err := c.admin("create database " + name + " template template0"); err != nil {
		return err
	}
	ctx, cancel := limited()
	defer cancel()
	conn, err := pgx.Connect(ctx, withDatabase(c.url, name))
	if err != nil {
		return err
	}
	if err := errors.Join(migrate.Up(ctx, conn, nil), conn.Close(ctx)); err != nil {
		return fmt.Errorf("install the schema: %w", err)
	}
	return c.admin("alter database " + name + " with allow_connections false")
}

// admin runs one statement on the server.
func (c *cluster) admin(sql string) error {
	ctx, cancel := limited()
	defer cancel()
	conn := <-c.admins
	defer func() { c.admins <- conn }()
	if conn == nil || conn.IsClosed() {
		var err error
		if conn, err = pgx.Connect(ctx, c.url); err != nil {
			conn = nil
			return fmt.Errorf("connect: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// close drops the databases of this process on the server, or ends a private server. The cluster is unusable afterwards.
func (c *cluster) close() error {
	ctx, cancel := limited()
	defer cancel()
	var errs []error
	if c.guard != nil {
		errs = append(errs, c.dropRun(ctx), c.guard.Close(ctx))
	}
	for range adminConns {
		if conn := <-c.admins; conn != nil {
			_ = conn.Close(ctx) // fails on a server that the test has stopped
		}
	}
	if c.stop != nil {
		errs = append(errs, c.stop())
	}
	return errors.Join(errs...)
}

// withDatabase returns the connection string for another database of the same server.
func withDatabase(connString, database string) string {
	if !strings.HasPrefix(connString, "postgres://") && !strings.HasPrefix(connString, "postgresql://") {
		return connString + " dbname=" + database // keywords and values: the last value of a keyword counts
	}
	u, err := url.Parse(connString)
	if err != nil {
		return connString // open has connected with it
	}
	u.Path, u.RawPath = "/"+database, ""
	return u.String()
}
