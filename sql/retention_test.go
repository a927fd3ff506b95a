package sql_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// finished returns a new activity that ended so long ago.
func (b *bundle) finished(agentType, status, ago string) uuid.UUID {
	b.Helper()
	agent := b.create(agentType)
	b.exec("select agentexec.append_log($1, 'x', status => $2::text::agentexec.status)", agent, status)
	b.age(agent, ago)
	return agent
}

// exists reports which of the activities there are.
func (b *bundle) exists(agents ...uuid.UUID) (found []bool) {
	b.Helper()
	return all[bool](b.T, b.pool, "select exists (select from agentexec.activity a where a.agent_id = x.id) from unnest($1::uuid[]) with ordinality x(id, n) order by n", agents)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old, young, failed, other := b.finished("research", "COMPLETE", "3 days"), b.finished("research", "COMPLETE", "1 day"),
		b.finished("research", "ERROR", "3 days"), b.finished("review", "COMPLETE", "3 days")
	running := b.in("RUNNING")
	b.age(running, "3 days")

	require.JSONEq(t, `{"activities": 3, "lines": 6}`, one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days', dry_run => true)::text"))
	require.Equal(t, []bool{true, true, true, true, true}, b.exists(old, young, failed, other, running))
	require.JSONEq(t, `{"activities": 1, "lines": 2}`, one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days', 'research', '{COMPLETE}')::text"))
	require.Equal(t, []bool{false, true, true, true, true}, b.exists(old, young, failed, other, running))
	require.JSONEq(t, `{"activities": 2, "lines": 4}`, one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days')::text"))
	require.Equal(t, []bool{false, true, false, false, true}, b.exists(old, young, failed, other, running))
	require.JSONEq(t, `{"activities": 0, "lines": 0}`, one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days')::text"))

	for _, call := range []string{"prune(null)", "prune(now(), max_rows => 0)", "prune(now(), max_rows => 100001)", "prune(now(), max_rows => null)"} {
		_, err := b.pool.Exec(t.Context(), "select agentexec."+call)
		requireRefused(t, err, "TA422")
	}
}

// A tree goes when all of it has finished, and by the type of its root.
func TestPruneTakesWholeTrees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.finished("plan", "COMPLETE", "3 days")
	child := b.child(root, "part")
	leaf := b.child(child, "part")
	prune := func(args string) string {
		return one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days'"+args+")::text")
	}
	require.JSONEq(t, `{"activities": 0, "lines": 0}`, prune(""))
	for _, agent := range []uuid.UUID{child, leaf} {
		b.exec("select agentexec.error($1)", agent)
	}
	require.JSONEq(t, `{"activities": 0, "lines": 0}`, prune("")) // the children finished later
	b.age(child, "3 days")
	b.age(leaf, "3 days")
	require.JSONEq(t, `{"activities": 0, "lines": 0}`, prune(", 'part'"))

	// Nothing outside of the scope is deleted, and neither is the rest of its tree.
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `set local agentexec.scope = '{"agent_types": ["plan"]}'`)
	require.NoError(t, err)
	require.JSONEq(t, `{"activities": 0, "lines": 0}`, one[string](t, tx, "select agentexec.prune(now() - interval '2 days')::text"))
	require.NoError(t, tx.Rollback(t.Context()))

	// A locked row keeps the tree.
	tx, err = b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from agentexec.activity where agent_id = $1 for no key update", leaf)
	require.NoError(t, err)
	require.JSONEq(t, `{"activities": 0, "lines": 0}`, prune(""))
	require.NoError(t, tx.Rollback(t.Context()))

	require.JSONEq(t, `{"activities": 3, "lines": 6}`, prune(""))
	require.Equal(t, []bool{false, false, false}, b.exists(root, child, leaf))
}

// A long log goes in batches, the oldest lines first; a reader is told so by its gap.
func TestPruneEmptiesALongLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	b.exec("select count(*) from agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', $1::uuid, 'message', 'x')) from generate_series(1, 250)))", agent)
	b.exec("select agentexec.complete($1)", agent)
	b.age(agent, "3 days")
	for _, want := range []struct {
		result string
		first  int
	}{{`{"activities": 0, "lines": 100}`, 101}, {`{"activities": 0, "lines": 100}`, 201}} {
		require.JSONEq(t, want.result, one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days', max_rows => 100)::text"))
		require.Equal(t, want.first, one[int](t, b.pool, "select min(seq) from agentexec.activity_log"))
	}
	require.JSONEq(t, `{"activities": 1, "lines": 52}`, one[string](t, b.pool, "select agentexec.prune(now() - interval '2 days', max_rows => 100)::text"))
	require.Equal(t, []bool{false}, b.exists(agent))
}

func TestRetentionRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sweep := func() int {
		return one[int](t, b.pool, "select (agentexec.sweep() ->> 'pruned')::int")
	}
	agents := []uuid.UUID{
		b.finished("research", "COMPLETE", "3 days"), b.finished("research", "ERROR", "3 days"),
		b.finished("review", "COMPLETE", "3 days"), b.finished("review", "ERROR", "3 days"), b.finished("review", "CANCELED", "3 days"),
	}
	require.Zero(t, sweep()) // without a rule nothing is deleted

	for _, step := range []struct {
		rule string
		left []bool
	}{
		{"'10 days'", []bool{true, true, true, true, true}},
		{"'2 days', 'research', 'ERROR'", []bool{true, false, true, true, true}},
		{"'2 days', null, 'CANCELED'", []bool{true, false, true, true, false}},
		{"'4 days', 'research'", []bool{true, false, true, true, false}},
		{"'1 day'", []bool{true, false, false, false, false}},
		{"null, 'research'", []bool{false, false, false, false, false}},
	} {
		b.exec("select agentexec.set_retention(" + step.rule + ")")
		sweep()
		require.Equal(t, step.left, b.exists(agents...), step.rule)
	}
	rules := all[string](t, b.pool, "select concat_ws(' ', agent_type, status, keep) from agentexec.retention order by agent_type, status")
	require.Equal(t, []string{"research ERROR 2 days", "CANCELED 2 days", "1 day"}, rules)

	for _, rule := range []string{"'100 years', 'long'", "'876000 hours', 'long'"} {
		b.exec("select agentexec.set_retention(" + rule + ")")
	}
	_, err := b.pool.Exec(t.Context(), "select agentexec.set_retention('876624 hours')")
	requireRefused(t, err, "TA422", "100 years, got 36526 days")
	for _, rule := range []string{"'0'", "'101 years'", "'178000000 years'", "'1 day', ''", "'1 day', repeat('t', 256)", "'1 day', null, 'RUNNING'"} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.set_retention("+rule+")")
		requireRefused(t, err, "TA422")
	}
}

