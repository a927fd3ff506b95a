package sql_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const (
	moves   = "moves"   // the status changes
	retries = "retries" // the status changes and a new attempt begins
	kept    = "kept"    // the line is stored and changes neither status nor times
	refused = "refused" // TA409, nothing is written
)

// transitions is the state machine of the contract: what a line asking for the second status does to the first.
var transitions = map[string]map[string]string{
	"QUEUED":   {"": kept, "QUEUED": kept, "RUNNING": moves, "COMPLETE": moves, "ERROR": moves, "CANCELED": moves},
	"RUNNING":  {"": kept, "QUEUED": moves, "RUNNING": kept, "COMPLETE": moves, "ERROR": moves, "CANCELED": moves},
	"COMPLETE": {"": kept, "QUEUED": refused, "RUNNING": refused, "COMPLETE": kept, "ERROR": refused, "CANCELED": refused},
	"ERROR":    {"": kept, "QUEUED": retries, "RUNNING": retries, "COMPLETE": refused, "ERROR": kept, "CANCELED": moves},
	"CANCELED": {"": kept, "QUEUED": refused, "RUNNING": refused, "COMPLETE": refused, "ERROR": refused, "CANCELED": kept},
}

func isFinal(status string) bool {
	return status == "COMPLETE" || status == "ERROR" || status == "CANCELED"
}

// activity is the part of an activity's row that a line may change.
type activity struct {
	Status           string
	LatestPercentage *int
	LastSeq          int
	Attempt          int
	UpdatedAt        time.Time
	StartedAt        *time.Time
	FinishedAt       *time.Time
}

func readActivity(t *testing.T, q querier, agent uuid.UUID) activity {
	t.Helper()
	rows, err := q.Query(t.Context(), `select a.status::text, a.latest_percentage, a.last_seq, a.attempt, a.updated_at,
		a.started_at, a.finished_at from agentexec.activity a where a.agent_id = $1`, agent)
	require.NoError(t, err)
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[activity])
	require.NoError(t, err)
	return a
}

type writtenLine struct {
	Message    string
	Status     string
	Percentage *int
	Data       *string
	CreatedAt  time.Time
}

func readLine(t *testing.T, q querier, agent uuid.UUID, seq int) writtenLine {
	t.Helper()
	rows, err := q.Query(t.Context(), `select l.message, l.status::text, l.percentage, l.data::text, l.created_at
		from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
		where a.agent_id = $1 and l.seq = $2`, agent, seq)
	require.NoError(t, err)
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[writtenLine])
	require.NoError(t, err)
	return l
}

func TestStateMachine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for from, targets := range transitions {
		for to, outcome := range targets {
			for _, d := range doors {
				for _, percentage := range []*int{nil, ptr(0), ptr(77)} {
					requireStep(b, d, from, to, outcome, percentage)
				}
			}
		}
	}
}

// requireStep writes one line to a new activity in status from, and checks all that it did.
func requireStep(b *bundle, d door, from, to, outcome string, percentage *int) {
	b.Helper()
	at := []any{"%s: %s -> %q", d.name, from, to}
	agent := b.in(from)
	before, everything := readActivity(b.T, b.pool, agent), contents(b.T, b.pool)

	l := line{agent: agent, message: "the line", percentage: percentage, data: []byte(`{"a": 1}`)}
	if to != "" {
		l.status = &to
	}
	err := d.write(b.Context(), b.pool, l)
	if outcome == refused {
		requireRefused(b.T, err, "TA409", agent.String(), from, to)
		require.Equal(b, everything, contents(b.T, b.pool), at...)
		return
	}
	require.NoError(b, err, at...)
	after := readActivity(b.T, b.pool, agent)
	written := readLine(b.T, b.pool, agent, before.LastSeq+1)

	want := before
	want.LastSeq++
	want.UpdatedAt = written.CreatedAt
	if percentage != nil && (outcome != kept || !isFinal(from)) { // a trailing line moves none
		want.LatestPercentage = percentage
	}
	if outcome != kept {
		want.Status = to
		want.FinishedAt = nil
		if isFinal(to) {
			want.FinishedAt = &written.CreatedAt
		}
		if to == "RUNNING" && before.StartedAt == nil {
			want.StartedAt = &written.CreatedAt
		}
	}
	if outcome == retries {
		want.Attempt++
	}
	require.Equal(b, want, after, at...)
	require.False(b, written.CreatedAt.Before(before.UpdatedAt), at...)
	written.CreatedAt = time.Time{}
	require.Equal(b, writtenLine{Message: "the line", Status: want.Status, Percentage: percentage, Data: ptr(`{"a": 1}`)},
		written, at...)
}

// A second RUNNING, after a retry or a return to the queue, leaves started_at at the first.
func TestStartedAtIsTheFirstRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, d := range doors {
		agent := b.create("research")
		require.Nil(t, readActivity(t, b.pool, agent).StartedAt)
		for i, status := range []string{"RUNNING", "QUEUED", "RUNNING", "ERROR", "QUEUED", "RUNNING", "ERROR", "RUNNING"} {
			require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: status, status: &status}))
			started := readLine(t, b.pool, agent, 2).CreatedAt
			require.Equal(t, started, *readActivity(t, b.pool, agent).StartedAt, "%s, line %d", d.name, i+2)
		}
		require.Equal(t, 3, readActivity(t, b.pool, agent).Attempt)
	}
}

// An ERROR that was never started, retried straight to the queue.
func TestRetryFromQueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	b.exec("select agentexec.error($1)", agent)
	b.exec("select agentexec.append_log($1, 'again', status => 'QUEUED')", agent)
	got := readActivity(t, b.pool, agent)
	require.Nil(t, got.StartedAt)
	require.Nil(t, got.FinishedAt)
	require.Equal(t, 2, got.Attempt)
}
