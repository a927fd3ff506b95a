package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// A worker needs EXECUTE on the functions, and no right to a table; who reads needs SELECT.
func TestRightsOfAWorker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const role = "pg_signal_backend" // any role that exists: what is granted here goes with the database
	pool := b.db.Pool(t, func(config *pgxpool.Config) {
		config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			return second(conn.Exec(ctx, "set role "+role))
		}
	})
	c := client.New(pool)
	denied := func(err error) {
		t.Helper()
		var dbErr *client.DBError
		require.ErrorAs(t, err, &dbErr)
		require.Equal(t, "42501", dbErr.Code)
	}
	denied(second(c.Create(b.ctx, "research", "")))

	b.db.Exec(t, "grant usage on schema agentexec to "+role+"; grant execute on all functions in schema agentexec to "+role)
	id := must[uuid.UUID](t)(c.Create(b.ctx, "research", ""))
	must[client.Log](t)(c.Update(b.ctx, id, "m", client.WithStatus(client.StatusRunning), client.WithData(1)))
	must[[]client.AppendResult](t)(c.AppendLogs(b.ctx, []client.Entry{{AgentID: id, Message: "m"}}))
	must[client.Log](t)(c.Error(b.ctx, id, ""))
	must[client.Log](t)(c.Update(b.ctx, id, "retry", client.WithStatus(client.StatusRunning)))
	must[client.HeartbeatResult](t)(c.Heartbeat(b.ctx, id, time.Minute))
	must[client.Log](t)(c.Complete(b.ctx, id, ""))
	must[client.Swept](t)(c.Sweep(b.ctx, 0))
	must[client.Log](t)(c.Cancel(b.ctx, must[uuid.UUID](t)(c.Create(b.ctx, "research", "")), ""))
	must[int](t)(c.CancelPending(b.ctx, client.CancelPendingParams{}))
	denied(second(c.Detail(b.ctx, id, client.DetailParams{})))
	denied(second(collect(t, c.Watch(b.ctx, id, 0))))

	b.db.Exec(t, "grant select on agentexec.activity, agentexec.activity_log, agentexec.activity_heartbeat to "+role)
	require.Len(t, must[*client.List](t)(c.List(b.ctx, client.ListParams{})).Items, 2)
	got, err := collect(t, c.Watch(b.ctx, id, 0))
	require.NoError(t, err)
	require.Len(t, got, 6)
}
