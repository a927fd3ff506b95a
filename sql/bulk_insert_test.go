package sql_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A COPY or INSERT of many lines updates each activity once: a row updated k times in one transaction costs O(k^2).
func TestBulkInsertUpdatesEachActivityOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents := []uuid.UUID{b.in("RUNNING"), b.in("RUNNING"), b.in("RUNNING")}
	var rows [][]any
	for i := range 3000 {
		rows = append(rows, []any{activityID(b, agents[i%3]), fmt.Sprint("line ", i), int32(i % 101)})
	}
	requireWrites(b, writes{Updated: 3, Hot: 3, Inserted: 3000}, func(q querier) {
		tx, ok := q.(pgx.Tx)
		require.True(t, ok)
		n, err := tx.CopyFrom(t.Context(), pgx.Identifier{"agentexec", "activity_log"}, []string{"activity_id", "message", "percentage"},
			pgx.CopyFromRows(rows))
		require.NoError(t, err)
		require.EqualValues(t, 3000, n)
	})
	requireWrites(b, writes{Updated: 3, Hot: 3, Inserted: 3000}, func(q querier) {
		_, err := q.Exec(t.Context(), `insert into agentexec.activity_log (activity_id, message)
			select a.id, n::text from generate_series(1, 1000) n, agentexec.activity a`)
		require.NoError(t, err)
	})
	for i, agent := range agents {
		require.Equal(t, 2002, readActivity(t, b.pool, agent).LastSeq)
		require.Equal(t, (2997+i)%101, *readActivity(t, b.pool, agent).LatestPercentage)
		require.Equal(t, fmt.Sprint("line ", i), readLine(t, b.pool, agent, 3).Message)
	}
}

// The lines of one INSERT move an activity as the same calls of append_log would, one after the other.
func TestBulkInsertMovesTheActivityAsAppendLogDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	steps := [][3]any{
		{"go", "RUNNING", 10}, {"failed", "ERROR", nil}, {"trailing", nil, 99}, {"again", "RUNNING", nil}, {"failed", "ERROR", 30},
		{"waits", "QUEUED", nil}, {"again", "RUNNING", 40}, {"done", "COMPLETE", 100}, {"trailing", "COMPLETE", 1}, {"trailing", nil, 2},
	}
	one, many := b.create("research"), b.create("research")
	batch := &pgx.Batch{}
	for _, s := range steps {
		b.exec("select agentexec.append_log($1, $2, status => $3, percentage => $4)", one, s[0], s[1], s[2])
		batch.Queue("insert into given values ($1, $2, $3)", s[0], s[1], s[2])
	}
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "create temp table given (message text, status agentexec.status, percentage int) on commit drop")
	require.NoError(t, err)
	require.NoError(t, tx.SendBatch(t.Context(), batch).Close())
	_, err = tx.Exec(t.Context(), `insert into agentexec.activity_log (activity_id, message, status, percentage)
		select a.id, g.message, g.status, g.percentage from agentexec.activity a, given g where a.agent_id = $1`, many)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))

	want, got := readActivity(t, b.pool, one), readActivity(t, b.pool, many)
	require.Equal(t, 100, *want.LatestPercentage)
	require.NotNil(t, got.StartedAt)
	require.NotNil(t, got.FinishedAt)
	got.StartedAt, got.UpdatedAt, got.FinishedAt = want.StartedAt, want.UpdatedAt, want.FinishedAt // the invariants compare them
	require.Equal(t, want, got)
}

// In one transaction, functions and inserts go on from each other, and a savepoint that is rolled back leaves nothing.
func TestInsertsAndFunctionsInOneTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	insert := fmt.Sprintf("insert into agentexec.activity_log (activity_id, message) select '%s'::uuid, n::text from generate_series(1, 3) n",
		activityID(b, agent))
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	last := 2
	check := func() {
		t.Helper()
		require.Equal(t, last, readActivity(t, tx, agent).LastSeq)
		require.Equal(t, last, one[int](t, tx, "select count(*)::int from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id where a.agent_id = $1", agent))
	}
	run := func(q querier, sql string) error { _, err := q.Exec(t.Context(), sql); return err }
	for range 2 {
		require.NoError(t, run(tx, insert))
		last += 3
		check()
		require.NoError(t, run(tx, fmt.Sprintf("select agentexec.append_log('%s', 'x')", agent)))
		last++
		check()

		savepoint, err := tx.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, run(savepoint, insert))
		require.NoError(t, run(savepoint, fmt.Sprintf("select agentexec.error('%s')", agent)))
		require.NoError(t, savepoint.Rollback(t.Context()))
		check()

		savepoint, err = tx.Begin(t.Context())
		require.NoError(t, err)
		requireRefused(t, run(savepoint, insert+" union all select '00000000-0000-0000-0000-000000000000'::uuid, 'x'"), "TA404")
		require.NoError(t, savepoint.Rollback(t.Context()))
		check()
		require.NoError(t, run(tx, fmt.Sprintf(`select agentexec.append_logs('[{"agent_id": "%[1]s", "message": "x"}, {"agent_id": "%[1]s", "message": "y"}]')`, agent)))
		last += 2
		check()
	}
	require.NoError(t, tx.Commit(t.Context()))
}

// A statement that fails at one of its lines has written none, whatever the fault.
func TestBulkInsertIsAllOrNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := activityID(b, b.in("RUNNING"))
	before := contents(t, b.pool)
	for sqlstate, third := range map[string]string{
		"TA422": "'x', null, 101", "TA409": "'x', 'RUNNING', null", "TA404": "'no such activity', null, null",
	} {
		_, err := b.pool.Exec(t.Context(), `insert into agentexec.activity_log (activity_id, message, status, percentage)
			select case v.message when 'no such activity' then gen_random_uuid() else $1 end, v.message, v.status::agentexec.status, v.percentage
			from (values ('a', null, 5), ('b', 'COMPLETE', null), (`+third+`)) v(message, status, percentage)`, id)
		requireRefused(t, err, sqlstate)
		require.Equal(t, before, contents(t, b.pool))
	}
}

// An INSERT that leaves a line out by ON CONFLICT, or a trigger that drops one, leaves no gap.
func TestDroppedLinesLeaveNoGap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.db.Exec(t, `create function public.drop_some() returns trigger language plpgsql as
		$$ begin if new.message = '2' then return null; end if; return new; end $$;
		create trigger zz before insert on agentexec.activity_log for each row execute function public.drop_some()`)
	b.exec("insert into agentexec.activity_log (activity_id, message) select $1, n::text from generate_series(1, 3) n on conflict do nothing", activityID(b, agent))
	require.Equal(t, 4, readActivity(t, b.pool, agent).LastSeq)
	require.Equal(t, "3", readLine(t, b.pool, agent, 4).Message)
}
