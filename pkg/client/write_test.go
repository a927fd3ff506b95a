package client_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := must[uuid.UUID](t)(b.c.Create(b.ctx, "research", "hello", client.WithMetadata(map[string]any{"org": "1"})))
	require.Equal(t, uuid.Version(4), id.Version())
	d := must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{}))
	require.Equal(t, client.Activity{
		AgentID: id, AgentType: "research", Status: client.StatusQueued, LatestPercentage: new(0), LastSeq: 1, Attempt: 1,
		CreatedAt: d.CreatedAt, UpdatedAt: d.CreatedAt, LastSeenAt: d.CreatedAt,
	}, d.Activity)
	require.WithinDuration(t, time.Now(), d.CreatedAt, time.Minute)
	require.Equal(t, []client.Log{{
		ID: d.Logs[0].ID, Seq: 1, Message: "hello", Status: client.StatusQueued, Percentage: new(0), CreatedAt: d.CreatedAt, Attempt: 1,
	}}, d.Logs)

	empty := must[uuid.UUID](t)(b.c.Create(b.ctx, "research", "", client.WithMetadata(nil)))
	d = must[*client.Detail](t)(b.c.Detail(b.ctx, empty, client.DetailParams{IncludeMetadata: true}))
	require.Equal(t, "Agent queued", d.Logs[0].Message)
	require.Nil(t, d.Metadata)
}

func TestALife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	state := func() client.Activity {
		return must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{LogLimit: new(0)})).Activity
	}

	running := must[client.Log](t)(b.c.Update(b.ctx, id, "go", client.WithStatus(client.StatusRunning)))
	require.Equal(t, &running.CreatedAt, state().StartedAt)
	must[client.Log](t)(b.c.Update(b.ctx, id, "half", client.WithPercentage(50)))
	failed := must[client.Log](t)(b.c.Error(b.ctx, id, "no"))
	require.Equal(t, &failed.CreatedAt, state().FinishedAt)
	require.Equal(t, 50, *state().LatestPercentage)

	must[client.Log](t)(b.c.Update(b.ctx, id, "retry", client.WithStatus(client.StatusRunning)))
	require.Equal(t, 2, state().Attempt)
	require.Nil(t, state().FinishedAt)
	must[client.Log](t)(b.c.Complete(b.ctx, id, "done", client.WithPercentage(99)))
	require.Equal(t, 99, *state().LatestPercentage)

	trailing := must[client.Log](t)(b.c.Update(b.ctx, id, "trailing"))
	require.Equal(t, client.StatusComplete, trailing.Status)
	require.Equal(t, 7, trailing.Seq)
	require.Equal(t, 7, state().LastSeq)

	// A worker learns from its next line that it was canceled.
	id = b.create(t)
	must[client.Log](t)(b.c.Cancel(b.ctx, id, "enough"))
	line := must[client.Log](t)(b.c.Update(b.ctx, id, "still at it"))
	require.True(t, line.Status.IsFinal())
}

func TestCancelPending(t *testing.T) {
	t.Parallel()
	b := setup(t)
	org := func(n int) client.CreateOption { return client.WithMetadata(map[string]any{"org": n, "ok": true}) }
	one, two, idle, done := b.create(t, org(1)), b.create(t, org(2)), b.create(t), b.create(t)
	must[client.Log](t)(b.c.Complete(b.ctx, done, ""))
	b.db.Exec(t, "update agentexec.activity set updated_at = now() - interval '90 minutes' where agent_id = $1", idle)

	cancel := func(p client.CancelPendingParams) int { return must[int](t)(b.c.CancelPending(b.ctx, p)) }
	require.Equal(t, 0, cancel(client.CancelPendingParams{AgentType: "other"}))
	require.Equal(t, 0, cancel(client.CancelPendingParams{IdleFor: 90*time.Minute + time.Minute}))
	require.Equal(t, 1, cancel(client.CancelPendingParams{IdleFor: 90 * time.Minute, Message: "reaped"}))
	require.Equal(t, 1, cancel(client.CancelPendingParams{MetadataFilter: map[string]any{"org": 1, "ok": true}}))
	require.Equal(t, []uuid.UUID{two}, must[[]uuid.UUID](t)(b.c.PendingIDs(b.ctx)))
	require.Equal(t, 1, cancel(client.CancelPendingParams{}))
	require.Empty(t, must[[]uuid.UUID](t)(b.c.PendingIDs(b.ctx)))

	for id, want := range map[uuid.UUID][]string{
		one: {"Agent queued", "Canceled"}, idle: {"Agent queued", "reaped"}, done: {"Agent queued", "Agent completed"},
	} {
		got, err := collect(t, b.c.Logs(b.ctx, id, 0))
		require.NoError(t, err)
		require.Equal(t, want, messages(t, got, 1))
	}
}

