package migrate_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// makeRole makes a role of the server, which goes when the test ends.
func makeRole(t *testing.T, db *pgtest.Database, suffix, options string) string {
	t.Helper()
	name := fmt.Sprintf("agentexec_test_%s_%s", db.Name[len(db.Name)-12:], suffix)
	db.Exec(t, fmt.Sprintf("create role %q %s", name, options))
	t.Cleanup(func() { db.Exec(t, fmt.Sprintf("drop owned by %q cascade; drop role %[1]q", name)) })
	return name
}

func execute(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
}

// upSays runs Up and returns what it said it did.
func upSays(t *testing.T, conn *pgx.Conn, opts migrate.Options) (lines []string) {
	t.Helper()
	opts.Done = func(line string) { lines = append(lines, line) }
	require.NoError(t, migrate.Up(t.Context(), conn, &opts))
	return lines
}

// Functions of others in the schema keep their rights, at the installation and at each upgrade; also those with the name of
// one of ours.
func TestOthersFunctionsKeepTheirRights(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"app", "public"} {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			conn := db.Conn(t)
			if schema != "public" {
				execute(t, conn, "create schema "+schema)
			}
			execute(t, conn,
				"create function "+schema+".theirs() returns int language sql as 'select 7'",
				"create function "+schema+".append_log(text) returns int language sql as 'select 8'",
				"create function "+schema+"._in_scope(int) returns int language sql as 'select 9'",
				"create function "+schema+".closed() returns int language sql as 'select 10'",
				"revoke execute on function "+schema+".closed() from public",
				"create procedure "+schema+".complete() language sql as 'select 11'")
			rights := func() string {
				t.Helper()
				return one[string](t, conn, `select string_agg(p.oid::regprocedure || coalesce(p.proacl::text, ' default'), ';' order by p.oid)
					from pg_proc p where p.pronamespace = $1::regnamespace and p.prosrc ~ '^select [0-9]+$'`, schema)
			}
			before := rights()
			opts := migrate.Options{Schema: schema}
			upSays(t, conn, opts)
			require.Equal(t, before, rights())
			execute(t, conn, "grant execute on function "+schema+".cancel_pending to public")
			upSays(t, conn, opts)
			require.Equal(t, before, rights())
			for _, option := range []migrate.Options{{Schema: schema, Roles: true}, {Schema: schema, RowSecurity: true}} {
				upSays(t, conn, option)
				require.Equal(t, before, rights())
			}
			requireState(t, conn, &opts, migrate.Current)
		})
	}
}

// Every function that is installed is one whose rights are looked after.
func TestNoFunctionIsOpenByDefault(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Conn(t)
	require.Empty(t, one[string](t, conn, `select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p
		where p.pronamespace = 'agentexec'::regnamespace and p.proacl is null`))
}

// A restore without rights leaves every function open. It is told, and Up mends it whatever the version.
func TestUpRestoresRights(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)
	execute(t, conn, `do $$ declare f regprocedure; begin
		for f in select p.oid from pg_proc p where p.pronamespace = 'agentexec'::regnamespace loop
			execute format('grant execute on function %s to public', f); end loop; end $$`)
	status := requireState(t, conn, nil, migrate.Current)
	require.Len(t, status.Warnings, 1)
	require.Contains(t, status.Warnings[0], "run: agentexec migrate")
	require.Contains(t, upSays(t, conn, migrate.Options{}), "restored who may execute the functions")
	requireFresh(t, db)
	require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)

	// Too few: a reader's functions could not call what computes.
	execute(t, conn, "revoke execute on function agentexec._in_scope from public")
	require.Contains(t, upSays(t, conn, migrate.Options{}), "restored who may execute the functions")
	requireFresh(t, db)

	// A role that may not restore them is told so.
	execute(t, conn, "grant execute on function agentexec.cancel_pending to public")
	stranger := makeRole(t, db, "stranger", "")
	execute(t, conn, fmt.Sprintf("grant usage on schema agentexec to %s; grant select on agentexec.schema_version to %[1]s", stranger), "set role "+stranger)
	err := migrate.Up(t.Context(), conn, nil)
	require.Error(t, err)
	execute(t, conn, "reset role")
	require.Len(t, requireState(t, conn, nil, migrate.Current).Warnings, 1)
}

// The roles get back what they have lost, once they were made.
func TestUpRestoresTheRolesRights(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	said := upSays(t, conn, migrate.Options{Roles: true})
	require.Len(t, said, 2)
	require.Contains(t, said[1], "roles")
	require.Equal(t, []string{"the schema is current (version " + fmt.Sprint(requireState(t, conn, nil, migrate.Current).Known) + ")"}, upSays(t, conn, migrate.Options{}))
	before := dump(t, conn, "agentexec")
	for _, loss := range []string{
		"revoke execute on function agentexec.create_activity from agentexec_worker",
		"revoke select on agentexec.activity from agentexec_reader",
		"revoke usage on schema agentexec from agentexec_sidecar",
	} {
		execute(t, conn, loss)
		require.Len(t, requireState(t, conn, nil, migrate.Current).Warnings, 1)
		require.Contains(t, upSays(t, conn, migrate.Options{}), "restored the rights of the roles", loss)
		require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)
	}
	for _, relation := range []string{"create_activity", "agentexec_worker", "agentexec_sidecar"} {
		require.Contains(t, dump(t, conn, "agentexec"), relation)
	}
	require.Len(t, dump(t, conn, "agentexec"), len(before))
}
