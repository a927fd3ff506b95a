package sql_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// canceled runs cancel_pending in a transaction that is rolled back, checks what it did to every activity, and returns
// the agent_ids it canceled.
func canceled(b *bundle, arguments string, args ...any) []uuid.UUID {
	b.Helper()
	tx, err := b.pool.Begin(b.Context())
	require.NoError(b, err)
	defer func() { _ = tx.Rollback(b.Context()) }()
	before := map[uuid.UUID]activity{}
	for _, agent := range all[uuid.UUID](b.T, tx, "select agent_id from agentexec.activity") {
		before[agent] = readActivity(b.T, tx, agent)
	}
	n := one[int](b.T, tx, "select agentexec.cancel_pending("+arguments+")", args...)
	var gone []uuid.UUID
	for agent, want := range before {
		got := readActivity(b.T, tx, agent)
		if got.LastSeq != want.LastSeq {
			gone = append(gone, agent)
			require.Contains(b, []string{"QUEUED", "RUNNING"}, want.Status)
			l := readLine(b.T, tx, agent, want.LastSeq+1)
			require.Equal(b, writtenLine{Message: "Canceled", Status: "CANCELED", CreatedAt: l.CreatedAt}, l)
			want.Status, want.LastSeq, want.UpdatedAt, want.FinishedAt = "CANCELED", want.LastSeq+1, l.CreatedAt, &l.CreatedAt
		}
		require.Equal(b, want, got)
	}
	require.Len(b, gone, n)
	return gone
}

func TestCancelPendingCancelsQueuedAndRunning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Zero(t, one[int](t, b.pool, "select agentexec.cancel_pending()"), "nothing there")
	agents := map[string]uuid.UUID{}
	for status := range transitions {
		agents[status] = b.in(status)
	}
	retried := b.in("ERROR")
	b.exec("select agentexec.append_log($1, 'again', status => 'QUEUED')", retried)

	want := []uuid.UUID{agents["QUEUED"], agents["RUNNING"], retried}
	require.ElementsMatch(t, want, canceled(b, ""))
	require.ElementsMatch(t, want, all[uuid.UUID](t, b.pool, "select agentexec.pending_ids()"))
	require.Equal(t, 3, one[int](t, b.pool, "select agentexec.count_active()"))

	require.Equal(t, 3, one[int](t, b.pool, "select agentexec.cancel_pending(message => 'shutdown')"))
	for _, agent := range want {
		require.Equal(t, "shutdown", readLine(t, b.pool, agent, readActivity(t, b.pool, agent).LastSeq).Message)
	}
	require.Zero(t, one[int](t, b.pool, "select agentexec.cancel_pending()"), "a second call finds nothing")
	require.Empty(t, all[uuid.UUID](t, b.pool, "select agentexec.pending_ids()"))
	require.Zero(t, one[int](t, b.pool, "select agentexec.count_active()"))
}

func TestCancelPendingByType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	research, other := b.create("research"), b.create("other")
	b.create("research ")
	require.Equal(t, []uuid.UUID{research}, canceled(b, "agent_type => 'research'"))
	require.Equal(t, []uuid.UUID{other}, canceled(b, "agent_type => 'other'"))
	require.Empty(t, canceled(b, "agent_type => ''"))
	require.Empty(t, canceled(b, "agent_type => 'RESEARCH'"))
	require.Len(t, canceled(b, "agent_type => null"), 3)
}

// metadataCases says which of the activities of metadataActivities a filter matches.
var metadataActivities = map[string]string{
	"none": `null`, "empty": `{}`, "one": `{"org": "1"}`, "two": `{"org": "1", "team": "a"}`, "number": `{"org": 1}`,
	"yes": `{"on": true, "org": "2"}`, "no": `{"on": false}`, "null": `{"on": null}`,
	"deep": `{"deep": {"a": 1, "b": [1, 2, {"c": "x"}]}, "price": 1.50}`,
}

