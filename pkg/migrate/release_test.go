package migrate_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// installRelease1 installs what `agentexec migrate --print` of the first release printed.
func installRelease1(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	old, err := os.ReadFile("testdata/release1.sql")
	require.NoError(t, err)
	require.NoError(t, simple(t, conn, string(old)))
}

// From the first release, with its code and with data, an upgrade gives what a fresh installation gives, and keeps the data.
func TestUpgradeFromTheFirstRelease(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	installRelease1(t, conn)
	execute(t, conn,
		`select agentexec.append_log(agentexec.create_activity('research', metadata => '{"org": 42, "tags": ["a"]}'), 'line ' || n, n, 'RUNNING', '{"n": 1e10}')
			from generate_series(1, 50) n`,
		"select agentexec.complete(agent_id) from agentexec.activity limit 10",
		"select agentexec.error(agent_id) from agentexec.activity where status = 'RUNNING' limit 10",
		"select agentexec.cancel(agent_id) from agentexec.activity where status = 'RUNNING' limit 10",
		"select agentexec.append_log(agent_id, 'again', status => 'QUEUED') from agentexec.activity where status = 'ERROR' limit 5",
		"select agentexec.append_log(agent_id, 'go', status => 'RUNNING') from agentexec.activity where attempt = 2 limit 4",
		"select agentexec.error(agent_id) from agentexec.activity where status = 'RUNNING' and attempt = 2 limit 3",
		"select agentexec.append_log(agent_id, 'third', status => 'RUNNING') from agentexec.activity where status = 'ERROR' and attempt = 2")
	data := func() (rows []string) {
		t.Helper()
		for _, sql := range []string{
			`select coalesce(string_agg((to_jsonb(a) - '{cancel_seq,cancel_force_at,cancel_forced,parent_agent_id,root_agent_id,depth,open_questions}'::text[])::text, e'\n' order by a.id), '') from agentexec.activity a`,
			`select coalesce(string_agg((to_jsonb(l) - '{xid,attempt,cancel_requested}'::text[])::text || l.xid::text, e'\n' order by l.id), '') from agentexec.activity_log l`,
		} {
			rows = append(rows, one[string](t, conn, sql))
		}
		return rows
	}
	before := data()
	require.Equal(t, 1, requireState(t, conn, nil, migrate.Older).Version)
	said := upSays(t, conn, migrate.Options{})
	require.Len(t, said, 1)
	require.Regexp(t, `^upgraded from 1 to \d+$`, said[0])
	require.Equal(t, before, data())

	// The lines know their attempt.
	require.Equal(t, 3, one[int](t, conn, "select count(*) from agentexec.activity where attempt = 3"))
	require.Zero(t, one[int](t, conn, `select count(*) from (
			select l.attempt, 1 + count(*) filter (where l.before = 'ERROR' and l.status <> 'ERROR') over (partition by l.activity_id order by l.seq) as want
			from (select l.*, lag(l.status) over (partition by l.activity_id order by l.seq) as before from agentexec.activity_log l) l) l
		where l.attempt <> l.want`))
	requireFresh(t, db)
	execute(t, conn, "select agentexec.complete(agent_id) from agentexec.activity where status in ('QUEUED', 'RUNNING')")
	requireWorks(t, conn, "agentexec")
}

// Roles that can read activities can read their heartbeats after an upgrade, within the same scope.
func TestUpgradeLetsReadersReadHeartbeats(t *testing.T) {
	t.Parallel()
	conn := pgtest.Empty(t).Conn(t)
	installRelease1(t, conn)
	execute(t, conn,
		"grant select on agentexec.activity to pg_monitor with grant option",
		"alter table agentexec.activity enable row level security",
		"create policy activity_scope on agentexec.activity using (true)")
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	require.True(t, one[bool](t, conn, "select has_table_privilege('pg_monitor', 'agentexec.activity_heartbeat', 'select with grant option')"))
	require.False(t, one[bool](t, conn, "select has_table_privilege('pg_read_server_files', 'agentexec.activity_heartbeat', 'select')"))
	require.Equal(t, 1, one[int](t, conn, "select count(*) from pg_policy where polname = 'activity_heartbeat_scope'"))
	require.True(t, one[bool](t, conn, "select relrowsecurity from pg_class where oid = 'agentexec.activity_heartbeat'::regclass"))
}

// A dump of the first release without data has no version anywhere, and is upgraded all the same.
func TestUpgradeFromTheFirstReleaseWithoutData(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	installRelease1(t, conn)
	execute(t, conn, "delete from agentexec.schema_version; delete from agentexec.installation")
	require.False(t, requireState(t, conn, nil, migrate.Older).Usable())
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	requireFresh(t, db)
}

// Also two rows of the first release, as a restore of data alone left them, become one.
func TestUpgradeFromTheFirstReleaseWithTwoVersions(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	installRelease1(t, conn)
	execute(t, conn, "insert into agentexec.schema_version values (1)")
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	requireFresh(t, db)
}
