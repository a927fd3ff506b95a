package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Whatever a caller puts before pg_catalog, the writers mean what they were written with.
func TestHostileSearchPath(t *testing.T) {
	t.Parallel()
	b, _ := setupOwned(t)
	conn, name := role(t, b.db, useSchema, executeAll, insertLog,
		"create schema authorization %s", "grant temporary on database "+b.db.Name+" to %s")
	_, err := conn.Exec(t.Context(), traps(name))
	require.NoError(t, err)
	// Somebody waits, so that the bell rings.
	_, err = b.db.Conn(t).Exec(t.Context(), "select pg_advisory_lock(1635271269, 'agentexec.activity_log'::regclass::oid::int)")
	require.NoError(t, err)

	for _, path := range []string{name, name + ", pg_temp, pg_catalog", "pg_temp, " + name + ", pg_catalog, agentexec"} {
		_, err := conn.Exec(t.Context(), "set search_path = "+path)
		require.NoError(t, err)
		if path != name { // where pg_catalog is not named it comes first, and only relations and types are trapped
			_, err = conn.Exec(t.Context(), "select count(*) from activity where trap = trap")
			require.ErrorContains(t, err, "trapped")
		}

		call := func(sql string) error {
			agent := b.in("RUNNING")
			id := one[uuid.UUID](t, b.pool, "select id from agentexec.activity where agent_id = $1", agent)
			_, err := conn.Exec(t.Context(), strings.NewReplacer("AGENT", agent.String(), "ACTIVITY", id.String()).Replace(sql))
			return err
		}
		for _, sql := range []string{
			`select agentexec.create_activity('x', metadata => '{"a": 1}')`,
			`select agentexec.append_log('AGENT', 'x', 50, data => '{}')`,
			`select agentexec.append_log('AGENT', 'x', status => 'ERROR')`,
			`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "percentage": 3},
				{"agent_id": "AGENT", "message": "x", "status": "ERROR"}, {"agent_id": "AGENT", "message": "x", "status": "QUEUED"}]')`,
			`select agentexec.complete('AGENT')`,
			`select agentexec.error('AGENT')`,
			`select agentexec.cancel('AGENT')`,
			`select agentexec.cancel_pending('research', '{"a": 1}', '1 hour')`,
			`select agentexec.cancel_pending()`,
			`insert into agentexec.activity_log (activity_id, message) values ('ACTIVITY', 'x')`,
			`insert into agentexec.activity_log (activity_id, message, status, data) values ('ACTIVITY', 'x', 'COMPLETE', '1')`,
		} {
			require.NoError(t, call(sql), "%s: %s", path, sql)
		}
		for sql, sqlstate := range map[string]string{
			`select agentexec.create_activity('')`:                                                                "TA422",
			`select agentexec.append_log('AGENT', 'x', 101)`:                                                      "TA422",
			`select agentexec.append_logs('[{"agent_id": "AGENT", "message": "x", "percentage": 1.5}]')`:          "TA422",
			`select agentexec.append_logs('[{"agent_id": "` + cursorID + `", "message": "x"}]')`:                  "TA404",
			`select agentexec.cancel_pending(metadata_filter => '[]')`:                                            "TA422",
			`insert into agentexec.activity_log (activity_id, message, seq) values ('ACTIVITY', 'x', 9)`:          "42501",
			`insert into agentexec.activity_log (activity_id, message, percentage) values ('ACTIVITY', '', 9999)`: "TA422",
		} {
			requireRefused(t, call(sql), sqlstate)
		}
	}
}

// traps makes functions, operators, tables and types named like those the writers use, in a schema and in pg_temp.
func traps(schema string) string {
	var b strings.Builder
	trap := func(signature, returns string) {
		fmt.Fprintf(&b, "create function %s.%s returns %s language plpgsql as $$ begin raise 'trapped in %s'; end $$;\n",
			schema, signature, returns, strings.ReplaceAll(signature, "%", ""))
	}
	for signature, returns := range map[string]string{
		"clock_timestamp()": "timestamptz", "format(text, variadic text[])": "text", "gen_random_uuid()": "uuid",
		"nextval(regclass)": "bigint", "char_length(text)": "int", "octet_length(text)": "int", "jsonb_typeof(jsonb)": "text",
		"pg_notify(text, text)": "void", "row_security_active(oid)": "boolean", "pg_current_xact_id()": "xid8",
		"unnest(anyarray)": "setof anyelement", "jsonb_array_elements(jsonb)": "setof jsonb", "to_jsonb(anyelement)": "jsonb",
	} {
		trap(signature, returns)
	}
	for i, operator := range []string{"=", "<>", "+", "@>", "->", "->>", "-", "<", "<=", ">", ">=", "||"} {
		for j, types := range [][2]string{{"uuid", "uuid"}, {"text", "text"}, {"jsonb", "jsonb"}, {"int", "int"}, {"jsonb", "text"},
			{"agentexec.status", "agentexec.status"}, {"timestamptz", "timestamptz"}, {"timestamptz", "interval"}, {"interval", "interval"}, {"name", "name"}} {
			trap(fmt.Sprintf("trap_%d_%d(%s, %s)", i, j, types[0], types[1]), "boolean")
			fmt.Fprintf(&b, "create operator %s.%s (leftarg = %s, rightarg = %s, function = %s.trap_%d_%d);\n",
				schema, operator, types[0], types[1], schema, i, j)
		}
	}
	for _, where := range []string{"pg_temp", schema} {
		for _, name := range []string{"activity", "activity_log", "activity_list", "installation", "pg_class", "pg_roles", "line",
			"status", "uuid", "text", "jsonb", "timestamptz", "regclass"} {
			fmt.Fprintf(&b, "create table %s.%q (agent_id pg_catalog.uuid, id pg_catalog.uuid, trap pg_catalog.text);\n", where, name)
			fmt.Fprintf(&b, "insert into %s.%q (trap) values ('');\n", where, name)
		}
	}
	return b.String()
}
