package client_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := func(p client.ListParams) *client.List { return must[*client.List](t)(b.c.List(b.ctx, p)) }
	require.Equal(t, &client.List{Items: []client.ListItem{}, Total: new(0), Page: new(1), PageSize: 50, Pages: new(0)}, list(client.ListParams{}))

	var ids []uuid.UUID
	for i := range 5 {
		ids = append(ids, b.create(t, client.WithMetadata(map[string]any{"org": i % 2, "big": json.Number("12345678901234567890")})))
	}
	must[client.Log](t)(b.c.Update(b.ctx, ids[1], "go", client.WithStatus(client.StatusRunning), client.WithPercentage(3)))
	must[client.Log](t)(b.c.Error(b.ctx, ids[4], "no"))
	order := []uuid.UUID{ids[1], ids[3], ids[2], ids[0], ids[4]}

	idsOf := func(l *client.List) (got []uuid.UUID) {
		for _, item := range l.Items {
			got = append(got, item.AgentID)
		}
		return got
	}
	all := list(client.ListParams{})
	require.Equal(t, order, idsOf(all))
	require.Nil(t, all.Next)
	first := all.Items[0]
	require.Equal(t, client.ListItem{Activity: client.Activity{
		AgentID: ids[1], AgentType: "research", Status: client.StatusRunning, LatestPercentage: new(3), LastSeq: 2, Attempt: 1,
		CreatedAt: first.CreatedAt, UpdatedAt: *first.StartedAt, StartedAt: first.StartedAt, LastSeenAt: *first.StartedAt,
	}, LatestLog: new("go")}, first)
	require.NotNil(t, all.Items[4].FinishedAt)

	// By number, and by key, the pages join up to the whole.
	var byNumber, byKey []uuid.UUID
	for page := 1; page <= 3; page++ {
		l := list(client.ListParams{Page: page, PageSize: 2})
		require.Equal(t, []int{5, page, 3, 2}, []int{*l.Total, *l.Page, *l.Pages, l.PageSize})
		byNumber = append(byNumber, idsOf(l)...)
	}
	require.Equal(t, order, byNumber)
	for after := new(""); after != nil; {
		l := list(client.ListParams{PageSize: 2, After: *after})
		if *after != "" {
			require.Nil(t, l.Total)
			require.Nil(t, l.Page)
			require.Nil(t, l.Pages)
		}
		byKey = append(byKey, idsOf(l)...)
		after = l.Next
	}
	require.Equal(t, order, byKey)

	// A filter of what was read finds it again, large numbers too.
	l := list(client.ListParams{IncludeMetadata: true, MetadataFilter: map[string]any{"org": 0}})
	require.Equal(t, []uuid.UUID{ids[2], ids[0], ids[4]}, idsOf(l))
	var meta map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(l.Items[0].Metadata, &meta))
	require.Equal(t, 5, *list(client.ListParams{MetadataFilter: map[string]any{"big": meta["big"]}}).Total)

	require.Equal(t, 5, *list(client.ListParams{Statuses: []client.Status{}, MetadataFilter: map[string]any{}}).Total)
	require.Equal(t, []uuid.UUID{ids[1], ids[4]}, idsOf(list(client.ListParams{Statuses: []client.Status{client.StatusError, client.StatusRunning}})))
	require.Empty(t, list(client.ListParams{AgentType: "other"}).Items)
}

func TestCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, must[[]uuid.UUID](t)(b.c.PendingIDs(b.ctx)))
	one, two := b.create(t, client.WithMetadata(map[string]any{"org": "1"})), b.create(t)
	must[client.Log](t)(b.c.Complete(b.ctx, b.create(t), ""))
	require.Equal(t, []uuid.UUID{one, two}, must[[]uuid.UUID](t)(b.c.PendingIDs(b.ctx)))
	require.Equal(t, int64(2), must[int64](t)(b.c.CountActive(b.ctx, nil)))
	require.Equal(t, int64(1), must[int64](t)(b.c.CountActive(b.ctx, map[string]any{"org": "1"})))
	counts := must[client.Counts](t)(b.c.CountByStatus(b.ctx, client.CountParams{}))
	require.Len(t, counts.ByStatus, len(client.Statuses()))
	require.Equal(t, int64(2), counts.ByStatus[client.StatusQueued])
	require.Equal(t, int64(1), counts.ByStatus[client.StatusComplete])
	require.Zero(t, counts.Stale)
}

