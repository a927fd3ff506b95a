package migrate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sql"
)

// before04 is what a schema of before 0.4 had in other types: the percentages of two functions, and activity_log.xid.
const before04 = `
drop function agentexec.append_log cascade; -- with complete and error
drop function agentexec.cancel, agentexec.append_logs;
create function agentexec.append_logs(entries jsonb) returns int language plpgsql as 'begin return 0; end';
alter table agentexec.activity_log
	alter id drop default, alter seq drop default, alter status drop default, alter created_at drop default, alter xid drop default,
	alter xid type xid8 using xid::text::xid8, alter xid set default pg_current_xact_id();
create function agentexec.append_log(agent_id uuid, message text, percentage int default null, status agentexec.status default null,
	data jsonb default null) returns agentexec.activity_log language plpgsql as 'begin return null; end';
create function agentexec.complete(agent_id uuid, message text default 'Agent completed', percentage int default 100, data jsonb default null)
	returns agentexec.activity_log begin atomic select l.* from agentexec.append_log(agent_id, message, percentage, 'COMPLETE', data) l; end;
create function agentexec.error(agent_id uuid, message text default 'Agent failed', data jsonb default null)
	returns agentexec.activity_log begin atomic select l.* from agentexec.append_log(agent_id, message, null, 'ERROR', data) l; end;
create function agentexec.cancel(agent_id uuid, message text default 'Canceled')
	returns agentexec.activity_log begin atomic select l.* from agentexec.append_log(agent_id, message, null, 'CANCELED', null) l; end;
drop function agentexec.list_activities, agentexec.count_by_status, agentexec.stats;
create function agentexec.list_activities(page int default 1, page_size int default 50, statuses agentexec.status[] default null, agent_type text default null,
	metadata_filter jsonb default null, after text default null, include_metadata boolean default false, stale boolean default null)
	returns jsonb language plpgsql as 'begin return null; end';
create function agentexec.count_by_status(agent_type text default null, metadata_filter jsonb default null) returns jsonb language plpgsql as 'begin return null; end';
grant execute on function agentexec.list_activities, agentexec.count_by_status to pg_monitor;
grant execute on function agentexec.append_log, agentexec.error, agentexec.cancel, agentexec.append_logs to pg_monitor;
grant execute on function agentexec.complete to pg_monitor with grant option;`

// An upgrade from before 0.4 keeps the lines, and the grants on functions whose arguments have another type now.
func TestUpgradeOfRetiredTypes(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	id := one[string](t, conn, "select agentexec.create_activity('x')::text")
	_, err := conn.Exec(t.Context(), "select agentexec.append_log($1, 'before')", id)
	require.NoError(t, err)
	lines := func() string {
		return one[string](t, conn, "select string_agg(l::text, e'\n' order by l.id) from agentexec.activity_log l")
	}
	before := lines()
	db.Exec(t, before04)
	setInstalled(t, conn, sql.Release, "older")
	require.NoError(t, migrate.Up(t.Context(), conn, nil))

	require.Equal(t, before, lines())
	for _, function := range []string{"append_log", "append_logs", "complete", "error", "cancel", "heartbeat", "sweep", "list_activities", "count_by_status", "stats"} {
		require.Equal(t, "true "+map[bool]string{true: "true", false: "false"}[function == "complete"], one[string](t, conn,
			`select has_function_privilege('pg_monitor', p.oid, 'EXECUTE') || ' ' || has_function_privilege('pg_monitor', p.oid, 'EXECUTE WITH GRANT OPTION')
			from pg_proc p where p.oid = ('agentexec.' || $1)::regproc`, function), function)
	}
	db.Exec(t, "revoke all on all functions in schema agentexec from pg_monitor; select agentexec.cancel_pending()")
	requireFresh(t, db)
	requireWorks(t, conn, "agentexec")
}