// A call deletes at most max_rows activities and lines, over several trees.
func TestPruneIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 25 {
		b.finished("research", "COMPLETE", "3 days")
	}
	b.exec("select agentexec.set_retention('1 day')")
	left := 25
	for left > 0 {
		done := one[int](t, b.pool, "select (agentexec.sweep(7) ->> 'pruned')::int")
		require.Positive(t, done)
		require.LessOrEqual(t, done, 14)
		left = one[int](t, b.pool, "select count(*) from agentexec.activity")
	}
	require.Zero(t, one[int](t, b.pool, "select count(*) from agentexec.activity_log"))
}

// The cost of a prune follows what it deletes, not the size of the log, with its first plans and with the generic ones.
func TestPruneReadsNoWholeLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec("select agentexec.create_activity('research') from generate_series(1, 300)")
	b.exec(`select agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', a.agent_id, 'message', 'step')) from agentexec.activity a, generate_series(1, 20)))`)
	b.exec("select agentexec.complete(a.agent_id) from agentexec.activity a")
	b.exec("analyze agentexec.activity, agentexec.activity_log")
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		for range 8 {
			require.Equal(t, 44, one[int](t, tx, "select (agentexec.prune(now() + interval '1 hour', max_rows => 44) ->> 'lines')::int"))
		}
		require.Zero(t, one[int](t, tx, "select seq_tup_read from pg_stat_xact_user_tables where relid = 'agentexec.activity_log'::regclass"))
		return nil
	}))
}

