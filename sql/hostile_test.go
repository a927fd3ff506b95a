package sql_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest/plant"
	"github.com/agentexec/agentexec/sql"
)

// hostileCalls are calls of every function, view and trigger. AGENT and ACTIVITY are an activity that runs. The
// statements hold no operator and no type name, which the caller's search_path would rightly apply to.
var hostileCalls = []string{
	`select agentexec.create_activity('x', metadata => '{"a": 1}')`,
	`select agentexec.append_log('AGENT', 'x', 50, data => '{}')`,
	`select agentexec.append_log('AGENT', 'x', status => 'ERROR')`,
	`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "percentage": 3},
		{"agent_id": "AGENT", "message": "x", "status": "ERROR"}, {"agent_id": "AGENT", "message": "x", "status": "QUEUED"}]')`,
	`select agentexec.complete('AGENT')`,
	`select agentexec.error('AGENT')`,
	`select agentexec.append_log('AGENT', 'x', at_seq => 3)`,
	`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "at_seq": 3}]') from agentexec.append_log('AGENT', 'x', at_seq => 3)`,
	`select agentexec.heartbeat('AGENT')`,
	`select agentexec.activity_detail('AGENT') from agentexec.heartbeat('AGENT', '1 s') offset 0`,
	`select agentexec.cancel('AGENT')`,
	`select agentexec.heartbeat('AGENT') from agentexec.cancel('AGENT', 'x', '0', 'y')`,
	`select agentexec.sweep()`,
	`select agentexec.cancel_pending('research', '{"a": 1}', '1 hour')`,
	`select agentexec.cancel_pending()`,
	`insert into agentexec.activity_log (activity_id, message) values ('ACTIVITY', 'x')`,
	`insert into agentexec.activity_log (activity_id, message, status, data) values ('ACTIVITY', 'x', 'COMPLETE', '1')`,

	`select agentexec.list_activities()`,
	`select agentexec.list_activities(2, 1, '{RUNNING}')`,
	`select agentexec.list_activities(statuses => '{RUNNING,QUEUED}', agent_type => 'research', metadata_filter => '{"a": 1}', include_metadata => true)`,
	`select agentexec.list_activities(after => agentexec._list_start(), metadata_filter => '{"a": 1}')`,
	`select agentexec.list_activities(after => '0.1772357400123456.01234567-89ab-cdef-0123-456789abcdef', statuses => '{ERROR}')`,
	`select agentexec.activity_detail('AGENT')`,
	`select agentexec.activity_detail('AGENT', '{"a": 1}', 1, 10, true)`,
	`select agentexec.count_active()`,
	`select agentexec.count_active('{"a": 1}')`,
	`select agentexec.count_by_status()`,
	`select agentexec.count_by_status('research', '{"a": 1}')`,
	`select agentexec.pending_ids()`,
	`table agentexec.activity_list`,
	`table agentexec.activity`,
	`table agentexec.activity_log`,
	`table agentexec.activity_heartbeat`,
	`select agentexec.list_activities(stale => true)`,
}

// hostileRefusals are calls that end in an error of the product, by its SQLSTATE.
var hostileRefusals = map[string]string{
	`select agentexec.create_activity('')`:                                                                "TA422",
	`select agentexec.append_log('AGENT', 'x', 101)`:                                                      "TA422",
	`select agentexec.append_logs('[{"agent_id": "` + cursorID + `", "message": "x"}]')`:                  "TA404",
	`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "percentage": "x"}]')`:          "TA422",
	`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "status": "x"}]')`:              "TA422",
	`select agentexec.append_log('AGENT', 'x', at_seq => 9)`:                                              "TA409",
	`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "at_seq": 9}]')`:                "TA409",
	`select agentexec.heartbeat('AGENT', '1 year')`:                                                       "TA422",
	`select agentexec.cancel('AGENT', grace => '-1 s')`:                                                   "TA422",
	`select agentexec.sweep(0)`:                                                                           "TA422",
	`select agentexec.cancel_pending(metadata_filter => '1')`:                                             "TA422",
	`insert into agentexec.activity_log (activity_id, message, percentage) values ('ACTIVITY', '', 9999)`: "TA422",
	`select agentexec.list_activities(0)`:                                                                 "TA422",
	`select agentexec.list_activities(page_size => 1001)`:                                                 "TA422",
	`select agentexec.list_activities(after => 'x')`:                                                      "TA422",
	`select agentexec.list_activities(metadata_filter => '1')`:                                            "TA422",
	`select agentexec.activity_detail('AGENT', after_seq => '-1')`:                                        "TA422",
	`select agentexec.activity_detail('AGENT', log_limit => '-1')`:                                        "TA422",
	`select agentexec.count_active('1')`:                                                                  "TA422",
	`select agentexec.count_by_status(null, '1')`:                                                         "TA422",
}

