// Package pgtest gives every test a real Postgres database of its own.
//
//	func TestX(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t)     // a database with the schema, gone when the test ends
//		pool := db.Pool(t)
//
// New clones a template database into which pkg/migrate installed the schema once. Tests run in parallel, because tables,
// channels of NOTIFY and advisory locks belong to a database. Roles, transaction ids and their snapshots belong to the server,
// so a transaction that another test holds open shows in pg_current_snapshot(). Empty gives a database without the schema, Tx
// a transaction that is rolled back, NewServer a whole server that the test may stop, kill and restart.
//
// The server is, in this order:
//
//  1. the one at AGENTEXEC_TEST_DATABASE_URL, a superuser's connection string;
//  2. a private one of the test process, from the binaries in AGENTEXEC_TEST_PG_BIN, or else the newest on the machine;
//  3. a container, where Docker runs;
//  4. a private one from downloaded binaries.
//
// With none of them the test fails; it is never skipped. A private server starts with the first test that asks. It ends with
// the process, and its data is removed, however the process ends.
//
// May import: internal/devpg, pkg/migrate.
package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// New returns a database with the schema agentexec, freshly cloned and dropped when the test ends.
func New(t testing.TB) *Database {
	t.Helper()
	return shared(t).database(t, true)
}

// Empty returns a database without the schema, dropped when the test ends.
func Empty(t testing.TB) *Database {
	t.Helper()
	return shared(t).database(t, false)
}

// Tx returns a transaction that is rolled back when the test ends, on a database with the schema that the tests of this
// process share. It is cheaper than New. The test must not commit, and cannot see effects of a commit (NOTIFY, other
// sessions). The search_path is empty.
func Tx(t testing.TB) pgx.Tx {
	t.Helper()
	db, err := shared(t).forTx()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	ctx, cancel := limited()
	defer cancel()
	tx, err := db.Conn(t).Begin(ctx) // its connection is closed when the test ends, which rolls back
	if err != nil {
		t.Fatalf("pgtest: begin: %v", err)
	}
	return tx
}

// limited returns the context for one step of a set-up or clean-up. It is not the test's context, since clean-up comes later.
func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

func shared(t testing.TB) *cluster {
	t.Helper()
	c, err := sharedCluster()
	if err != nil {
		t.Fatalf("pgtest: no database to test with: %v", err)
	}
	return c
}
