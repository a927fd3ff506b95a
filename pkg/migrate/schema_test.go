package migrate_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// requireWorks calls every public function of a schema, inserts directly, and checks that nothing reached another schema.
func requireWorks(t *testing.T, conn *pgx.Conn, schema string) {
	t.Helper()
	s := pgx.Identifier{schema}.Sanitize()
	call := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), strings.ReplaceAll(sql, "SCHEMA", s), args...)
		require.NoError(t, err, sql)
	}
	before := one[int](t, conn, "select count(*) from "+s+".activity_log")
	for range 3 { // also with the plans that Postgres keeps
		agent := one[string](t, conn, fmt.Sprintf(`select %s.create_activity('x', metadata => '{"a": 1}')::text`, s))
		call("select SCHEMA.append_log($1, 'x', 5)", agent)
		call("select SCHEMA.append_log($1, 'x', 5, 'RUNNING', '{}')", agent)
		call(`select SCHEMA.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::text, 'message', 'x', 'status', 'ERROR')))`, agent)
		call("select SCHEMA.error($1)", agent)
		call("insert into SCHEMA.activity_log (activity_id, message, status) select id, 'x', 'QUEUED' from SCHEMA.activity where agent_id = $1", agent)
		call("select SCHEMA.complete($1)", agent)
		call(`select SCHEMA.cancel(SCHEMA.create_activity('y'))`)
		call(`select SCHEMA.create_activity('z')`)
		call(`select SCHEMA.cancel_pending(idle_for => '0')`)
		call(`select SCHEMA.count_active(), SCHEMA.count_by_status('x', '{"a": 1}'), array(select SCHEMA.pending_ids())`)
		call(`select * from SCHEMA.activity_list`)
		call(`select SCHEMA.list_activities(statuses => '{COMPLETE}', agent_type => 'x', metadata_filter => '{"a": 1}', include_metadata => true)`)
		call(`select SCHEMA.list_activities(after => SCHEMA.list_activities(page_size => 1)->>'next')`)
		call(`select SCHEMA.list_activities(sort => 'duration', "order" => 'asc', since => now() - interval '1 h', until => now(), id_prefix => 'abcd')`)
		call(`select SCHEMA.list_activities(sort => 'activity', after => SCHEMA.list_activities(page_size => 1, sort => 'activity')->>'next')`)
		call(`select SCHEMA.stats(), SCHEMA.stats(now() - interval '1 day', '1 hour'), SCHEMA.count_by_status(since => now() - interval '1 h')`)
		call(`select SCHEMA.activity_detail($1, log_limit => 3)`, agent)
	}
	require.Equal(t, before+3*11, one[int](t, conn, "select count(*) from "+s+".activity_log"))
	for call, code := range map[string]string{
		"append_log(gen_random_uuid(), 'x')": "TA404", "list_activities(page => 0)": "TA422", "create_activity('')": "TA422",
		"append_logs('[{}]')": "TA422", `append_logs('[{"agent_id": "x", "message": "x"}]')`: "TA422",
	} {
		_, err := conn.Exec(t.Context(), "select "+s+"."+call)
		require.ErrorContains(t, err, code)
	}
}

// Another name gives the same schema under that name, beside the first, and nothing in it knows the first.
func TestOtherSchemas(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	for _, name := range []string{"other", "agentexec2", "my_agentexec", "select", "_", strings.Repeat("x", 63)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			conn := db.Conn(t)
			opts := &migrate.Options{Schema: name}
			requireState(t, conn, opts, migrate.Missing)
			require.NoError(t, migrate.Up(t.Context(), conn, opts))
			requireState(t, conn, opts, migrate.Current)

			got := dump(t, conn, name)
			quoted := one[string](t, conn, "select quote_ident($1)", name)
			require.NotRegexp(t, `\bagentexec\b\.`, regexp.MustCompile(`agentexec\.(scope|skipped|direct)`).ReplaceAllString(got, "")) // settings, the same for all
			got = strings.NewReplacer(`"`+name+`".`, "agentexec.", quoted+".", "agentexec.", name+" owner", "agentexec owner").Replace(got)
			require.Equal(t, string(want), got)

			requireWorks(t, conn, name)
			require.Zero(t, one[int](t, conn, "select count(*) from agentexec.activity_log"))
			requireWorks(t, conn, "agentexec")
			requireFresh(t, db)

			printedInto := pgtest.Empty(t).Conn(t)
			require.NoError(t, simple(t, printedInto, printed(t, opts)))
			requireState(t, printedInto, opts, migrate.Current)
			requireState(t, printedInto, nil, migrate.Missing)
			require.Equal(t, dump(t, conn, name), dump(t, printedInto, name))
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	conn := pgtest.Empty(t).Conn(t)
	before := one[int](t, conn, "select count(*) from pg_namespace")
	for _, name := range []string{"A", "Agentexec", "1a", "a-b", "a b", " a", "a ", "a.b", `a"b`, "a'b", "a;b", "é", "a\nb", "a\x00b", "$1", "%s",
		"pg_x", "pg_catalog", "information_schema", strings.Repeat("x", 64)} {
		opts := &migrate.Options{Schema: name}
		require.False(t, migrate.ValidName(name), name)
		require.ErrorContains(t, migrate.Up(t.Context(), conn, opts), fmt.Sprintf("%q", name))
		_, err := migrate.Check(t.Context(), conn, opts)
		require.ErrorContains(t, err, "letters, digits and underscores")
	}
	require.False(t, migrate.ValidName(""))
	require.Equal(t, before, one[int](t, conn, "select count(*) from pg_namespace"))
	for _, name := range []string{"a", "_", "a1", "agentexec", strings.Repeat("x", 63)} {
		require.True(t, migrate.ValidName(name), name)
	}
}
