package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// Each sentinel, from each door that may answer it. Nothing is written then.
func TestSentinels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	none, taken, complete, failed, canceled := uuid.New(), b.create(t), b.create(t), b.create(t), b.create(t)
	must[client.Log](t)(b.c.Complete(b.ctx, complete, ""))
	must[client.Log](t)(b.c.Error(b.ctx, failed, ""))
	must[client.Log](t)(b.c.Cancel(b.ctx, canceled, ""))
	requested := b.create(t)
	must[client.Log](t)(b.c.Update(b.ctx, requested, "", client.WithStatus(client.StatusRunning)))
	must[client.Log](t)(b.c.Cancel(b.ctx, requested, ""))
	must[client.Log](t)(b.c.Error(b.ctx, requested, ""))
	lines := func() (n int) {
		require.NoError(t, b.pool.QueryRow(b.ctx, "select count(*) from agentexec.activity_log").Scan(&n))
		return n
	}
	before := lines()

	ctx, c := b.ctx, b.c
	big := strings.Repeat("x", 1<<20+1)
	update := func(id uuid.UUID, message string, opts ...client.UpdateOption) error {
		_, err := c.Update(ctx, id, message, opts...)
		return err
	}
	create := func(name, message string, opts ...client.CreateOption) error {
		_, err := c.Create(ctx, name, message, opts...)
		return err
	}
	entry := func(e client.Entry) error {
		_, err := c.AppendLogs(ctx, []client.Entry{e})
		return err
	}
	list := func(p client.ListParams) error {
		_, err := c.List(ctx, p)
		require.Equal(t, err, second(c.ListJSON(ctx, p)))
		return err
	}
	detail := func(id uuid.UUID, p client.DetailParams) error {
		_, err := c.Detail(ctx, id, p)
		require.Equal(t, err, second(c.DetailJSON(ctx, id, p)))
		return err
	}
	bad := map[string]any{"f": func() {}}

	for sentinel, errs := range map[error][]error{
		client.ErrNotFound: {
			update(none, "m"),
			second(c.Complete(ctx, none, "m")),
			second(c.Error(ctx, none, "m")),
			second(c.Cancel(ctx, none, "m")),
			second(c.Heartbeat(ctx, none, 0)),
			entry(client.Entry{AgentID: none, Message: "m"}),
			detail(none, client.DetailParams{}),
			detail(taken, client.DetailParams{MetadataFilter: map[string]any{"org": 1}}),
			second(collect(t, c.Logs(ctx, none, 0))),
			second(collect(t, c.Watch(ctx, none, 0))),
		},
		client.ErrFinished: {
			update(complete, "m", client.WithStatus(client.StatusRunning)),
			update(failed, "m", client.WithStatus(client.StatusComplete)),
			second(c.Complete(ctx, canceled, "m")),
			second(c.Complete(ctx, failed, "m")),
			second(c.Error(ctx, complete, "m")),
			second(c.Cancel(ctx, complete, "m")),
			update(taken, "m", client.WithAtSeq(7)),
			entry(client.Entry{AgentID: taken, Message: "m", AtSeq: 1}),
			update(requested, "again", client.WithStatus(client.StatusRunning)),
			entry(client.Entry{AgentID: canceled, Message: "m", Status: client.StatusQueued}),
		},
		client.ErrInvalid: {
			create("", ""), create(strings.Repeat("n", 256), ""), create("nul\x00", ""), create("n", big), create("n", "\xff"),
			create("n", "", client.WithMetadata(bad)), create("n", "", client.WithMetadata(map[string]any{"a": "\x00"})),
			update(taken, big), update(taken, "\x00"), update(taken, "m", client.WithPercentage(101)),
			update(taken, "m", client.WithPercentage(-1)), update(taken, "m", client.WithPercentage(1<<40)),
			update(taken, "m", client.WithStatus("")), update(taken, "m", client.WithStatus("running")),
			update(taken, "m", client.WithStatus("'")),
			second(c.Complete(ctx, taken, big)), second(c.Complete(ctx, taken, "m", client.WithPercentage(101))),
			second(c.Complete(ctx, taken, "m", client.WithStatus(client.StatusComplete))),
			second(c.Error(ctx, taken, big)), second(c.Error(ctx, taken, "m", client.WithStatus(client.StatusError))),
			second(c.Error(ctx, taken, "m", client.WithPercentage(1))),
			second(c.Cancel(ctx, taken, big)), second(c.Cancel(ctx, taken, "", client.WithGrace(-1000))),
			second(c.Cancel(ctx, taken, "", client.WithRequestedBy(strings.Repeat("x", 256)))),
			second(c.Cancel(ctx, taken, "", client.WithRequestedBy("\x00"))),
			second(c.Heartbeat(ctx, taken, time.Millisecond)), second(c.Heartbeat(ctx, taken, -time.Second)),
			second(c.Heartbeat(ctx, taken, 25*time.Hour)),
			second(c.Sweep(ctx, -1)), second(c.Sweep(ctx, 100_001)),
			update(taken, "m", client.WithAtSeq(0)), update(taken, "m", client.WithAtSeq(1<<40)),
			second(c.Complete(ctx, taken, "m", client.WithAtSeq(2))), second(c.Error(ctx, taken, "m", client.WithAtSeq(2))),
			entry(client.Entry{AgentID: taken, Message: "m", AtSeq: -1}), entry(client.Entry{AgentID: taken, Message: "m", AtSeq: 1 << 40}),
			second(c.CancelPending(ctx, client.CancelPendingParams{Message: big})),
			second(c.CancelPending(ctx, client.CancelPendingParams{IdleFor: -1000})),
			second(c.CancelPending(ctx, client.CancelPendingParams{MetadataFilter: bad})),
			entry(client.Entry{AgentID: taken, Message: big}), entry(client.Entry{AgentID: taken, Message: "\x00"}),
			entry(client.Entry{AgentID: taken, Percentage: new(101)}), entry(client.Entry{AgentID: taken, Percentage: new(1 << 40)}),
			entry(client.Entry{AgentID: taken, Status: "DONE"}), entry(client.Entry{AgentID: taken, Data: bad}),
			list(client.ListParams{Page: -1}), list(client.ListParams{Page: 1 << 40}), list(client.ListParams{PageSize: -1}),
			list(client.ListParams{PageSize: 1001}), list(client.ListParams{Statuses: []client.Status{"NO"}}),
			list(client.ListParams{After: "garbage"}), list(client.ListParams{After: "\x00"}),
			list(client.ListParams{AgentType: "\xff"}), list(client.ListParams{MetadataFilter: bad}),
			list(client.ListParams{Sort: "name"}), list(client.ListParams{Order: "up"}), list(client.ListParams{IDPrefix: "abc"}),
			second(c.FindID(ctx, "abc")), second(c.FindID(ctx, "")), second(c.Stats(ctx, client.StatsParams{Bucket: 1000})), second(client.ParseWhen("soon")),
			detail(taken, client.DetailParams{AfterSeq: -1}), detail(taken, client.DetailParams{LogLimit: new(-1)}),
			detail(taken, client.DetailParams{AfterSeq: 1 << 40}), detail(taken, client.DetailParams{MetadataFilter: bad}),
			second(c.CountActive(ctx, bad)),
			second(c.CountByStatus(ctx, client.CountParams{MetadataFilter: bad})),
			second(c.CountByStatus(ctx, client.CountParams{AgentType: "\xff"})),
			second(collect(t, c.Logs(ctx, taken, -1))),
			second(collect(t, c.Watch(ctx, taken, -1))),
			second(client.ParseStatus("queued")),
		},
		client.ErrExists: {create("n", "", client.WithAgentID(taken))},
	} {
		for i, err := range errs {
			require.ErrorIs(t, err, sentinel, "error %d", i)
			for _, other := range []error{client.ErrNotFound, client.ErrFinished, client.ErrInvalid, client.ErrExists} {
				require.Equal(t, errors.Is(sentinel, other), errors.Is(err, other))
			}
			var dbErr *client.DBError
			require.ErrorAs(t, err, &dbErr)
			require.Len(t, dbErr.Code, 5)
			require.NotEmpty(t, dbErr.Message)
			require.Equal(t, dbErr.Message+" (SQLSTATE "+dbErr.SQLState()+")", err.Error())
		}
	}
	require.Equal(t, before, lines())
}

