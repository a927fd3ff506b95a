package client_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		worker(url) // see TestKilledWorkerIsStale
		return
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}

// bundle is what most tests start with.
type bundle struct {
	ctx  context.Context
	db   *pgtest.Database
	pool *pgxpool.Pool
	c    *client.Client
}

func setup(t *testing.T) *bundle {
	t.Helper()
	// Parallel subtests wait for their turn in this time, behind all other tests of a busy machine.
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	db := pgtest.New(t)
	pool := db.Pool(t)
	return &bundle{ctx, db, pool, client.New(pool)}
}

// create makes an activity.
func (b *bundle) create(t *testing.T, opts ...client.CreateOption) uuid.UUID {
	t.Helper()
	id, err := b.c.Create(b.ctx, "research", "", opts...)
	require.NoError(t, err)
	return id
}

// must passes on the value of a call that may not fail.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

// collect returns what an iterator yields: its lines and the error it ended with, which must be the last.
func collect(t *testing.T, lines iter.Seq2[client.Log, error]) ([]client.Log, error) {
	t.Helper()
	var got []client.Log
	var end error
	for line, err := range lines {
		require.NoError(t, end, "something came after an error")
		if err != nil {
			require.Zero(t, line)
			end = err
			continue
		}
		got = append(got, line)
	}
	return got, end
}

// messages are the messages of lines, after a check that they are numbered without gaps from first on.
func messages(t *testing.T, lines []client.Log, first int) []string {
	t.Helper()
	got := make([]string, len(lines))
	for i, line := range lines {
		require.Equal(t, first+i, line.Seq)
		got[i] = line.Message
	}
	return got
}

func object(t *testing.T, data json.RawMessage) map[string]any {
	t.Helper()
	var got map[string]any
	require.NoError(t, json.Unmarshal(data, &got))
	return got
}

// pull gives the lines of a Watch one by one; an error when there are no more, too.
func pull(ctx context.Context, c *client.Client, id uuid.UUID, afterSeq int) (next func() (client.Log, error), stop func()) {
	pulled, stop := iter.Pull2(c.Watch(ctx, id, afterSeq))
	return func() (client.Log, error) {
		line, err, ok := pulled()
		if !ok {
			return line, io.EOF
		}
		return line, err
	}, stop
}

// awaitOnly returns when the pool's connections are the only sessions of the pool's application.
func awaitOnly(t *testing.T, db *pgtest.Database, pool *pgxpool.Pool) {
	t.Helper()
	conn, application := db.Conn(t), pool.Config().ConnConfig.RuntimeParams["application_name"]
	require.Eventually(t, func() bool {
		var n int32
		require.NoError(t, conn.QueryRow(t.Context(), `select count(*) from pg_catalog.pg_stat_activity a
			where a.application_name = $1 and a.datname = current_database()`, application).Scan(&n))
		return n <= pool.Stat().TotalConns()
	}, time.Minute, 5*time.Millisecond)
}

// awaitWakeupLock returns when a session holds the wake-up lock (held), or none does.
func (b *bundle) awaitWakeupLock(t *testing.T, held bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		var is bool
		require.NoError(t, b.pool.QueryRow(b.ctx, `select exists (select from pg_catalog.pg_locks l
			where l.locktype = 'advisory' and l.mode = 'ExclusiveLock' and l.granted
			and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
			and l.objid = 'agentexec.activity_log'::regclass)`).Scan(&is))
		return is == held
	}, time.Minute, 5*time.Millisecond)
}

// execMode makes the connections of a pool use one of the five exec modes of pgx.
func execMode(n int) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) {
		c.ConnConfig.DefaultQueryExecMode = []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
			pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
		}[n]
	}
}
