package sql_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// querier is a pool, a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type bundle struct {
	*testing.T
	db   *pgtest.Database
	pool *pgxpool.Pool
}

// setup gives the test a database with the schema, and checks every invariant of the schema when the test ends.
func setup(t *testing.T) *bundle {
	t.Helper()
	db := pgtest.New(t)
	b := &bundle{T: t, db: db, pool: db.Pool(t)}
	t.Cleanup(func() { requireInvariants(t, db) })
	return b
}

func (b *bundle) exec(sql string, args ...any) {
	b.Helper()
	_, err := b.pool.Exec(b.Context(), sql, args...)
	require.NoError(b, err, sql)
}

// create returns the agent_id of a new activity.
func (b *bundle) create(agentType string) uuid.UUID {
	b.Helper()
	return one[uuid.UUID](b.T, b.pool, "select agentexec.create_activity($1)", agentType)
}

// in returns the agent_id of a new activity in the given status, reached as a worker would.
func (b *bundle) in(status string) uuid.UUID {
	b.Helper()
	id := b.create("research")
	switch status {
	case "QUEUED":
	case "RUNNING", "CANCELED":
		b.exec("select agentexec.append_log($1, 'go', status => $2)", id, status)
	default:
		b.exec("select agentexec.append_log($1, 'go', 10, 'RUNNING')", id)
		b.exec("select agentexec.append_log($1, 'done', status => $2)", id, status)
	}
	return id
}

// one returns the only column of the only row of a query.
func one[T any](t *testing.T, q querier, sql string, args ...any) T {
	t.Helper()
	rows, err := q.Query(t.Context(), sql, args...)
	require.NoError(t, err, sql)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return value
}

// all returns the only column of all rows of a query.
func all[T any](t *testing.T, q querier, sql string, args ...any) []T {
	t.Helper()
	rows, err := q.Query(t.Context(), sql, args...)
	require.NoError(t, err, sql)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return values
}

// code returns the SQLSTATE of err, or "" where there is none.
func code(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// requireRefused checks the SQLSTATE of err, and that its message has all the words.
func requireRefused(t *testing.T, err error, sqlstate string, words ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, sqlstate, code(err), err)
	for _, word := range words {
		require.ErrorContains(t, err, word)
	}
}

// contents is every row of both tables, for tests that something wrote nothing.
func contents(t *testing.T, q querier) []string {
	t.Helper()
	return all[string](t, q, `select a::text from agentexec.activity a
		union all select l::text from agentexec.activity_log l order by 1`)
}

func ptr[T any](v T) *T { return &v }