func second[T any](_ T, err error) error { return err }

func TestDBError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	_, err := b.c.Update(b.ctx, id, "m", client.WithPercentage(101))
	var dbErr *client.DBError
	require.ErrorAs(t, err, &dbErr)
	require.Equal(t, "TA422", dbErr.Code)
	require.Equal(t, "percentage must be between 0 and 100, got 101", dbErr.Message)
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "TA422", pgErr.Code)

	_, err = b.c.Create(b.ctx, "n", "", client.WithAgentID(id))
	require.ErrorAs(t, err, &dbErr)
	require.Contains(t, dbErr.Detail, id.String())
}

// An error that is no refusal of the database keeps its own kind.
func TestOtherErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ended, cancel := context.WithCancel(b.ctx)
	cancel()
	for _, err := range []error{
		second(b.c.Create(ended, "n", "")), second(b.c.List(ended, client.ListParams{})), second(b.c.PendingIDs(ended)),
		second(collect(t, b.c.Logs(ended, uuid.New(), 0))), second(collect(t, b.c.Watch(ended, uuid.New(), 0))),
	} {
		require.ErrorIs(t, err, context.Canceled)
	}

	pool, err := pgxpool.New(b.ctx, "postgres://unknown@127.0.0.1:1/none?connect_timeout=5")
	require.NoError(t, err)
	defer pool.Close()
	_, err = client.New(pool).PendingIDs(b.ctx)
	var connectErr *pgconn.ConnectError
	require.ErrorAs(t, err, &connectErr)
	require.NotErrorIs(t, err, client.ErrInvalid)
	var dbErr *client.DBError
	require.NotErrorAs(t, err, &dbErr)
}

// A violation of a key of the log, such as after a restore without its sequence, says nothing about agent_ids.
func TestOtherUniqueViolations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	b.db.Exec(t, "select setval('agentexec.activity_log_id_seq', 1, false)")
	_, create := b.c.Create(b.ctx, "research", "")
	b.db.Exec(t, "select setval('agentexec.activity_log_id_seq', 1, false)")
	_, update := b.c.Update(b.ctx, id, "m")
	for _, err := range []error{create, update} {
		var dbErr *client.DBError
		require.ErrorAs(t, err, &dbErr)
		require.Equal(t, "23505", dbErr.Code)
		require.NotErrorIs(t, err, client.ErrExists)
	}
	require.ErrorIs(t, second(b.c.Create(b.ctx, "research", "", client.WithAgentID(id))), client.ErrExists)
}
