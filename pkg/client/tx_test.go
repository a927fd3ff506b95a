package client_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestRollbackLeavesNothingAndSendsNoWakeup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	listener := b.db.Conn(t)
	_, err := listener.Exec(b.ctx, "listen agentexec")
	require.NoError(t, err)

	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	in := b.c.WithTx(tx)
	born := must[uuid.UUID](t)(in.Create(b.ctx, "research", ""))
	must[client.Log](t)(in.Update(b.ctx, id, "m", client.WithStatus(client.StatusRunning), client.WithPercentage(5)))
	must[[]client.AppendResult](t)(in.AppendLogs(b.ctx, []client.Entry{{AgentID: id, Message: "n"}}))
	must[client.Log](t)(in.Complete(b.ctx, born, ""))
	must[int](t)(in.CancelPending(b.ctx, client.CancelPendingParams{}))
	require.NoError(t, tx.Rollback(b.ctx))

	_, err = b.c.Detail(b.ctx, born, client.DetailParams{})
	require.ErrorIs(t, err, client.ErrNotFound)
	d := must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{}))
	require.Len(t, d.Logs, 1)
	require.Equal(t, client.StatusQueued, d.Status)
	require.Equal(t, 0, *d.LatestPercentage)

	// A notification of the transaction would come before this one.
	_, err = b.pool.Exec(b.ctx, "select pg_notify('agentexec', 'nothing came before')")
	require.NoError(t, err)
	n, err := listener.WaitForNotification(b.ctx)
	require.NoError(t, err)
	require.Equal(t, "nothing came before", n.Payload)

	// The number that was rolled back is used again: no gap.
	require.Equal(t, 2, must[client.Log](t)(b.c.Update(b.ctx, id, "m")).Seq)
}

func TestCommitMakesItVisible(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var id uuid.UUID
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		in := b.c.WithTx(tx)
		id = must[uuid.UUID](t)(in.Create(b.ctx, "research", ""))
		must[client.Log](t)(in.Complete(b.ctx, id, ""))

		// Inside it is there, in every way of reading; outside it is not.
		require.Len(t, must[*client.Detail](t)(in.Detail(b.ctx, id, client.DetailParams{})).Logs, 2)
		require.Len(t, must[*client.List](t)(in.List(b.ctx, client.ListParams{})).Items, 1)
		got, err := collect(t, in.Logs(b.ctx, id, 1))
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Empty(t, must[*client.List](t)(b.c.List(b.ctx, client.ListParams{})).Items)
		_, err = b.c.Detail(b.ctx, id, client.DetailParams{})
		require.ErrorIs(t, err, client.ErrNotFound)
		return nil
	}))
	got, err := collect(t, b.c.Watch(b.ctx, id, 0))
	require.NoError(t, err)
	require.Equal(t, []string{"Agent queued", "Agent completed"}, messages(t, got, 1))
}

func TestErrorInTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	require.NoError(t, pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
		in := b.c.WithTx(tx)
		must[client.Log](t)(in.Update(b.ctx, id, "kept"))
		err := pgx.BeginFunc(b.ctx, tx, func(nested pgx.Tx) error {
			return second(b.c.WithTx(nested).Update(b.ctx, id, "refused", client.WithPercentage(101)))
		})
		require.ErrorIs(t, err, client.ErrInvalid)
		must[client.Log](t)(in.Update(b.ctx, id, "kept too"))
		return nil
	}))
	got, err := collect(t, b.c.Logs(b.ctx, id, 1))
	require.NoError(t, err)
	require.Equal(t, []string{"kept", "kept too"}, messages(t, got, 2))
}

func TestWatchRefusesTransactions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(b.ctx))) }()
	conn := b.db.Conn(t)
	_, err = conn.Exec(b.ctx, "begin")
	require.NoError(t, err)

	for _, c := range []*client.Client{b.c.WithTx(tx), client.New(tx), client.New(conn)} {
		_, err := collect(t, c.Watch(b.ctx, id, 0))
		require.ErrorIs(t, err, client.ErrInvalid)
		require.ErrorContains(t, err, "transaction")
	}
	// Being refused does not harm the transaction.
	must[client.Log](t)(client.New(tx).Update(b.ctx, id, "m"))
}
