package client_test

import (
	"context"
	"math"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/pkg/migrate"
)

func org(name string) client.Scope { return client.Scope{Metadata: map[string]any{"org": name}} }

// setting is the scope that a session, or a transaction, is in.
func setting(t *testing.T, db client.DB) string {
	t.Helper()
	var scope string
	require.NoError(t, db.QueryRow(t.Context(), "select coalesce(pg_catalog.current_setting('agentexec.scope', true), '')").Scan(&scope))
	return scope
}

// A scope is the call's alone, whatever the call ran in, and in every exec mode.
func TestWithScopeLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	foreign := b.create(t)
	ctx := b.ctx
	calls := map[string]func(*client.Client) error{
		"Read":    func(c *client.Client) error { _, err := c.Detail(ctx, mine, client.DetailParams{}); return err },
		"Write":   func(c *client.Client) error { _, err := c.Update(ctx, mine, "x"); return err },
		"Rows":    func(c *client.Client) error { _, err := c.PendingIDs(ctx); return err },
		"Refused": func(c *client.Client) error { _, err := c.Update(ctx, foreign, "x"); return err },
	}
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		pool := b.db.Pool(t, func(c *pgxpool.Config) {
			c.ConnConfig.DefaultQueryExecMode = mode
			c.MaxConns = 1 // so that the next one gets the session of the one before
		})
		for name, call := range calls {
			what := mode.String() + " " + name
			check := func(err error) {
				if name == "Refused" {
					requireUnknown(t, err, foreign)
				} else {
					require.NoError(t, err, what)
				}
			}
			check(call(client.New(pool).WithScope(org("1"))))
			require.Empty(t, setting(t, pool), what)

			conn, err := pool.Acquire(ctx)
			require.NoError(t, err)
			check(call(client.New(conn).WithScope(org("1"))))
			require.Empty(t, setting(t, conn), what)
			check(call(client.New(conn.Conn()).WithScope(org("1"))))
			require.Empty(t, setting(t, conn), what)

			tx, err := conn.Begin(ctx)
			require.NoError(t, err)
			for _, outer := range []string{"", `{"agent_types":["research"]}`} {
				_, err = tx.Exec(ctx, "select pg_catalog.set_config('agentexec.scope', $1, false)", outer)
				require.NoError(t, err)
				sub, err := tx.Begin(ctx)
				require.NoError(t, err)
				check(call(client.New(pool).WithTx(sub).WithScope(org("1"))))
				if name == "Refused" {
					require.NoError(t, sub.Rollback(ctx))
				} else {
					require.Equal(t, outer, setting(t, sub), what)
					require.NoError(t, sub.Commit(ctx))
				}
				require.Equal(t, outer, setting(t, tx), what)
			}
			require.NoError(t, tx.Commit(ctx))
			require.JSONEq(t, `{"agent_types":["research"]}`, setting(t, conn), what)
			_, err = conn.Exec(ctx, "reset agentexec.scope")
			require.NoError(t, err)
			conn.Release()
		}
	}
}

// A call in a scope is one round trip, and commits with it: what fails at the commit is the call's error.
func TestWithScopeReportsTheCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	b.db.Exec(t, `create function public.fail() returns trigger language plpgsql as $$ begin raise 'at the commit'; end $$;
		create constraint trigger fail after insert on agentexec.activity_log deferrable initially deferred
			for each row execute function public.fail()`)
	_, err := b.c.WithScope(org("1")).Update(b.ctx, id, "x")
	require.ErrorContains(t, err, "at the commit")
	require.Len(t, must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{})).Logs, 1)
}

func TestWithScopeRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.c.WithScope(client.Scope{Metadata: map[string]any{"n": math.NaN()}}).List(b.ctx, client.ListParams{})
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "agentexec.scope")
	_, err = client.New(struct{ client.DB }{b.pool}).WithScope(org("1")).List(b.ctx, client.ListParams{})
	require.ErrorIs(t, err, client.ErrInvalid)
	_, err = b.c.WithScope(org("1")).Create(b.ctx, "research", "", client.WithMetadata(map[string]any{"org": "2"}))
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "42501", pg.Code)
}

// The setting is called the same whatever the schema's name.
func TestWithScopeInAnotherSchema(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, migrate.Up(b.ctx, b.db.Conn(t), &migrate.Options{Schema: "order"}))
	c := client.New(b.pool, &client.Config{Schema: "order"})
	must[uuid.UUID](t)(c.Create(b.ctx, "research", "", client.WithMetadata(map[string]any{"org": "1"})))
	other := must[uuid.UUID](t)(c.Create(b.ctx, "research", ""))
	require.EqualValues(t, 1, must[int64](t)(c.WithScope(org("1")).CountActive(b.ctx, nil)))
	_, err := c.WithScope(org("1")).Cancel(b.ctx, other, "")
	requireUnknown(t, err, other)
}

func TestWithScopeWatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	for _, db := range []client.DB{b.pool, b.db.Conn(t)} {
		_, err := collect(t, client.New(db).WithScope(org("2")).Watch(b.ctx, id, 0))
		requireUnknown(t, err, id)
	}
	next, stop := pull(b.ctx, b.c.WithScope(org("1")), id, 0)
	defer stop()
	require.Equal(t, 1, must[client.Log](t)(next()).Seq)
	must[client.Log](t)(b.c.Complete(context.WithoutCancel(b.ctx), id, ""))
	require.Equal(t, 2, must[client.Log](t)(next()).Seq)
}