// Lists and counts select the activities whose cancel was requested and that have not ended.
func TestListsAndCountsOfStoppingActivities(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stops, runs := b.create(t), b.create(t)
	must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, []client.Entry{
		{AgentID: stops, Message: "go", Status: client.StatusRunning}, {AgentID: runs, Message: "go", Status: client.StatusRunning},
	}))
	must[client.Log](t)(b.c.Cancel(b.ctx, stops, "enough"))
	for yes, want := range map[bool]uuid.UUID{true: stops, false: runs} {
		list := must[*client.List](t)(b.c.List(b.ctx, client.ListParams{Stopping: new(yes)}))
		require.Len(t, list.Items, 1)
		require.Equal(t, want, list.Items[0].AgentID)
		require.Equal(t, int64(1), must[client.Counts](t)(b.c.CountByStatus(b.ctx, client.CountParams{Stopping: new(yes)})).ByStatus[client.StatusRunning])
	}
}

// Lists and counts select by the place in a tree and by open questions alike.
func TestListsAndCountsOfTrees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root, other := b.create(t), b.create(t)
	part := b.create(t, client.WithParent(root))
	leaf := b.create(t, client.WithParent(part))
	must[client.AskedQuestion](t)(b.c.Ask(b.ctx, part, client.Question{Key: "k", Prompt: "Go on?"}))
	for _, c := range []struct {
		list  client.ListParams
		count client.CountParams
		want  []uuid.UUID
	}{
		{client.ListParams{ParentAgentID: root}, client.CountParams{ParentAgentID: root}, []uuid.UUID{part}},
		{client.ListParams{RootAgentID: root}, client.CountParams{RootAgentID: root}, []uuid.UUID{leaf, part, root}},
		{client.ListParams{RootsOnly: true}, client.CountParams{RootsOnly: true}, []uuid.UUID{other, root}},
		{client.ListParams{Waiting: new(true)}, client.CountParams{Waiting: new(true)}, []uuid.UUID{part}},
		{client.ListParams{Waiting: new(false)}, client.CountParams{Waiting: new(false)}, []uuid.UUID{leaf, other, root}},
		{client.ListParams{RootAgentID: root, Waiting: new(false)}, client.CountParams{RootAgentID: root, Waiting: new(false)}, []uuid.UUID{leaf, root}},
		{client.ListParams{ParentAgentID: leaf}, client.CountParams{ParentAgentID: leaf}, []uuid.UUID{}},
		{client.ListParams{ParentAgentID: root, RootsOnly: true}, client.CountParams{ParentAgentID: root, RootsOnly: true}, []uuid.UUID{}},
	} {
		got := []uuid.UUID{}
		for _, item := range must[*client.List](t)(b.c.List(b.ctx, c.list)).Items {
			got = append(got, item.AgentID)
		}
		require.Equal(t, c.want, got, "%+v", c.list)
		require.Equal(t, int64(len(c.want)), must[client.Counts](t)(b.c.CountByStatus(b.ctx, c.count)).ByStatus[client.StatusQueued], "%+v", c.count)
	}
}

// The JSON methods hand on what the function said, byte for byte, and encoding a decoded value gives the same again.
func TestJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t, client.WithMetadata(map[string]any{"a": 1}))
	must[client.Log](t)(b.c.Update(b.ctx, id, "m", client.WithData(1.5)))
	sql := func(call string) (text string) {
		require.NoError(t, b.pool.QueryRow(b.ctx, "select "+call, pgx.QueryExecModeSimpleProtocol).Scan(&text))
		return text
	}
	raw := must[json.RawMessage](t)(b.c.ListJSON(b.ctx, client.ListParams{IncludeMetadata: true}))
	require.Equal(t, sql("agentexec.list_activities(include_metadata => true)"), string(raw))
	list := must[*client.List](t)(b.c.List(b.ctx, client.ListParams{IncludeMetadata: true}))
	require.JSONEq(t, asGoWritesTimes(raw), string(must[[]byte](t)(json.Marshal(list))))

	raw = must[json.RawMessage](t)(b.c.DetailJSON(b.ctx, id, client.DetailParams{}))
	require.Equal(t, sql(fmt.Sprintf("agentexec.activity_detail('%s')", id)), string(raw))
	detail := must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{}))
	require.JSONEq(t, asGoWritesTimes(raw), string(must[[]byte](t)(json.Marshal(detail))))
}

