package sql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// logRow is the row the appending functions return.
type logRow struct {
	ID         int64
	ActivityID uuid.UUID
	Seq        int
	Message    string
	Status     string
	Percentage *int
	Data       *string
	CreatedAt  time.Time
}

func callForLine(b *bundle, call string, args ...any) logRow {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), `select l.id, l.activity_id, l.seq, l.message, l.status::text as status,
		l.percentage, l.data::text as data, l.created_at from agentexec.`+call+` l`, args...)
	require.NoError(b, err)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[logRow])
	require.NoError(b, err)

	stored, err := b.pool.Query(b.Context(), `select l.id, l.activity_id, l.seq, l.message, l.status::text as status,
		l.percentage, l.data::text as data, l.created_at from agentexec.activity_log l where l.id = $1`, row.ID)
	require.NoError(b, err)
	is, err := pgx.CollectExactlyOneRow(stored, pgx.RowToStructByName[logRow])
	require.NoError(b, err)
	require.Equal(b, is, row, "the row returned is the row written")
	return row
}

func TestCreateActivity(t *testing.T) {
	t.Parallel()
	b := setup(t)

	t.Run("Defaults", func(t *testing.T) {
		before := one[time.Time](t, b.pool, "select clock_timestamp()")
		agent := one[uuid.UUID](t, b.pool, "select agentexec.create_activity(task_name => 'research')")
		got := readActivity(t, b.pool, agent)
		require.Equal(t, activity{Status: "QUEUED", LatestPercentage: ptr(0), LastSeq: 1, Attempt: 1, UpdatedAt: got.UpdatedAt}, got)
		require.Equal(t, writtenLine{Message: "Agent queued", Status: "QUEUED", Percentage: ptr(0), CreatedAt: got.UpdatedAt},
			readLine(t, b.pool, agent, 1))
		created := one[time.Time](t, b.pool, "select created_at from agentexec.activity where agent_id = $1", agent)
		require.Equal(t, got.UpdatedAt, created)
		require.False(t, created.Before(before))
		require.Equal(t, "research", one[string](t, b.pool, "select agent_type from agentexec.activity where agent_id = $1", agent))
		require.Nil(t, one[*string](t, b.pool, "select metadata::text from agentexec.activity where agent_id = $1", agent))
	})

	t.Run("EverythingGiven", func(t *testing.T) {
		agent := uuid.New()
		require.Equal(t, agent, one[uuid.UUID](t, b.pool, `select agentexec.create_activity(
			task_name => 'research', message => 'hello', agent_id => $1, metadata => '{"org": "1"}')`, agent))
		require.Equal(t, "hello", readLine(t, b.pool, agent, 1).Message)
		require.JSONEq(t, `{"org": "1"}`,
			one[string](t, b.pool, "select metadata::text from agentexec.activity where agent_id = $1", agent))
	})

	t.Run("TakenAgentID", func(t *testing.T) {
		agent := b.in("RUNNING")
		before := contents(t, b.pool)
		_, err := b.pool.Exec(t.Context(), "select agentexec.create_activity('other', 'hi', $1)", agent)
		requireRefused(t, err, "23505", "activity_agent_id_key")
		require.Equal(t, before, contents(t, b.pool))
	})

	t.Run("AgentTypeAtItsBounds", func(t *testing.T) {
		for _, taskName := range []string{"x", strings.Repeat("x", 255), strings.Repeat("é", 255), strings.Repeat("🦀", 255)} {
			agent := b.create(taskName)
			require.Equal(t, taskName, one[string](t, b.pool, "select agent_type from agentexec.activity where agent_id = $1", agent))
		}
	})

	t.Run("JSONNullIsNoMetadata", func(t *testing.T) {
		agent := one[uuid.UUID](t, b.pool, "select agentexec.create_activity('research', metadata => 'null')")
		require.True(t, one[bool](t, b.pool, "select metadata is null from agentexec.activity where agent_id = $1", agent))
	})
}

