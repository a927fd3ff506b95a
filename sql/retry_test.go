package sql_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// A line that names its seq is written once, even if it is sent many times.
func TestAppendAtSeq(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const call = `append_log($1, 'step', 40, 'RUNNING', '{"a": 1.0}', at_seq => 2)`
	agent := b.create("research")
	first := callForLine(b, call, agent)
	before := contents(t, b.pool)
	require.Equal(t, first, callForLine(b, call, agent))
	require.Equal(t, first, callForLine(b, `append_log($1, 'step', 40.9, null, '{"a": 1.00}', at_seq => 2)`, agent), "no status asks for none")
	require.Equal(t, "Agent queued", callForLine(b, "append_log($1, 'Agent queued', 0, at_seq => 1)", agent).Message)
	require.Equal(t, before, contents(t, b.pool))

	for other, words := range map[string][]string{
		`'other', 40, 'RUNNING', '{"a": 1}', 2`:                  {"last_seq 2", "line 2"},
		`'step', 41, 'RUNNING', '{"a": 1}', 2`:                   {"last_seq 2", "line 2"},
		`'step', null, 'RUNNING', '{"a": 1}', 2`:                 {"last_seq 2", "line 2"},
		`'step', 40, 'QUEUED', '{"a": 1}', 2`:                    {"last_seq 2", "line 2"},
		`'step', 40, 'RUNNING', '{"a": 2}', 2`:                   {"last_seq 2", "line 2"},
		`'step', 40, 'RUNNING', null, 2`:                         {"last_seq 2", "line 2"},
		`'step', 40, 'RUNNING', '{"a": 1}', 1`:                   {"last_seq 2", "line 1"},
		`'step', 40, 'RUNNING', '{"a": 1}', 4`:                   {"last_seq 2", "at_seq 4"},
		`'step', at_seq => 2147483647`:                           {"last_seq 2", "at_seq 2147483647"},
		`'step', 40, 'COMPLETE', '{"a": 1}', at_seq => 12345678`: {"at_seq 12345678"},
	} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, "+other+")", agent)
		requireRefused(t, err, "TA409", append(words, agent.String())...)
	}
	for _, seq := range []int{0, -1, -2147483648} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, 'x', at_seq => $2)", agent, seq)
		requireRefused(t, err, "TA422", "at_seq", "at least 1")
	}
	_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, 'x', at_seq => 1)", uuid.New())
	requireRefused(t, err, "TA404")
	require.Equal(t, before, contents(t, b.pool))
	require.Equal(t, "last", callForLine(b, "append_log($1, 'last', status => 'COMPLETE', at_seq => 3)", agent).Message)
	require.Equal(t, "last", callForLine(b, "append_log($1, 'last', status => 'COMPLETE', at_seq => 3)", agent).Message)
}

// A line from before a request to cancel, sent again, reports the request.
func TestRepeatedLineReportsTheRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.exec("select agentexec.append_log($1, 'step', at_seq => 3)", agent)
	b.exec("select agentexec.cancel($1)", agent)
	require.True(t, one[bool](t, b.pool, "select cancel_requested from agentexec.append_log($1, 'step', at_seq => 3)", agent))
	require.False(t, one[bool](t, b.pool, "select cancel_requested from agentexec.activity_log where seq = 3"), "it is stored as it was")
}

// A repeated call is refused after its line was deleted: the contents cannot be compared.
func TestRepeatOfADeletedLine(t *testing.T) {
	t.Parallel()
	db := setup(t)
	agent := db.in("RUNNING")
	db.exec("select agentexec.append_log($1, 'step')", agent)
	tx, err := db.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }() // the invariants want every line
	_, err = tx.Exec(t.Context(), "delete from agentexec.activity_log where seq = 2")
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select agentexec.append_log($1, 'go', status => 'RUNNING', at_seq => 2)", agent)
	requireRefused(t, err, "TA409", "last_seq 3", "line 2")
}

// Of two workers that write the same line number, one is refused.
func TestTwoWorkersAtOneSeq(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	holder, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select agentexec.append_log($1, 'one', at_seq => 3)", agent)
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() {
		_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, 'two', at_seq => 3)", agent)
		failed <- err
	}()
	awaitBlocked(b)
	require.NoError(t, holder.Commit(t.Context()))
	requireRefused(t, <-failed, "TA409", "last_seq 3")
}