func TestAppendLogs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.create(t), b.create(t)
	require.Equal(t, []client.AppendResult{
		{AgentID: one, LastSeq: 4, Status: client.StatusComplete, Attempt: 1},
		{AgentID: two, LastSeq: 2, Status: client.StatusQueued, Attempt: 1},
	}, must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, []client.Entry{
		{AgentID: one, Message: "a", Status: client.StatusRunning, Percentage: new(10)},
		{AgentID: two, Message: "b", Data: map[string]int{"n": 1}},
		{AgentID: one, Message: "c", Data: json.RawMessage(`[1.10]`)},
		{AgentID: one, Message: "d", Status: client.StatusComplete, Percentage: new(100)},
	})))
	got, err := collect(t, b.c.Logs(b.ctx, one, 1))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c", "d"}, messages(t, got, 2))
	require.Equal(t, "[1.10]", string(got[1].Data))
	require.Equal(t, []client.Status{"RUNNING", "RUNNING", "COMPLETE"}, []client.Status{got[0].Status, got[1].Status, got[2].Status})

	for _, none := range [][]client.Entry{nil, {}} {
		require.Empty(t, must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, none)))
	}

	// All or none, and the message names the entry.
	_, err = b.c.AppendLogs(b.ctx, []client.Entry{{AgentID: two, Message: "ok"}, {AgentID: uuid.Nil, Message: "lost"}})
	require.ErrorIs(t, err, client.ErrNotFound)
	require.ErrorContains(t, err, "entries[1]")
	got, err = collect(t, b.c.Logs(b.ctx, two, 1))
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, messages(t, got, 2))
}

func TestMessages(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const mib = 1 << 20
	for name, mode := range map[string]pgx.QueryExecMode{
		"Extended": pgx.QueryExecModeCacheStatement, "Simple": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := db.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			c := client.New(pool)
			id := must[uuid.UUID](t)(c.Create(t.Context(), "messages", ""))
			written := []string{"Agent queued"}
			for _, message := range []string{
				"", " ", "ünï-漢字-🙂-\u200e-\ufffd", "line\nbreak\ttab\r\x01\x1f\x7f", `back\slash "quote" 'single' <&>`, "\u2028",
				strings.Repeat("x", mib), strings.Repeat("🙂", mib/4), strings.Repeat("\x01", mib/16),
			} {
				require.Equal(t, message, must[client.Log](t)(c.Update(t.Context(), id, message)).Message)
				must[[]client.AppendResult](t)(c.AppendLogs(t.Context(), []client.Entry{{AgentID: id, Message: message}}))
				written = append(written, message, message)
			}
			for _, message := range []string{strings.Repeat("x", mib+1), "nul\x00", "\x00", "broken\xff", "\xed\xa0\x80"} {
				_, err := c.Update(t.Context(), id, message)
				require.ErrorIs(t, err, client.ErrInvalid)
				_, err = c.AppendLogs(t.Context(), []client.Entry{{AgentID: id, Message: message}})
				require.ErrorIs(t, err, client.ErrInvalid)
			}
			got, err := collect(t, c.Logs(t.Context(), id, 0))
			require.NoError(t, err)
			require.Equal(t, written, messages(t, got, 1))
		})
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	text := "nil"
	for _, test := range []struct {
		data any
		want string // "" = none
	}{
		{nil, ""},
		{json.RawMessage("null"), ""},
		{(*string)(nil), ""},
		{&text, `"nil"`},
		{"", `""`},
		{0, `0`},
		{false, `false`},
		{[]int{}, `[]`},
		{map[string]any{}, `{}`},
		{json.RawMessage(`123456789012345678901234567890.10`), `123456789012345678901234567890.10`},
		{struct {
			A []any `json:"a"`
		}{[]any{nil, "é\u2028<"}}, "{\"a\": [null, \"é\u2028<\"]}"},
		{[]byte("bytes"), `"Ynl0ZXM="`},
	} {
		line := must[client.Log](t)(b.c.Update(b.ctx, id, "m", client.WithData(test.data)))
		require.Equal(t, test.want, string(line.Data))
		must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, []client.Entry{{AgentID: id, Message: "m", Data: test.data}}))
		got := must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{AfterSeq: line.Seq}))
		require.Equal(t, test.want, string(got.Logs[0].Data))
	}
	for _, data := range []any{make(chan int), json.RawMessage("{"), "nul\x00", map[string]any{"\x00": 1}} {
		_, err := b.c.Update(b.ctx, id, "m", client.WithData(data))
		require.ErrorIs(t, err, client.ErrInvalid)
		_, err = b.c.AppendLogs(b.ctx, []client.Entry{{AgentID: id, Message: "m", Data: data}})
		require.ErrorIs(t, err, client.ErrInvalid)
	}

	// The JSON null and nothing are told apart in the table, as the caller did.
	var isNull []bool
	rows, err := b.pool.Query(b.ctx, "select l.data is null from agentexec.activity_log l where l.seq in (2, 4) order by l.seq")
	require.NoError(t, err)
	isNull, err = pgx.CollectRows(rows, pgx.RowTo[bool])
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, isNull)
}

func TestCancelPendingCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stuck := b.create(t)
	b.create(t)
	tx, err := b.db.Pool(t).Begin(b.ctx)
	require.NoError(t, err)
	must[client.Log](t)(b.c.WithTx(tx).Update(b.ctx, stuck, "and then idle in the transaction"))
	require.Equal(t, client.CancelPendingCounts{Canceled: 1, Skipped: 1},
		must[client.CancelPendingCounts](t)(b.c.CancelPendingCounts(b.ctx, client.CancelPendingParams{})))
	require.NoError(t, tx.Commit(b.ctx))
	require.Equal(t, 1, must[int](t)(b.c.CancelPending(b.ctx, client.CancelPendingParams{})))
}
