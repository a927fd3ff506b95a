package client_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest/plant"
	"github.com/agentexec/agentexec/pkg/client"
)

// The client's statements run nothing that another role has created, whatever the search_path of its connections is:
// in public, in a schema before pg_catalog, or in pg_temp.
func TestPlantedObjectsNeverRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	planter := b.db.Conn(t)
	b.db.Exec(t, "create schema planted")
	for _, schema := range []string{"public", "planted"} {
		require.NoError(t, plant.In(b.ctx, planter, schema))
	}
	calls := func() int64 { return must[int64](t)(plant.Calls(b.ctx, planter, "public", "planted")) }
	for _, path := range []string{`"$user", public`, "public, pg_catalog", "planted, pg_catalog", "pg_temp, planted, pg_catalog"} {
		pool := b.db.Pool(t, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["search_path"] = path
			c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return plant.Temp(ctx, conn) }
		})
		_, err := pool.Exec(b.ctx, "select 'RUNNING'::agentexec.status = 'QUEUED'")
		require.ErrorContains(t, err, "planted function ran", "what is planted would run")
		before := calls()
		for _, c := range []*client.Client{client.New(pool), client.New(pool).WithScope(client.Scope{AgentTypes: []string{"research"}})} {
			callEverything(t, c, func() bool { // Watch has asked for the lock that makes writers notify
				locks := must[int](t)(pgx.CollectExactlyOneRow(must[pgx.Rows](t)(planter.Query(b.ctx,
					"select pg_catalog.count(*) from pg_catalog.pg_locks l where l.locktype = 'advisory' and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())")), pgx.RowTo[int]))
				return locks > 0 || calls() > before
			})
		}
		require.Equal(t, before, calls(), "a planted function ran, and its error was hidden")
	}
}

// callEverything calls every method, Watch included.
func callEverything(t *testing.T, c *client.Client, listens func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	metadata := map[string]any{"a": 1}
	id := must[uuid.UUID](t)(c.Create(ctx, "research", "x", client.WithAgentID(uuid.New()), client.WithMetadata(metadata)))
	must[client.Log](t)(c.Update(ctx, id, "x", client.WithStatus(client.StatusRunning), client.WithPercentage(3), client.WithData(metadata)))
	must[[]client.AppendResult](t)(c.AppendLogs(ctx, []client.Entry{{AgentID: id, Message: "x", Percentage: new(4), Status: client.StatusRunning, Data: 1}}))
	must[json.RawMessage](t)(c.ListJSON(ctx, client.ListParams{Page: 1, PageSize: 2, Statuses: client.Statuses(), AgentType: "research",
		MetadataFilter: metadata, IncludeMetadata: true}))
	list := must[*client.List](t)(c.List(ctx, client.ListParams{PageSize: 1}))
	if list.Next != nil {
		must[*client.List](t)(c.List(ctx, client.ListParams{PageSize: 1, After: *list.Next}))
	}
	for _, sort := range []client.Sort{client.SortCreated, client.SortDuration, client.SortActivity} {
		must[*client.List](t)(c.List(ctx, client.ListParams{Sort: sort, Order: client.OrderAsc, Since: client.Ago(time.Hour), Until: client.At(time.Now()), Statuses: client.Statuses(), AgentType: "research",
			MetadataFilter: metadata}))
	}
	must[*client.Stats](t)(c.Stats(ctx, client.StatsParams{Since: client.Ago(time.Hour), Bucket: time.Minute}))
	require.Equal(t, id, must[uuid.UUID](t)(c.FindID(ctx, id.String())))
	must[client.Counts](t)(c.CountByStatus(ctx, client.CountParams{Since: client.Ago(time.Hour), Until: client.Ago(0)}))
	must[*client.Detail](t)(c.Detail(ctx, id, client.DetailParams{AfterSeq: 1, LogLimit: new(5), MetadataFilter: metadata, IncludeMetadata: true}))
	must[int64](t)(c.CountActive(ctx, metadata))
	must[client.Counts](t)(c.CountByStatus(ctx, client.CountParams{AgentType: "research", MetadataFilter: metadata}))
	must[[]uuid.UUID](t)(c.PendingIDs(ctx))
	must[[]client.Log](t)(collect(t, c.Logs(ctx, id, 0)))
	watched := 0
	for _, err := range c.Watch(ctx, id, 0) { // lines that are there, and one that is waited for
		require.NoError(t, err)
		if watched++; watched == 3 {
			for !listens() {
				require.NoError(t, pause(ctx))
			}
			must[client.Log](t)(c.Error(ctx, id, "x", client.WithData(1)))
		}
	}
	require.Equal(t, 4, watched)
	must[client.Log](t)(c.Update(ctx, id, "x", client.WithStatus(client.StatusRunning), client.WithAtSeq(5)))
	must[client.HeartbeatResult](t)(c.Heartbeat(ctx, id, time.Second))
	must[client.HeartbeatResult](t)(c.Heartbeat(ctx, id, 0))
	must[client.Log](t)(c.Cancel(ctx, id, "x", client.WithGrace(time.Hour), client.WithRequestedBy("x")))
	must[client.Log](t)(c.Cancel(ctx, id, "x", client.WithoutForce()))
	must[[]client.AppendResult](t)(c.AppendLogs(ctx, []client.Entry{{AgentID: id, Message: "x", AtSeq: 7}}))
	must[*client.List](t)(c.List(ctx, client.ListParams{Stale: new(true)}))
	must[client.Log](t)(c.Cancel(ctx, id, "x", client.WithGrace(time.Microsecond)))
	must[client.Swept](t)(c.Sweep(ctx, 10))
	must[client.Log](t)(c.Complete(ctx, must[uuid.UUID](t)(c.Create(ctx, "research", "")), "x", client.WithPercentage(9)))
	must[uuid.UUID](t)(c.Create(ctx, "research", ""))
	must[int](t)(c.CancelPending(ctx, client.CancelPendingParams{AgentType: "research", MetadataFilter: metadata, IdleFor: time.Hour, Message: "x"}))
}

// pause waits for the next look at a condition.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}