// append_logs leaves out the entries that are stored already, and writes the others.
func TestAppendLogsAtSeq(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one1, two := b.create("research"), b.create("research")
	batch := fmt.Sprintf(`[{"agent_id": "%[1]s", "message": "a", "status": "RUNNING", "at_seq": 2, "percentage": 5.5},
		{"agent_id": "%[2]s", "message": "free"},
		{"agent_id": "%[1]s", "message": "b", "data": {"n": [1]}, "at_seq": "3"},
		{"agent_id": "%[1]s", "message": "c"}]`, one1, two)
	call := "select r::text from agentexec.append_logs($1) r"
	require.Equal(t, []string{
		fmt.Sprintf("(%s,4,RUNNING,1,f)", one1), fmt.Sprintf("(%s,2,QUEUED,1,f)", two),
	}, all[string](t, b.pool, call, []byte(batch)))

	// Again: lines 2 and 3 are stored; the entries without at_seq are written.
	require.Equal(t, []string{
		fmt.Sprintf("(%s,5,RUNNING,1,f)", one1), fmt.Sprintf("(%s,3,QUEUED,1,f)", two),
	}, all[string](t, b.pool, call, []byte(batch)))
	require.Equal(t, []string{"Agent queued", "a", "b", "c", "c"}, messages(b, one1))

	// Only stored entries: nothing is written, and the state is still returned.
	before := contents(t, b.pool)
	for range 2 {
		require.Equal(t, []string{fmt.Sprintf("(%s,5,RUNNING,1,f)", one1)}, all[string](t, b.pool, call,
			fmt.Appendf(nil, `[{"agent_id": "%[1]s", "message": "b", "data": {"n": [1]}, "at_seq": 3}, {"agent_id": "%[1]s", "message": "c", "at_seq": 4}]`, one1)))
	}
	for entry, words := range map[string][]string{
		`"message": "x", "at_seq": 3`:              {"entries[1]", "last_seq 5", "line 3"},
		`"message": "x", "at_seq": 6`:              {"entries[1]", "last_seq 5", "at_seq 6"}, // 6 is the entry before
		`"message": "x", "at_seq": 8`:              {"entries[1]", "last_seq 5", "at_seq 8"},
		`"message": "b", "at_seq": 3`:              {"entries[1]", "line 3"}, // without its data
		`"message": "x", "at_seq": 2147483647`:     {"entries[1]", "last_seq 5"},
		`"message": "c", "at_seq": 4, "data": "x"`: {"entries[1]", "line 4"},
	} {
		_, err := b.pool.Exec(t.Context(), call, fmt.Appendf(nil, `[{"agent_id": "%[1]s", "message": "new"}, {"agent_id": "%[1]s", %[2]s}]`, one1, entry))
		requireRefused(t, err, "TA409", words...)
	}
	for _, seq := range []string{`0`, `-1`, `1.5`, `"x"`, `3000000000`, `[]`, `{}`, `true`} {
		_, err := b.pool.Exec(t.Context(), call, fmt.Appendf(nil, `[{"agent_id": "%s", "message": "new", "at_seq": %s}]`, one1, seq))
		requireRefused(t, err, "TA422", "entries[0]", "at_seq")
	}
	require.Equal(t, before, contents(t, b.pool))
	require.Equal(t, []string{fmt.Sprintf("(%s,6,RUNNING,1,f)", one1)}, all[string](t, b.pool, call,
		fmt.Appendf(nil, `[{"agent_id": "%[1]s", "message": "b", "data": {"n": [1]}, "at_seq": 3}, {"agent_id": "%[1]s", "message": "d", "at_seq": 6}, {"agent_id": "%[1]s", "message": "Agent queued", "percentage": 0, "at_seq": 1}]`, one1)))
}

// Each line has the attempt that it belongs to, also within one call.
func TestLinesOfAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("ERROR")
	require.Equal(t, 3, one[int](t, b.pool, "select attempt from agentexec.append_logs($1)", []entry{
		{"agent_id": agent, "message": "trailing"},
		{"agent_id": agent, "message": "again", "status": "QUEUED"},
		{"agent_id": agent, "message": "go", "status": "RUNNING"},
		{"agent_id": agent, "message": "failed", "status": "ERROR"},
		{"agent_id": agent, "message": "third", "status": "RUNNING"},
	}))
	require.Equal(t, 3, one[int](t, b.pool, "select attempt from agentexec.append_log($1, 'x')", agent))
	b.exec(`insert into agentexec.activity_log (activity_id, message, status, attempt, cancel_requested)
		select id, m, s::agentexec.status, 77, true from agentexec.activity, unnest('{failed,fourth,line}'::text[], '{ERROR,RUNNING,null}'::text[]) l(m, s) where agent_id = $1`, agent)
	require.Equal(t, []int{1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4},
		all[int](t, b.pool, "select l.attempt from agentexec.activity_log l order by l.seq"))
	require.Equal(t, 4, readActivity(t, b.pool, agent).Attempt)
}

func messages(b *bundle, agent uuid.UUID) []string {
	b.Helper()
	return all[string](b.T, b.pool, `select l.message from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
		where a.agent_id = $1 order by l.seq`, agent)
}

// An error names the entry as it was given, also where entries before it were left out.
func TestAppendLogsNamesTheEntryGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	_, err := b.pool.Exec(t.Context(), "select agentexec.append_logs($1)", []entry{
		{"agent_id": agent, "message": "go", "at_seq": 2}, {"agent_id": agent, "message": "c", "status": "COMPLETE", "at_seq": 3},
		{"agent_id": agent, "message": "r", "status": "RUNNING", "at_seq": 4},
	})
	requireRefused(t, err, "TA409", "entries[2]", "COMPLETE", "RUNNING")
}

// An activity that was created while append_logs waited for another one is found.
func TestAppendLogsWaitsForANewActivity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent, fresh := b.in("RUNNING"), uuid.New()
	holder, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select agentexec.append_log($1, 'first')", agent)
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "select agentexec.create_activity('x', agent_id => $1)", fresh)
	require.NoError(t, err)
	wait := background[int](b, "select count(*) from agentexec.append_logs($1)", []entry{
		{"agent_id": agent, "message": "second"}, {"agent_id": fresh, "message": "second"}})
	awaitBlocked(b)
	require.NoError(t, holder.Commit(t.Context()))
	require.Equal(t, 2, wait())
}