// asGoWritesTimes leaves out the zeros at the end of fractions of seconds.
func asGoWritesTimes(data json.RawMessage) string {
	return regexp.MustCompile(`(:\d\d)(?:(\.\d*?[1-9])|\.)?0*Z"`).ReplaceAllString(string(data), `${1}${2}Z"`)
}

func TestLogsOfManyPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	entries := make([]client.Entry, 1700)
	for i := range entries {
		entries[i] = client.Entry{AgentID: id, Message: fmt.Sprint(i + 2)}
	}
	must[[]client.AppendResult](t)(b.c.AppendLogs(b.ctx, entries))
	for _, after := range []int{0, 1, 49, 50, 1200, 1700, 1701, 5000} {
		for name, lines := range map[string][]client.Log{
			"Pool": must[[]client.Log](t)(collect(t, b.c.Logs(b.ctx, id, after))),
			"Conn": must[[]client.Log](t)(collect(t, client.New(b.db.Conn(t)).Logs(b.ctx, id, after))),
		} {
			require.Len(t, messages(t, lines, after+1), max(0, 1701-after), name)
		}
	}
}

// Lines that together are more than Postgres can put into one value, and more than anyone wants in memory.
func TestLogsOfHugeLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	// As a restore writes them, which knows no bounds and copies the stored value as it is.
	b.db.Exec(t, `insert into agentexec.activity_log (id, activity_id, seq, message, status, data, created_at)
		select nextval('agentexec.activity_log_id_seq'), a.id, 2, 'huge', a.status, to_jsonb(repeat('x', 5600000)), a.updated_at
		from agentexec.activity a where a.agent_id = $1`, id)
	b.db.Exec(t, `insert into agentexec.activity_log (id, activity_id, seq, message, status, data, created_at)
		select nextval('agentexec.activity_log_id_seq'), l.activity_id, n, l.message, l.status, l.data, l.created_at
		from agentexec.activity_log l, generate_series(3, 50) n where l.seq = 2`)
	b.db.Exec(t, "update agentexec.activity set last_seq = 50")
	_, err := b.c.Detail(b.ctx, id, client.DetailParams{LogLimit: new(50)})
	var dbErr *client.DBError
	require.ErrorAs(t, err, &dbErr)
	require.Equal(t, "54000", dbErr.Code)

	n := 0
	for line, err := range b.c.Logs(b.ctx, id, 0) {
		require.NoError(t, err)
		if n++; n == 2 {
			require.Len(t, line.Data, 5600002)
			break
		}
	}
	require.Equal(t, 2, n)
}

func TestLeavingEarlyLeaksNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := db.Pool(t, func(c *pgxpool.Config) {
		c.MaxConns = 2
		sessionsNamed("early")(c)
	})
	c := client.New(pool)
	id := must[uuid.UUID](t)(c.Create(t.Context(), "research", ""))
	must[client.Log](t)(c.Update(t.Context(), id, "m"))
	for range 20 { // ten times as often as there are connections
		for _, err := range c.Logs(t.Context(), id, 0) {
			require.NoError(t, err)
			break
		}
		for _, err := range c.Watch(t.Context(), id, 0) {
			require.NoError(t, err)
			break
		}
		require.Panics(t, func() {
			for _, err := range c.Watch(t.Context(), id, 0) {
				require.NoError(t, err)
				panic("the caller's own")
			}
		})
		require.Zero(t, pool.Stat().AcquiredConns())
	}
	awaitOnly(t, db, pool)
}
