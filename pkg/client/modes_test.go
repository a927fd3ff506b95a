package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// Every method with every argument, in every exec mode of pgx, on everything that is a DB.
func TestEveryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(strings.ReplaceAll(mode.String(), " ", ""), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			pool := db.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			t.Run("Pool", func(t *testing.T) { useEverything(t, client.New(pool)) })
			t.Run("Conn", func(t *testing.T) {
				conn, err := pool.Acquire(t.Context())
				require.NoError(t, err)
				defer conn.Release()
				useEverything(t, client.New(conn.Conn()))
				useEverything(t, client.New(conn))
			})
			t.Run("Tx", func(t *testing.T) {
				tx, err := pool.Begin(t.Context())
				require.NoError(t, err)
				defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) }()
				useEverything(t, client.New(tx))
				useEverything(t, client.New(pool, &client.Config{}).WithTx(tx))
			})
		})
	}
}

// A pooler in transaction mode gives every statement whatever server connection is free. Here it is a new one each
// time, so nothing of the session before can help.
func TestEveryStatementOnAnotherConnection(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(strings.ReplaceAll(mode.String(), " ", ""), func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t).Pool(t, func(c *pgxpool.Config) {
				c.ConnConfig.DefaultQueryExecMode = mode
				c.AfterRelease = func(*pgx.Conn) bool { return false }
			})
			c := client.New(pool, &client.Config{PollOnly: true, MinPoll: time.Millisecond})
			useEverything(t, c)
			got, err := collect(t, c.Watch(t.Context(), finished(t, c), 0))
			require.NoError(t, err)
			require.Len(t, got, 3)
		})
	}
}

func TestAnotherSchema(t *testing.T) {
	t.Parallel()
	// A reserved word: it only works quoted. Both names in one database do not meet.
	db := pgtest.New(t)
	require.NoError(t, migrate.Up(t.Context(), db.Conn(t), &migrate.Options{Schema: "order"}))
	pool := db.Pool(t)
	c := client.New(pool, &client.Config{Schema: "order", MinPoll: time.Hour, MaxPoll: time.Hour})
	useEverything(t, c)

	n, err := client.New(pool).CountActive(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, n)

	// The other schema has wake-ups of its own: nothing polls here within the hour.
	id, err := c.Create(t.Context(), "research", "")
	require.NoError(t, err)
	for line, err := range c.Watch(t.Context(), id, 0) {
		require.NoError(t, err)
		if line.Seq == 1 {
			_, err := c.Complete(t.Context(), id, "")
			require.NoError(t, err)
		}
	}
}

func TestSchemaThatIsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := client.New(b.pool, &client.Config{Schema: `none"; drop schema agentexec cascade; --`})
	_, err := c.Create(b.ctx, "research", "")
	var dbErr *client.DBError
	require.ErrorAs(t, err, &dbErr)
	require.Equal(t, "3F000", dbErr.Code)
	require.Contains(t, dbErr.Message, "none")
	_, err = collect(t, c.Watch(b.ctx, uuid.New(), 0))
	require.ErrorAs(t, err, &dbErr)
	require.Equal(t, "3F000", dbErr.Code)
	b.create(t)
}

// finished makes an activity with three lines.
func finished(t *testing.T, c *client.Client) uuid.UUID {
	id := must[uuid.UUID](t)(c.Create(t.Context(), "research", ""))
	must[client.Log](t)(c.Update(t.Context(), id, "two"))
	must[client.Log](t)(c.Complete(t.Context(), id, "three"))
	return id
}