var metadataCases = []struct {
	filter string
	found  []string
}{
	{`null`, []string{"none", "empty", "one", "two", "number", "yes", "no", "null", "deep"}},
	{`{}`, []string{"none", "empty", "one", "two", "number", "yes", "no", "null", "deep"}},
	{`{"org": "1"}`, []string{"one", "two"}},
	{`{"org": 1}`, []string{"number"}},
	{`{"org": 1.0}`, []string{"number"}},
	{`{"org": "1", "team": "a"}`, []string{"two"}},
	{`{"org": "1", "team": "b"}`, nil},
	{`{"on": true}`, []string{"yes"}},
	{`{"on": "true"}`, nil},
	{`{"on": false}`, []string{"no"}},
	{`{"on": null}`, []string{"null"}},
	{`{"missing": null}`, nil},
	{`{"deep": {"a": 1}}`, []string{"deep"}},
	{`{"deep": {"b": [{"c": "x"}]}}`, []string{"deep"}},
	{`{"deep": {"b": [3]}}`, nil},
	{`{"deep": {}}`, []string{"deep"}},
	{`{"price": 1.5}`, []string{"deep"}},
	{`{"ORG": "1"}`, nil},
	{`{"org": "' or true --"}`, nil},
}

// The same filter finds the same activities everywhere it can be given.
func TestMetadataFilter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents := map[string]uuid.UUID{}
	for name, metadata := range metadataActivities {
		agents[name] = one[uuid.UUID](t, b.pool, "select agentexec.create_activity($1, metadata => $2)", name, []byte(metadata))
	}
	for _, c := range metadataCases {
		want := []uuid.UUID{}
		for _, name := range c.found {
			want = append(want, agents[name])
		}
		filter := []byte(c.filter)
		require.ElementsMatch(t, want, canceled(b, "metadata_filter => $1", filter), c.filter)
		require.ElementsMatch(t, want, all[uuid.UUID](t, b.pool, `select (i->>'agent_id')::uuid from jsonb_array_elements(
			agentexec.list_activities(metadata_filter => $1)->'items') i`, filter), c.filter)
		require.Equal(t, len(want), one[int](t, b.pool, "select agentexec.count_active(metadata_filter => $1)", filter), c.filter)
		require.Equal(t, len(want), one[int](t, b.pool,
			"select (agentexec.count_by_status(metadata_filter => $1)->>'QUEUED')::int", filter), c.filter)
		require.ElementsMatch(t, want, all[uuid.UUID](t, b.pool, `select a.agent_id from agentexec.activity a
			where agentexec.activity_detail(a.agent_id, metadata_filter => $1) is not null`, filter), c.filter)
		for name, agent := range agents {
			// With a type as well, both must match.
			both := canceled(b, "metadata_filter => $1, agent_type => $2", filter, name)
			if len(both) > 0 {
				require.Contains(t, want, agent)
				require.Equal(t, []uuid.UUID{agent}, both)
			} else {
				require.NotContains(t, want, agent)
			}
		}
	}
}

// age moves all times of an activity back.
func (b *bundle) age(agent uuid.UUID, by string) {
	b.Helper()
	b.exec(`update agentexec.activity_log l set created_at = l.created_at - $2::text::interval
		from agentexec.activity a where a.agent_id = $1 and l.activity_id = a.id`, agent, by)
	b.exec(`update agentexec.activity a set created_at = a.created_at - i.i, started_at = a.started_at - i.i,
		updated_at = a.updated_at - i.i, finished_at = a.finished_at - i.i
		from (select $2::text::interval as i) i where a.agent_id = $1`, agent, by)
}

func TestCancelPendingIdleFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents := []uuid.UUID{b.in("RUNNING"), b.in("RUNNING"), b.create("research")}
	b.age(agents[1], "1 hour")
	b.age(agents[2], "2 hours")
	b.age(b.in("ERROR"), "3 hours")
	for idleFor, found := range map[string]int{
		"0": 3, "59 minutes": 2, "1 hour": 2, "61 minutes": 1, "2 hours": 1, "121 minutes": 0, "1 day": 0, "1 month": 0,
		"1 month -30 days": 3, "10000 years": 0, "178000000 years": 0,
	} {
		require.ElementsMatch(t, agents[3-found:], canceled(b, "idle_for => $1::text::interval", idleFor), idleFor)
	}
	require.Len(t, canceled(b, "idle_for => null"), 3)
	require.Empty(t, canceled(b, "idle_for => '1 hour', agent_type => 'other'"))
	require.Empty(t, canceled(b, `idle_for => '1 hour', metadata_filter => '{"a": 1}'`))

	// idle_for counts from the last line, not from the creation.
	b.exec("select agentexec.append_log($1, 'awake')", agents[2])
	require.Equal(t, agents[1:2], canceled(b, "idle_for => '1 hour'"))
}

