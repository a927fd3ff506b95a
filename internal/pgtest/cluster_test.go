package pgtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// databases lists what test processes have made on the server.
func databases(t *testing.T, url string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), "select datname from pg_database where starts_with(datname, $1)", namePrefix)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// Each cluster stands for a test process, all on the one server that AGENTEXEC_TEST_DATABASE_URL names.
func TestProcessesShareAServer(t *testing.T) {
	t.Parallel()
	url := NewServer(t, nil).URL("")
	clusters := make([]*cluster, 4)
	errs := make([]error, len(clusters))
	var all sync.WaitGroup
	for i := range clusters {
		all.Go(func() {
			if clusters[i], errs[i] = openTheirs(t.Context(), url); errs[i] != nil {
				return
			}
			for range 3 {
				if _, err := clusters[i].create(true); err != nil {
					errs[i] = err
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	const each = 4 // three and a template
	require.Len(t, databases(t, url), 4*each)

	// Two end as they should. One is killed: its connections end, and what it made stays.
	for _, c := range clusters[:2] {
		require.NoError(t, c.close())
	}
	require.Len(t, databases(t, url), 2*each)
	killed, alive := clusters[2], clusters[3]
	require.NoError(t, killed.guard.Close(t.Context()))

	// The next process to come sweeps up after it, and leaves the one that lives alone.
	next, err := openTheirs(t.Context(), url)
	require.NoError(t, err)
	left := databases(t, url)
	require.Len(t, left, each)
	for _, name := range left {
		require.Contains(t, name, alive.run)
	}
	require.NoError(t, next.close())
	require.NoError(t, alive.close())
	require.Empty(t, databases(t, url))
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"postgres://u:p%40@h:1/old?sslmode=disable": "postgres://u:p%40@h:1/new?sslmode=disable",
		"postgresql://h":            "postgresql://h/new",
		"host=h dbname=old user=u":  "host=h dbname=old user=u dbname=new",
		"postgres:///?host=/socket": "postgres:///new?host=/socket",
	} {
		got := withDatabase(in, "new")
		require.Equal(t, want, got)
		config, err := pgx.ParseConfig(got)
		require.NoError(t, err)
		require.Equal(t, "new", config.Database)
	}
}

// recorder is a test that notes its failure and runs its clean-up when told to.
type recorder struct {
	testing.TB
	cleanup []func()
	errors  []string
}

func (r *recorder) Cleanup(f func()) { r.cleanup = append(r.cleanup, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestPoolReportsAConnectionThatIsNotReleased(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	db := Empty(t)
	db.releaseLimit = 50 * time.Millisecond
	pool := db.Pool(r)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	r.cleanup[0]()
	require.Equal(t, []string{"pgtest: 1 connections of the pool were never released"}, r.errors)
	conn.Release()
}
