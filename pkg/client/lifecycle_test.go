package client_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// running makes a RUNNING activity.
func (b *bundle) running(t *testing.T) uuid.UUID {
	t.Helper()
	id := b.create(t)
	must[client.Log](t)(b.c.Update(b.ctx, id, "go", client.WithStatus(client.StatusRunning)))
	return id
}

// state is the activity without its lines.
func (b *bundle) state(t *testing.T, id uuid.UUID) client.Activity {
	t.Helper()
	return must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{LogLimit: new(0)})).Activity
}

// silence moves the last line and heartbeat back in time by d.
func (b *bundle) silence(t *testing.T, id uuid.UUID, d time.Duration) {
	t.Helper()
	b.db.Exec(t, `update agentexec.activity_heartbeat h set beat_at = h.beat_at - $2::interval from agentexec.activity a
		where a.id = h.activity_id and a.agent_id = $1`, id, d.String())
	b.db.Exec(t, "update agentexec.activity a set updated_at = a.updated_at - $2::interval where a.agent_id = $1", id, d.String())
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	require.Zero(t, b.state(t, id).ExpectEvery)
	must[client.HeartbeatResult](t)(b.c.Heartbeat(b.ctx, id, 0))
	require.Equal(t, time.Minute, b.state(t, id).ExpectEvery.Duration())
	must[client.HeartbeatResult](t)(b.c.Heartbeat(b.ctx, id, time.Second))
	must[client.HeartbeatResult](t)(b.c.Heartbeat(b.ctx, id, 0))
	state := b.state(t, id)
	require.Equal(t, time.Second, state.ExpectEvery.Duration())
	require.Equal(t, 2, state.LastSeq)
	require.True(t, state.LastSeenAt.After(state.UpdatedAt))

	must[client.Log](t)(b.c.Complete(b.ctx, id, ""))
	require.Equal(t, client.HeartbeatResult{Status: client.StatusComplete, Attempt: 1},
		must[client.HeartbeatResult](t)(b.c.Heartbeat(b.ctx, id, time.Second)))
	require.Zero(t, b.state(t, id).ExpectEvery)
}

func TestStale(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.running(t) // made no promise, and is never stale
	id := b.running(t)
	must[client.HeartbeatResult](t)(b.c.Heartbeat(b.ctx, id, time.Second))
	// The time counts from the start of the server, so the promise must be shorter than the server's uptime.
	require.Eventually(t, func() bool {
		var is bool
		require.NoError(t, b.pool.QueryRow(b.ctx, "select now() - pg_postmaster_start_time() > '2 s'").Scan(&is))
		return is
	}, time.Minute, 10*time.Millisecond)
	b.silence(t, id, time.Hour)

	stale := must[*client.List](t)(b.c.List(b.ctx, client.ListParams{Stale: new(true)}))
	require.Len(t, stale.Items, 1)
	require.Equal(t, id, stale.Items[0].AgentID)
	require.True(t, stale.Items[0].Stale)
	require.Len(t, must[*client.List](t)(b.c.List(b.ctx, client.ListParams{Stale: new(false)})).Items, 1)
	counts := must[client.Counts](t)(b.c.CountByStatus(b.ctx, client.CountParams{}))
	require.EqualValues(t, 1, counts.Stale)
	require.EqualValues(t, 2, counts.ByStatus[client.StatusRunning])
	require.JSONEq(t, `{"QUEUED": 0, "RUNNING": 2, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0, "stale": 1}`,
		string(must[[]byte](t)(json.Marshal(counts))))

	must[client.HeartbeatResult](t)(b.c.Heartbeat(b.ctx, id, time.Hour))
	require.False(t, b.state(t, id).Stale)
	b.silence(t, id, 2*time.Hour)
	must[client.Log](t)(b.c.Complete(b.ctx, id, "late, and accepted")) // stale does not change the status
}

func TestCancelIsARequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	asked := must[client.Log](t)(b.c.Cancel(b.ctx, id, "enough", client.WithGrace(time.Hour), client.WithRequestedBy("ana")))
	state := b.state(t, id)
	require.Equal(t, client.StatusRunning, state.Status)
	require.Equal(t, &client.CancelRequest{
		Seq: asked.Seq, Message: new("enough"), RequestedAt: &asked.CreatedAt, RequestedBy: new("ana"), ForceAt: state.Cancel.ForceAt,
	}, state.Cancel)
	require.WithinDuration(t, asked.CreatedAt.Add(time.Hour), *state.Cancel.ForceAt, time.Minute)

	// Again: no second line, and the shorter grace period counts.
	require.Equal(t, asked.Seq, must[client.Log](t)(b.c.Cancel(b.ctx, id, "again", client.WithGrace(time.Minute))).Seq)
	require.Equal(t, asked.Seq, must[client.Log](t)(b.c.Cancel(b.ctx, id, "again", client.WithoutForce())).Seq)
	require.WithinDuration(t, asked.CreatedAt.Add(time.Minute), *b.state(t, id).Cancel.ForceAt, 30*time.Second)
	results := must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, []client.Entry{{AgentID: id, Message: "m"}}))
	require.True(t, results[0].CancelRequested)

	must[client.Log](t)(b.c.Cancel(b.ctx, id, "", client.WithGrace(time.Microsecond)))
	require.Equal(t, client.Swept{Forced: 1}, must[client.Swept](t)(b.c.Sweep(b.ctx, 0)))
	state = b.state(t, id)
	require.Equal(t, client.StatusCanceled, state.Status)
	require.True(t, state.Cancel.Forced)
	trailing := must[client.Log](t)(b.c.Update(b.ctx, id, "still at it"))
	require.True(t, trailing.CancelRequested)

	without := b.running(t)
	must[client.Log](t)(b.c.Cancel(b.ctx, without, "", client.WithoutForce()))
	require.Nil(t, b.state(t, without).Cancel.ForceAt)
	require.Zero(t, must[client.Swept](t)(b.c.Sweep(b.ctx, 0)))

	failed := b.running(t)
	must[client.Log](t)(b.c.Error(b.ctx, failed, ""))
	require.Equal(t, client.StatusCanceled, must[client.Log](t)(b.c.Cancel(b.ctx, failed, "")).Status)
}

func TestAtSeq(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.running(t)
	first := must[client.Log](t)(b.c.Update(b.ctx, id, "m", client.WithAtSeq(3), client.WithPercentage(4), client.WithData([]int{1})))
	require.Equal(t, first, must[client.Log](t)(b.c.Update(b.ctx, id, "m", client.WithAtSeq(3), client.WithPercentage(4), client.WithData([]int{1}))))
	for _, other := range [][]client.UpdateOption{
		{client.WithAtSeq(3)}, {client.WithAtSeq(5), client.WithPercentage(4), client.WithData([]int{1})},
	} {
		_, err := b.c.Update(b.ctx, id, "m", other...)
		require.ErrorIs(t, err, client.ErrFinished)
		require.ErrorContains(t, err, "last_seq 3")
	}

	entries := []client.Entry{{AgentID: id, Message: "a", AtSeq: 4}, {AgentID: id, Message: "b", AtSeq: 5, Status: client.StatusError}}
	want := []client.AppendResult{{AgentID: id, LastSeq: 5, Status: client.StatusError, Attempt: 1}}
	for range 2 {
		require.Equal(t, want, must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, entries)))
	}
	must[client.Log](t)(b.c.Update(b.ctx, id, "retry", client.WithStatus(client.StatusRunning)))
	lines := must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{AfterSeq: 4})).Logs
	require.Equal(t, []int{1, 2}, []int{lines[0].Attempt, lines[1].Attempt})
}