func TestAppendingFunctions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	activityID := one[uuid.UUID](t, b.pool, "select id from agentexec.activity where agent_id = $1", agent)

	require := require.New(t)
	row := callForLine(b, "append_log(agent_id => $1, message => 'one')", agent)
	require.Equal(logRow{ID: row.ID, ActivityID: activityID, Seq: 2, Message: "one", Status: "QUEUED", CreatedAt: row.CreatedAt}, row)

	row = callForLine(b, `append_log(agent_id => $1, message => 'two', percentage => 40, status => 'RUNNING', data => '[1]')`, agent)
	require.Equal(logRow{ID: row.ID, ActivityID: activityID, Seq: 3, Message: "two", Status: "RUNNING", Percentage: ptr(40),
		Data: ptr("[1]"), CreatedAt: row.CreatedAt}, row)

	// Without a percentage the latest stays; the line itself has none.
	row = callForLine(b, "append_log($1, 'three')", agent)
	require.Equal("RUNNING", row.Status)
	require.Nil(row.Percentage)
	require.Equal(40, *readActivity(t, b.pool, agent).LatestPercentage)

	row = callForLine(b, "error(agent_id => $1)", agent)
	require.Equal("Agent failed", row.Message)
	require.Equal("ERROR", row.Status)
	require.Nil(row.Percentage)
	require.Equal(40, *readActivity(t, b.pool, agent).LatestPercentage, "a failure leaves the percentage where it was")

	row = callForLine(b, `error(agent_id => $1, message => 'again', data => '{"why": "x"}')`, agent)
	require.Equal("again", row.Message)
	require.JSONEq(`{"why": "x"}`, *row.Data)

	callForLine(b, "append_log($1, 'retry', status => 'RUNNING')", agent)
	row = callForLine(b, "complete(agent_id => $1)", agent)
	require.Equal("Agent completed", row.Message)
	require.Equal("COMPLETE", row.Status)
	require.Equal(100, *row.Percentage)
	require.Equal(100, *readActivity(t, b.pool, agent).LatestPercentage)

	row = callForLine(b, `complete(agent_id => $1, message => 'partly', percentage => 75, data => '"d"')`, agent)
	require.Equal("partly", row.Message)
	require.Equal(75, *row.Percentage)
	require.Equal(`"d"`, *row.Data)

	canceled := b.create("research")
	row = callForLine(b, "cancel(agent_id => $1)", canceled)
	require.Equal("Cancel requested", row.Message)
	require.Equal("CANCELED", row.Status)
	require.Nil(row.Percentage)
	require.Equal("stop", callForLine(b, "cancel(agent_id => $1, message => 'stop')", canceled).Message)
}

// A worker that goes on after a cancel sees it in the row it gets back.
func TestAppendReturnsCanceledStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.exec("select agentexec.cancel($1, grace => '0')", agent)
	require.Equal(t, "CANCELED", callForLine(b, "append_log($1, 'still at it', 50)", agent).Status)
	_, err := b.pool.Exec(t.Context(), "select agentexec.complete($1)", agent)
	requireRefused(t, err, "TA409", agent.String(), "CANCELED", "COMPLETE")
}

// complete, error and cancel refuse as append_log does, and leave nothing behind.
func TestEndingFunctionsKeepTheStateMachine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for call, to := range map[string]string{"complete($1)": "COMPLETE", "error($1)": "ERROR", "cancel($1, grace => '0')": "CANCELED"} {
		for from := range transitions {
			agent := b.in(from)
			before := contents(t, b.pool)
			_, err := b.pool.Exec(t.Context(), "select agentexec."+call, agent)
			if transitions[from][to] == refused {
				requireRefused(t, err, "TA409", agent.String(), from, to)
				require.Equal(t, before, contents(t, b.pool))
				continue
			}
			require.NoError(t, err)
			require.Equal(t, to, readActivity(t, b.pool, agent).Status)
		}
		_, err := b.pool.Exec(t.Context(), "select agentexec."+call, uuid.New())
		requireRefused(t, err, "TA404", "no activity")
	}
}
