package pgtest_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestEveryTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A", "B", "C"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t).Pool(t)
			_, err := pool.Exec(t.Context(), "select agentexec.create_activity('research')")
			require.NoError(t, err)
			var n int
			require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from agentexec.activity").Scan(&n))
			require.Equal(t, 1, n)
		})
	}
}

func TestSearchPathIsEmpty(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.Pool(t).Exec(t.Context(), "select * from activity")
	require.ErrorContains(t, err, "does not exist")
	db.Exec(t, "create table public.visible (n int); insert into public.visible values (1)")
	_, err = db.Conn(t).Exec(t.Context(), "select * from visible")
	require.ErrorContains(t, err, "does not exist")
	_, err = pgtest.Tx(t).Exec(t.Context(), "select * from activity")
	require.ErrorContains(t, err, "does not exist")
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var gone *pgtest.Database
	var open *pgx.Conn
	t.Run("Inner", func(t *testing.T) {
		gone = pgtest.Empty(t)
		var err error
		open, err = pgx.Connect(t.Context(), gone.URL)
		require.NoError(t, err)
	})
	require.Error(t, open.Ping(t.Context()), "the database is dropped though it is in use")
	var exists bool
	require.NoError(t, pgtest.Empty(t).Conn(t).QueryRow(t.Context(),
		"select exists (select from pg_database where datname = $1)", gone.Name).Scan(&exists))
	require.False(t, exists)
}

func TestEmptyHasNoSchema(t *testing.T) {
	t.Parallel()
	var schema *string
	require.NoError(t, pgtest.Empty(t).Conn(t).QueryRow(t.Context(),
		"select to_regnamespace('agentexec')::text").Scan(&schema))
	require.Nil(t, schema)
}

func TestTxIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A", "B"} {
		t.Run(name, func(t *testing.T) {
			tx := pgtest.Tx(t)
			var n int
			require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from agentexec.activity").Scan(&n))
			require.Zero(t, n)
			_, err := tx.Exec(t.Context(), "select agentexec.create_activity('research')")
			require.NoError(t, err)
		})
	}
}

func TestPoolTakesItsShareOfConnections(t *testing.T) {
	t.Parallel()
	// 60 less what pgtest keeps back, for one test at a time or more.
	db := pgtest.NewServer(t, map[string]string{"max_connections": "60"}).Empty(t)
	require.LessOrEqual(t, db.Pool(t).Config().MaxConns, int32(16))
	greedy := db.Pool(t, func(c *pgxpool.Config) {
		c.MaxConns = 1000
		c.ConnConfig.RuntimeParams["search_path"] = "public"
	})
	require.LessOrEqual(t, greedy.Config().MaxConns, int32(40))
	var path string
	require.NoError(t, greedy.QueryRow(t.Context(), "show search_path").Scan(&path))
	require.Equal(t, "public", path)
}

func TestAwaitLockWaits(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	holder, waiter := db.Conn(t), db.Conn(t)
	_, err := holder.Exec(t.Context(), "select pg_advisory_lock(1)")
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(t.Context(), "select pg_advisory_lock(1)")
		got <- err
	}()
	db.AwaitLockWaits(t, 1)
	require.Empty(t, got)
	_, err = holder.Exec(t.Context(), "select pg_advisory_unlock(1)")
	require.NoError(t, err)
	require.NoError(t, <-got)
}

func TestServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	s := pgtest.NewServer(t, nil)
	db := s.New(t)
	db.Exec(t, "select agentexec.create_activity('research')")
	require.NoError(t, s.Kill())
	_, err := pgx.Connect(t.Context(), db.URL)
	require.Error(t, err)
	require.NoError(t, s.Restart(t.Context()))
	var n int
	require.NoError(t, db.Conn(t).QueryRow(t.Context(), "select count(*) from agentexec.activity").Scan(&n))
	require.Equal(t, 1, n, "what was committed survives")
	s.New(t).Exec(t, "select agentexec.create_activity('research')")
	require.NoError(t, s.Stop())
}

// It runs alone, before the parallel tests: their goroutines would be in the way.
func TestIgnoreServer(t *testing.T) {
	pgtest.Empty(t)
	require.NoError(t, goleak.Find(pgtest.IgnoreServer()...))
}

func TestNoServerFailsTheTest(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]string{
		"NobodyAtURL": "AGENTEXEC_TEST_DATABASE_URL=postgres://postgres@127.0.0.1:1/postgres",
		"NoBinaries":  "AGENTEXEC_TEST_PG_BIN=/nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestEmptyHasNoSchema$")
			cmd.Env = append(os.Environ(), "AGENTEXEC_TEST_DATABASE_URL=", env)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, string(out))
			require.Contains(t, string(out), "--- FAIL: TestEmptyHasNoSchema")
			require.Contains(t, string(out), "pgtest: no database to test with: ")
		})
	}
}