// cancel_pending checks a row again after it waited for it: a worker that wrote or finished meanwhile is left alone.
func TestCancelPendingRechecksAfterLockWait(t *testing.T) {
	t.Parallel()
	b := setup(t)
	finishes, awakes, rollsBack, silent := b.in("RUNNING"), b.in("RUNNING"), b.in("RUNNING"), b.in("RUNNING")
	for _, agent := range []uuid.UUID{finishes, awakes, rollsBack, silent} {
		b.age(agent, "1 hour")
	}
	begin := func(sql string, agent uuid.UUID) pgx.Tx {
		tx, err := b.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sql, agent)
		require.NoError(t, err)
		return tx
	}
	completing := begin("select agentexec.complete($1)", finishes)
	appending := begin("select agentexec.append_log($1, 'awake')", awakes)
	failing := begin("select agentexec.append_log($1, 'never seen')", rollsBack)

	count := background[int](b, "select canceled from agentexec._cancel_pending(null, null, '30 minutes', 'Canceled', '1 minute')")
	awaitBlocked(b)
	require.NoError(t, failing.Rollback(t.Context()))
	require.NoError(t, completing.Commit(t.Context()))
	require.NoError(t, appending.Commit(t.Context()))
	require.Equal(t, 2, count())
	for agent, want := range map[uuid.UUID]string{finishes: "COMPLETE", awakes: "RUNNING", rollsBack: "CANCELED", silent: "CANCELED"} {
		require.Equal(t, want, readActivity(t, b.pool, agent).Status)
	}
}

// background starts a query on a connection of its own; the function returned waits for its only value.
func background[T any](b *bundle, sql string, args ...any) func() T {
	b.Helper()
	type result struct {
		value T
		err   error
	}
	conn, done := b.db.Conn(b.T), make(chan result, 1)
	go func() {
		var r result
		r.err = conn.QueryRow(b.Context(), sql, args...).Scan(&r.value)
		done <- r
	}()
	return func() T {
		b.Helper()
		r := <-done
		require.NoError(b, r.err, sql)
		return r.value
	}
}

// A row that stays locked is skipped and counted, in bounded time; the others are canceled, and none of them keeps
// another writer waiting for the locked one.
func TestCancelPendingSkipsLockedRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stuck, free := b.in("RUNNING"), b.in("RUNNING")
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select agentexec.append_log($1, 'and then idle in the transaction')", stuck)
	require.NoError(t, err)

	const counts = "select n || ' canceled, ' || current_setting('agentexec.skipped') || ' skipped' from agentexec.cancel_pending() n"
	require.Equal(t, "1 canceled, 1 skipped", one[string](t, b.pool, counts))
	require.Equal(t, "0 canceled, 1 skipped", one[string](t, b.pool, counts))
	b.exec("select agentexec.append_log($1, 'a worker that need not wait')", free)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, "1 canceled, 0 skipped", one[string](t, b.pool, counts))
	for _, agent := range []uuid.UUID{stuck, free} {
		require.Equal(t, "CANCELED", readActivity(t, b.pool, agent).Status)
	}
}

// Two calls that hold what the other one waits for, and an append_logs that waits for both, all end without a deadlock.
func TestCancelPendingEndsNoWriterForADeadlock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents := []uuid.UUID{b.in("RUNNING"), b.in("RUNNING")}
	var txs []pgx.Tx
	for _, agent := range agents {
		tx, err := b.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select agentexec.append_log($1, 'x')", agent)
		require.NoError(t, err)
		txs = append(txs, tx)
	}
	third := background[int](b, "select count(*) from agentexec.append_logs($1)", []entry{
		line{agent: agents[0], message: "y"}.entry(), line{agent: agents[1], message: "y"}.entry()})
	b.db.AwaitLockWaits(t, 1)
	var g errgroup.Group
	for _, tx := range txs { // each waits for the row of the other
		g.Go(func() error {
			if _, err := tx.Exec(t.Context(), "select agentexec.cancel_pending()"); err != nil {
				return err
			}
			return tx.Commit(t.Context())
		})
	}
	require.NoError(t, g.Wait())
	require.Equal(t, 2, third())
	for _, agent := range agents {
		require.Equal(t, "CANCELED", readActivity(t, b.pool, agent).Status)
	}
}