// A role may create objects in a schema that comes first, in public, or in pg_temp. No function, view, trigger or policy
// runs them, neither for a superuser nor for an ordinary caller.
func TestPlantedObjectsNeverRun(t *testing.T) {
	t.Parallel()
	b, _ := setupOwned(t)
	b.db.Exec(t, sql.RowSecurity)
	planter, first := role(t, b.db, useSchema, "grant usage, create on schema public to %s", "create schema authorization %s")
	for _, schema := range []string{"public", first} {
		require.NoError(t, plant.In(t.Context(), planter, schema))
	}
	b.db.Exec(t, "grant usage on schema "+first+" to public")
	member, _ := role(t, b.db, useSchema, executeAll, insertLog, readTables, "grant temporary on database "+b.db.Name+" to %s")
	// A session waits, so that writers notify.
	_, err := b.db.Conn(t).Exec(t.Context(), "select pg_advisory_lock(1635271269, 'agentexec.activity_log'::regclass::oid::int)")
	require.NoError(t, err)

	looker := b.db.Conn(t)
	calls := func() int64 {
		n, err := plant.Calls(t.Context(), looker, "public", first)
		require.NoError(t, err)
		return n
	}
	for name, conn := range map[string]*pgx.Conn{"Superuser": b.db.Conn(t), "Member": member} {
		require.NoError(t, plant.Temp(t.Context(), conn))
		for path, proof := range map[string]string{
			`"$user", public`:                               "select 'RUNNING'::agentexec.status = 'QUEUED'", // pg_catalog has = for enums, not for this one
			`public, pg_catalog`:                            "select 1 = 1",
			first + `, pg_catalog`:                          "select 1 = 1",
			`pg_temp, ` + first + `, pg_catalog, agentexec`: "select 1 = 1",
		} {
			for _, scope := range []string{"", `{"agent_types": ["research", "x"], "metadata": {}}`} {
				_, err := conn.Exec(t.Context(), "select pg_catalog.set_config('agentexec.scope', $1, false), pg_catalog.set_config('search_path', $2, false)", scope, path)
				require.NoError(t, err)
				_, err = conn.Exec(t.Context(), proof)
				require.ErrorContains(t, err, "planted function ran", "what is planted would run")
				before := calls()
				requireImmune(t, b, conn, name+" "+path)
				require.Equal(t, before, calls(), "a planted function ran, and its error was caught")
			}
		}
	}
}

func requireImmune(t *testing.T, b *bundle, conn *pgx.Conn, what string) {
	t.Helper()
	call := func(sql string) error {
		agent := b.in("RUNNING")
		id := one[uuid.UUID](t, b.pool, "select id from agentexec.activity where agent_id = $1", agent)
		_, err := conn.Exec(t.Context(), strings.NewReplacer("AGENT", agent.String(), "ACTIVITY", id.String()).Replace(sql))
		return err
	}
	for _, sql := range hostileCalls {
		require.NoError(t, call(sql), "%s: %s", what, sql)
	}
	for sql, sqlstate := range hostileRefusals {
		requireRefused(t, call(sql), sqlstate)
	}
}
