package sql_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A rollback leaves no gap, also a rollback to a savepoint.
func TestRollbackLeavesNoGap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	for _, d := range doors {
		require.NoError(t, d.write(t.Context(), tx, line{agent: agent, message: "kept " + d.name}))
		part, err := tx.Begin(t.Context()) // a savepoint
		require.NoError(t, err)
		require.NoError(t, d.write(t.Context(), part, line{agent: agent, message: "lost", status: ptr("COMPLETE")}))
		require.NoError(t, part.Rollback(t.Context()))
	}
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, []string{"Agent queued", "go", "kept append_log", "kept append_logs", "kept Insert"},
		all[string](t, b.pool, "select message from agentexec.activity_log order by seq"))
	require.Equal(t, "RUNNING", readActivity(t, b.pool, agent).Status)
}

// A caller that asked for a stricter isolation gets a serialization failure to retry, never a wrong number.
func TestStricterIsolation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		for _, d := range append(doors, door{"cancel_pending", nil}) {
			agent := b.in("RUNNING")
			tx, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
			require.NoError(t, err)
			require.Equal(t, 2, readActivity(t, tx, agent).LastSeq) // takes the snapshot
			b.exec("select agentexec.append_log($1, 'in between')", agent)
			if d.write != nil {
				err = d.write(t.Context(), tx, line{agent: agent, message: "x"})
			} else {
				_, err = tx.Exec(t.Context(), "select agentexec.cancel_pending()")
			}
			requireRefused(t, err, "40001")
			require.NoError(t, tx.Rollback(t.Context()))
			require.Equal(t, 3, readActivity(t, b.pool, agent).LastSeq)
			b.exec("select agentexec.cancel($1)", agent)
		}
	}
}

// Readers that follow a pg_snapshot find each line by the transaction that wrote it.
func TestLinesCarryTheirTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, call := range lineWriters() {
		agent := b.in("RUNNING")
		tx, err := b.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), call, agent)
		require.NoError(t, err)
		require.NotZero(t, one[int](t, tx, "select count(*) from agentexec.activity_log where xid = txid_current()"), name)
		require.NoError(t, tx.Commit(t.Context()))
	}
	require.Zero(t, one[int](t, b.pool, "select count(*) from agentexec.activity_log where xid >= txid_snapshot_xmax(txid_current_snapshot())"))
}

// A committed write sends one wake-up, without a payload, while a reader waits, and none otherwise.
func TestWakeupOnCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	calls := lineWriters()
	calls["insert"] = "insert into agentexec.activity_log (activity_id, message) select id, 'x' from agentexec.activity where agent_id = $1"
	listener := b.db.Conn(t)
	_, err := listener.Exec(t.Context(), "listen agentexec; listen done")
	require.NoError(t, err)
	// received returns how many wake-ups came since the last call: a notification of the test's own comes after them.
	received := func() int {
		t.Helper()
		b.exec("notify done")
		for n := 0; ; n++ {
			got, err := listener.WaitForNotification(t.Context())
			require.NoError(t, err)
			if got.Channel == "done" {
				return n
			}
			require.Equal(t, "agentexec", got.Channel)
			require.Empty(t, got.Payload)
		}
	}
	agent := b.in("RUNNING")
	require.Zero(t, received(), "no reader waits")

	waiter := b.db.Conn(t)
	_, err = waiter.Exec(t.Context(), "select pg_advisory_lock(1635271269, 'agentexec.activity_log'::regclass::oid::int)")
	require.NoError(t, err)
	for name, call := range calls {
		agent := b.in("RUNNING")
		require.Equal(t, 2, received())
		b.exec(call, agent)
		require.Equal(t, 1, received(), name)

		tx, err := b.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select agentexec.append_log($1, 'x')", agent)
		require.NoError(t, err)
		require.NoError(t, tx.Rollback(t.Context()))
		require.Zero(t, received(), "rolled back")
	}
	_, err = b.pool.Exec(t.Context(), "select agentexec.complete($1)", uuid.New())
	requireRefused(t, err, "TA404")
	require.Zero(t, received(), "refused")

	_, err = waiter.Exec(t.Context(), "select pg_advisory_unlock_all()")
	require.NoError(t, err)
	b.exec("select agentexec.append_log($1, 'x')", agent)
	require.Zero(t, received(), "no reader waits any more")
}