// useEverything calls every method but Watch, with and without what is optional.
func useEverything(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, tag := t.Context(), uuid.NewString()
	meta := map[string]any{"tag": tag, "n": 1.5, "nil": nil, "list": []any{"a", true}}
	filter := map[string]any{"tag": tag}

	id := uuid.New()
	require.Equal(t, id, must[uuid.UUID](t)(c.Create(ctx, "it's \\ $1", "tell 'em", client.WithAgentID(id), client.WithMetadata(meta))))
	plain := must[uuid.UUID](t)(c.Create(ctx, "plain", "", client.WithMetadata(filter)))

	line := must[client.Log](t)(c.Update(ctx, id, "", client.WithPercentage(7), client.WithStatus(client.StatusRunning),
		client.WithData(map[string]any{"k": "v'\\"})))
	require.Equal(t, 2, line.Seq)
	require.Empty(t, line.Message)
	require.Equal(t, client.StatusRunning, line.Status)
	require.Equal(t, 7, *line.Percentage)
	require.JSONEq(t, `{"k": "v'\\"}`, string(line.Data))
	require.Equal(t, time.UTC, line.CreatedAt.Location())
	line = must[client.Log](t)(c.Update(ctx, id, "a -- comment /* and */ $1 :x"))
	require.Equal(t, "a -- comment /* and */ $1 :x", line.Message)
	require.Nil(t, line.Percentage)
	require.Nil(t, line.Data)

	entries := []client.Entry{
		{AgentID: id, Message: "m", Percentage: new(0), Status: client.StatusError, Data: []int{1}, AtSeq: 4},
		{AgentID: plain, Message: ""},
	}
	require.Equal(t, []client.AppendResult{
		{AgentID: id, LastSeq: 4, Status: client.StatusError, Attempt: 1}, {AgentID: plain, LastSeq: 2, Status: client.StatusQueued, Attempt: 1},
	}, must[[]client.AppendResult](t)(c.AppendLogs(ctx, entries)))
	require.Equal(t, 4, must[[]client.AppendResult](t)(c.AppendLogs(ctx, entries[:1]))[0].LastSeq)
	require.Equal(t, int64(1), must[int64](t)(c.CountActive(ctx, filter)))
	require.Contains(t, must[[]uuid.UUID](t)(c.PendingIDs(ctx)), plain)
	require.Equal(t, client.Counts{ByStatus: map[client.Status]int64{"QUEUED": 1, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0}},
		must[client.Counts](t)(c.CountByStatus(ctx, client.CountParams{AgentType: "plain", MetadataFilter: filter})))

	list := must[*client.List](t)(c.List(ctx, client.ListParams{Page: 2, PageSize: 1, MetadataFilter: filter,
		Statuses: []client.Status{client.StatusQueued, client.StatusError}, AgentType: "it's \\ $1", IncludeMetadata: true}))
	require.Equal(t, 1, *list.Total)
	require.Empty(t, list.Items)
	list = must[*client.List](t)(c.List(ctx, client.ListParams{PageSize: 1, MetadataFilter: filter}))
	require.Equal(t, plain, list.Items[0].AgentID)
	list = must[*client.List](t)(c.List(ctx, client.ListParams{After: *list.Next, MetadataFilter: filter, IncludeMetadata: true}))
	require.Equal(t, id, list.Items[0].AgentID)
	require.Equal(t, meta, object(t, list.Items[0].Metadata))

	detail := must[*client.Detail](t)(c.Detail(ctx, id, client.DetailParams{
		AfterSeq: 1, LogLimit: new(2), MetadataFilter: filter, IncludeMetadata: true}))
	require.Len(t, detail.Logs, 2)
	require.Equal(t, meta, object(t, detail.Metadata))
	got, err := collect(t, c.Logs(ctx, id, 1))
	require.NoError(t, err)
	require.Len(t, got, 3)

	must[client.Log](t)(c.Update(ctx, id, "again", client.WithStatus(client.StatusQueued)))
	require.Equal(t, 0, must[int](t)(c.CancelPending(ctx, client.CancelPendingParams{
		AgentType: "plain", MetadataFilter: filter, IdleFor: time.Hour, Message: "too old"})))
	require.Equal(t, 2, must[int](t)(c.CancelPending(ctx, client.CancelPendingParams{MetadataFilter: filter})))

	for want, end := range map[string]func(uuid.UUID) (client.Log, error){
		"COMPLETE Agent completed": func(id uuid.UUID) (client.Log, error) { return c.Complete(ctx, id, "") },
		"COMPLETE m": func(id uuid.UUID) (client.Log, error) {
			return c.Complete(ctx, id, "m", client.WithPercentage(75), client.WithData("d"))
		},
		"ERROR Agent failed":        func(id uuid.UUID) (client.Log, error) { return c.Error(ctx, id, "") },
		"ERROR m":                   func(id uuid.UUID) (client.Log, error) { return c.Error(ctx, id, "m", client.WithData(1)) },
		"CANCELED Cancel requested": func(id uuid.UUID) (client.Log, error) { return c.Cancel(ctx, id, "") },
		"CANCELED m": func(id uuid.UUID) (client.Log, error) {
			return c.Cancel(ctx, id, "m", client.WithGrace(time.Hour), client.WithRequestedBy("it's me"))
		},
	} {
		line := must[client.Log](t)(end(must[uuid.UUID](t)(c.Create(ctx, "end", ""))))
		require.Equal(t, want, line.Status.String()+" "+line.Message)
	}
	useLifecycle(t, c)
}

// useLifecycle calls the functions for heartbeats, cancel requests and at_seq, with and without their optional arguments.
func useLifecycle(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, filter := t.Context(), map[string]any{"tag": uuid.NewString()}
	id := must[uuid.UUID](t)(c.Create(ctx, "lifecycle", "", client.WithMetadata(filter)))
	must[client.Log](t)(c.Update(ctx, id, "go", client.WithStatus(client.StatusRunning), client.WithAtSeq(2)))
	again := must[client.Log](t)(c.Update(ctx, id, "go", client.WithStatus(client.StatusRunning), client.WithAtSeq(2)))
	require.Equal(t, 2, again.Seq)
	running := client.HeartbeatResult{Status: client.StatusRunning, Attempt: 1}
	require.Equal(t, running, must[client.HeartbeatResult](t)(c.Heartbeat(ctx, id, 90*time.Second)))
	require.Equal(t, running, must[client.HeartbeatResult](t)(c.Heartbeat(ctx, id, 0)))

	stale := func(is bool) []client.ListItem {
		return must[*client.List](t)(c.List(ctx, client.ListParams{MetadataFilter: filter, Stale: &is})).Items
	}
	require.Empty(t, stale(true))
	require.Len(t, stale(false), 1)
	require.Equal(t, 90*time.Second, stale(false)[0].ExpectEvery.Duration())

	asked := must[client.Log](t)(c.Cancel(ctx, id, "", client.WithoutForce(), client.WithRequestedBy("o'p")))
	require.Equal(t, client.StatusRunning, asked.Status)
	require.JSONEq(t, `{"requested_by": "o'p"}`, string(asked.Data))
	require.Equal(t, client.HeartbeatResult{Status: client.StatusRunning, Attempt: 1, CancelRequested: true, CancelMessage: "Cancel requested"},
		must[client.HeartbeatResult](t)(c.Heartbeat(ctx, id, 0)))
	line := must[client.Log](t)(c.Update(ctx, id, "on my way"))
	require.True(t, line.CancelRequested)
	require.Equal(t, 1, line.Attempt)
	require.Equal(t, client.Swept{}, must[client.Swept](t)(c.Sweep(ctx, 0)))
	require.Equal(t, client.Swept{}, must[client.Swept](t)(c.Sweep(ctx, 7)))
	require.Equal(t, client.StatusCanceled, must[client.Log](t)(c.Cancel(ctx, id, "now", client.WithGrace(0))).Status)
}