// The rows that the choice of the due trees reads follow max_rows, not the number of trees that are due, with its first plans and with
// the generic ones.
func TestPruneReadsFewDueTrees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec("select agentexec.complete(agentexec.create_activity('research' || n % 3)) from generate_series(1, 2000) n")
	b.exec("analyze agentexec.activity")
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		for range 8 {
			const due = "select cardinality((agentexec._due_roots(now() + interval '1 hour', null, null, agentexec._scope_of(''), 20)).ids)"
			require.Equal(t, 10, one[int](t, tx, due), "of two lines each")
		}
		rows := one[int](t, tx, "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'agentexec.activity'::regclass")
		require.Less(t, rows, 1000)
		return nil
	}))
}

// A child that is created under a tree that is being pruned finds no parent, and never an orphaned place.
func TestChildOfAPrunedParent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.finished("plan", "COMPLETE", "3 days")
	tx, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{})
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select agentexec.prune(now() - interval '2 days')")
	require.NoError(t, err)
	created := make(chan error, 1)
	go func() {
		_, err := b.pool.Exec(t.Context(), "select agentexec.create_activity('part', parent_agent_id => $1)", root)
		created <- err
	}()
	require.Eventually(t, func() bool {
		return one[int](t, tx, "select count(*) from pg_locks where not granted") > 0
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Commit(t.Context()))
	requireRefused(t, <-created, "TA404", "to be the parent")
}

// A prune whose session is killed halfway leaves the tree as it was, and the next ones delete the rest.
func TestPruneIsKilledHalfway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.create("plan")
	for range 3 {
		part := b.child(root, "part")
		b.exec("select count(*) from agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', $1::uuid, 'message', 'x')) from generate_series(1, 40)))", part)
		b.exec("select agentexec.complete($1)", part)
		b.age(part, "3 days")
	}
	b.exec("select agentexec.complete($1)", root)
	b.age(root, "3 days")
	b.exec(`create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return old; end $$`)
	b.exec("create trigger slow before delete on agentexec.activity_log for each row execute function public.slow()")
	const prune = "select (agentexec.prune(now() - interval '2 days', max_rows => 50) ->> 'lines')::int"
	lines := func() int { return one[int](t, b.pool, "select count(*) from agentexec.activity_log") }
	whole := lines()
	for range 3 {
		conn := b.db.Conn(t)
		killed := make(chan error, 1)
		go func() {
			_, err := conn.Exec(context.WithoutCancel(t.Context()), prune)
			killed <- err
		}()
		require.Eventually(t, func() bool { // it has deleted some lines, and not all of them
			return one[int](t, b.pool, "select count(*) from pg_stat_activity a where a.pid = $1 and a.wait_event = 'PgSleep'", int(conn.PgConn().PID())) > 0
		}, 20*time.Second, 5*time.Millisecond)
		require.True(t, one[bool](t, b.pool, "select pg_terminate_backend($1)", int(conn.PgConn().PID())))
		require.Error(t, <-killed)
		require.Equal(t, whole, lines())
		require.Equal(t, 4, one[int](t, b.pool, "select count(*) from agentexec.activity"))
	}
	b.exec("drop trigger slow on agentexec.activity_log")
	for left := whole; left > 0; left = lines() {
		require.Positive(t, one[int](t, b.pool, prune))
		require.Zero(t, one[int](t, b.pool, "select count(*) from agentexec.activity a where a.parent_agent_id is not null and not exists (select from agentexec.activity p where p.agent_id = a.parent_agent_id)"))
	}
	require.Equal(t, []bool{false}, b.exists(root))
}
