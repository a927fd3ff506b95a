package sql_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// wakeups returns how many notifications came since the last call.
func wakeups(b *bundle, listener *pgx.Conn) (n int) {
	b.Helper()
	b.exec("select pg_notify('agentexec', 'that is all')")
	for {
		got, err := listener.WaitForNotification(b.Context())
		require.NoError(b, err)
		if got.Payload != "" {
			return n
		}
		n++
	}
}

// No writer notifies while more than half of the notification queue is in use, so that a full queue fails no append. The
// test replaces pg_notification_queue_usage in its database, because half a queue takes 4 GB.
func TestNoWakeupWhileTheNotificationQueueIsHalfFull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener := b.db.Conn(t)
	_, err := listener.Exec(t.Context(), `listen agentexec;
		select pg_advisory_lock(1635271269, 'agentexec.activity_log'::regclass::oid::int4)`) // says that a reader waits
	require.NoError(t, err)
	b.db.Exec(t, `set allow_system_table_mods = on;
		update pg_proc set proname = 'real_usage' where oid = 'pg_notification_queue_usage'::regproc`)
	usage := func(part string) {
		b.db.Exec(t, `set allow_system_table_mods = on;
			create or replace function pg_catalog.pg_notification_queue_usage() returns float8 language sql volatile as 'select `+part+`::float8'`)
	}
	for part, want := range map[string]int{"0": 1, "0.5": 1, "0.51": 0, "1": 0} {
		usage(part)
		agent := b.create("research")
		require.Equal(t, want, wakeups(b, listener), "create_activity at %s", part)
		for _, d := range doors {
			require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: "x"}))
			require.Equal(t, want, wakeups(b, listener), "%s at %s", d.name, part)
		}
		require.Equal(t, 1, one[int](t, b.pool, "select agentexec.cancel_pending()"))
		require.Equal(t, want, wakeups(b, listener), "cancel_pending at %s", part)
	}
}
