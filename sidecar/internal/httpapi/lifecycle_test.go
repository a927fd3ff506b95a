package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/pkg/client"
)

// run makes an activity RUNNING.
func (b *apiBundle) run(t testing.TB) uuid.UUID {
	t.Helper()
	id := b.create(t)
	_, err := b.client.Update(t.Context(), id, "started", client.WithStatus(client.StatusRunning))
	require.NoError(t, err)
	return id
}

// detail reads an activity.
func (b *apiBundle) detail(t testing.TB, id uuid.UUID) client.Detail {
	t.Helper()
	return decoded[client.Detail](t, b.get(t, path(id), 200).text)
}

// TestAPICancelIsARequest: a RUNNING activity stays RUNNING, each answer to its worker has the request, and requested_by is the
// subject of the token.
func TestAPICancelIsARequest(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	id := b.run(t)
	r := b.post(t, path(id)+"/cancel", `{"message":"stop","grace":"5m"}`, 200)
	r.conforms(t, "ActivityLog")
	line := decoded[client.Log](t, r.text)
	require.Equal(t, client.StatusRunning, line.Status)
	require.True(t, line.CancelRequested)
	require.JSONEq(t, `{"requested_by":"ada"}`, string(line.Data))

	detail := b.detail(t, id)
	require.Equal(t, client.StatusRunning, detail.Status)
	require.Equal(t, line.Seq, detail.Cancel.Seq)
	require.Equal(t, "ada", *detail.Cancel.RequestedBy)
	require.False(t, detail.Cancel.Forced)
	require.InDelta(t, 300, detail.Cancel.ForceAt.Sub(*detail.Cancel.RequestedAt).Seconds(), 5)

	// Each answer to the worker says so.
	require.Contains(t, b.post(t, path(id)+"/logs", `{"message":"goes on"}`, 201).text, `"cancel_requested":true`)
	beat := b.post(t, path(id)+"/heartbeat", `{"expect_every":"30s"}`, 200)
	require.JSONEq(t, `{"status":"RUNNING","attempt":1,"cancel_requested":true,"cancel_message":"stop"}`, beat.text)

	// Again: no second line, the shorter grace.
	again := b.post(t, path(id)+"/cancel", `{"message":"stop now","grace":"1m"}`, 200)
	require.Equal(t, line.Seq, decoded[client.Log](t, again.text).Seq)
	require.True(t, b.detail(t, id).Cancel.ForceAt.Before(*detail.Cancel.ForceAt))

	// Forced: at once.
	forced := decoded[client.Log](t, b.post(t, path(id)+"/cancel", `{"force":true}`, 200).text)
	require.Equal(t, client.StatusCanceled, forced.Status)
	require.JSONEq(t, `{"forced":true,"requested_by":"ada"}`, string(forced.Data))
	require.True(t, b.detail(t, id).Cancel.Forced)

	// Never forced.
	patient := b.run(t)
	b.post(t, path(patient)+"/cancel", `{"grace":"never"}`, 200)
	require.Nil(t, b.detail(t, patient).Cancel.ForceAt)

	// A grace of 0 is force.
	other := b.run(t)
	require.Equal(t, client.StatusCanceled, decoded[client.Log](t, b.post(t, path(other)+"/cancel", `{"grace":"0s"}`, 200).text).Status)
}

// TestAPICancelKeepsALongSubject: requested_by is cut at 255 characters, of any number of bytes; without a token there is none.
func TestAPICancelKeepsALongSubject(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	grant := auth.Everything()
	grant.Subject = strings.Repeat("ä", 127)
	b.token = minted(t, grant)
	id := b.run(t)
	b.post(t, path(id)+"/cancel", "", 200)
	require.Equal(t, grant.Subject, *b.detail(t, id).Cancel.RequestedBy)

	open := setupAPI(t)
	id = open.run(t)
	open.post(t, path(id)+"/cancel", "", 200)
	require.Nil(t, open.detail(t, id).Cancel.RequestedBy)
}

// TestAPIHeartbeat: a heartbeat makes a promise, writes no line, and leaves a finished activity as it is.
func TestAPIHeartbeat(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.run(t)
	require.Nil(t, decoded[map[string]any](t, b.get(t, path(id), 200).text)["expect_every"])
	for _, step := range []struct {
		body string
		want json.Number
	}{{"", "60"}, {`{"expect_every":"1m30s"}`, "90"}, {`{"expect_every":null}`, "90"}, {`{"expect_every":"1.5s"}`, "1.5"}} {
		r := b.post(t, path(id)+"/heartbeat", step.body, 200)
		r.conforms(t, "HeartbeatResult")
		require.JSONEq(t, `{"status":"RUNNING","attempt":1,"cancel_requested":false,"cancel_message":null}`, r.text)
		require.Equal(t, step.want, decoded[map[string]any](t, b.get(t, path(id), 200).text)["expect_every"], step.body)
	}
	require.Equal(t, 2, b.detail(t, id).LastSeq)
	b.post(t, path(id)+"/complete", "", 200)
	require.JSONEq(t, `{"status":"COMPLETE","attempt":1,"cancel_requested":false,"cancel_message":null}`, b.post(t, path(id)+"/heartbeat", "", 200).text)
	require.Nil(t, decoded[map[string]any](t, b.get(t, path(id), 200).text)["expect_every"])
}

// TestAPIHeartbeatWhileWritesAreBlocked: a heartbeat is answered although other requests wait for row locks with every
// connection for writes.
func TestAPIHeartbeatWhileWritesAreBlocked(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	b.api.WriteSlots = NewSlots(1)
	leave := b.api.WriteSlots.Enter(t.Context())
	defer leave()
	id := b.run(t)
	b.post(t, path(id)+"/heartbeat", "", 200)
}

// TestAPIStale: a list, its filter and the counts know which activities are stale.
func TestAPIStale(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	silent, loud := b.run(t), b.run(t)
	b.post(t, path(loud)+"/heartbeat", `{"expect_every":"24h"}`, 200)
	b.post(t, path(silent)+"/heartbeat", `{"expect_every":"1s"}`, 200)
	require.Eventually(t, func() bool { return b.detail(t, silent).Stale }, time.Minute, 50*time.Millisecond)
	ids := func(query string) (all []uuid.UUID) {
		r := b.get(t, "/v1/activities"+query, 200)
		r.conforms(t, "ActivityList")
		for _, item := range decoded[client.List](t, r.text).Items {
			require.Equal(t, item.AgentID == silent, item.Stale)
			all = append(all, item.AgentID)
		}
		return all
	}
	require.Equal(t, []uuid.UUID{silent}, ids("?stale=true"))
	require.Equal(t, []uuid.UUID{loud}, ids("?stale=false"))
	require.ElementsMatch(t, []uuid.UUID{silent, loud}, ids("?stale="))
	require.JSONEq(t, `{"counts":{"QUEUED":0,"RUNNING":2,"COMPLETE":0,"ERROR":0,"CANCELED":0,"stale":1},"active":2}`, b.get(t, "/v1/stats", 200).text)
}

// TestAPIAppendAtSeq: a line sent again is answered and not written, and a line out of its turn is refused.
func TestAPIAppendAtSeq(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	body := `{"message":"once","percentage":5,"data":{"a":1},"at_seq":2}`
	first := b.post(t, path(id)+"/logs", body, 201)
	require.Equal(t, first.text, b.post(t, path(id)+"/logs", body, 201).text)
	require.Equal(t, 2, b.detail(t, id).LastSeq)
	b.post(t, path(id)+"/logs", `{"message":"another","at_seq":2}`, 409).problem(t, 409, "TA409")
}
