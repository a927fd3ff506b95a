package migrate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sql"
)

// renamed maps the internal functions to the names that they had in the release before.
var renamed = map[string]string{
	"_raise_invalid":       "_refuse",
	"_raise_seq_exhausted": "_refuse_full",
	"_transition":          "_advance",
	"_finish_append":       "_settle",
	"_send_wakeup":         "_ring_bell",
	"_lock_in_scope":       "_hold_in_scope",
	"_matches_all":         "_asks_nothing",
}

// installOldNames replaces the code by the same code under the old names.
func installOldNames(t *testing.T, db *pgtest.Database) {
	t.Helper()
	functions, _, _ := strings.Cut(sql.Functions, "-- Old names ---")
	code := functions + sql.Triggers
	for name, old := range renamed {
		code = strings.ReplaceAll(code, name+"(", old+"(")
		code = strings.ReplaceAll(code, name+".agent_id", old+".agent_id")
	}
	conn := db.Conn(t)
	require.NoError(t, simple(t, conn, code))
	for name := range renamed {
		execute(t, conn, "drop function agentexec."+name)
	}
	setInstalled(t, conn, sql.Release, "older")
}

// A call that began before an upgrade and ends after it still finds the functions that its body names.
func TestUpgradeDuringACall(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]string{
		"Append": "select agentexec.append_log($1::uuid, 'x')",
		"Bulk":   "select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::text, 'message', 'x')))",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			installOldNames(t, db)
			holder, writer, waiter := db.Conn(t), db.Conn(t), db.Conn(t)
			id := one[string](t, holder, "select agentexec.create_activity('x')::text")
			execute(t, waiter, "select pg_advisory_lock(1635271269, 'agentexec.activity_log'::regclass::oid::int)")
			execute(t, writer, `set agentexec.scope = '{"agent_types": ["x"]}'`) // then the first lock is the activity's alone

			tx, err := holder.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "select from agentexec.activity where agent_id = $1 for update", id)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() {
				_, err := writer.Exec(t.Context(), call, id)
				done <- err
			}()
			db.AwaitLockWaits(t, 1)
			require.NoError(t, migrate.Up(t.Context(), db.Conn(t), nil))
			require.NoError(t, tx.Commit(t.Context()))
			require.NoError(t, <-done)
			require.Equal(t, 2, one[int](t, holder, "select last_seq from agentexec.activity"))
			requireFresh(t, db)
		})
	}
}
