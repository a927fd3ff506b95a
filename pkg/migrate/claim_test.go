package migrate_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// A schema that another role made is not installed into while that role could drop it.
func TestSchemaOfAnotherRole(t *testing.T) {
	t.Parallel()
	t.Run("EmptyIsTakenOver", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		other := makeRole(t, db, "other", "")
		execute(t, conn, "create schema agentexec authorization "+other)
		require.Contains(t, upSays(t, conn, migrate.Options{})[0], "took the empty schema over from role "+other)
		require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)
		execute(t, conn, "set role "+other)
		for _, sql := range []string{"drop schema agentexec cascade", "create table agentexec.x ()", "select agentexec.pending_ids()"} {
			_, err := conn.Exec(t.Context(), sql)
			require.Error(t, err, sql)
		}
	})

	t.Run("WithObjectsIsRefused", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		other := makeRole(t, db, "other", "")
		execute(t, conn, "create schema agentexec authorization "+other, "set role "+other, "create table agentexec.theirs ()", "reset role")
		err := migrate.Up(t.Context(), conn, nil)
		require.ErrorIs(t, err, migrate.ErrOwner)
		require.ErrorContains(t, err, other)
		require.ErrorContains(t, err, "alter schema")
		requireState(t, conn, nil, migrate.Missing)
		execute(t, conn, "set session authorization "+other)
		require.NoError(t, migrate.Up(t.Context(), conn, nil), "its owner may")
	})

	t.Run("RefusedToARoleThatMayNotTakeItOver", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		other, me := makeRole(t, db, "other", ""), makeRole(t, db, "me", "")
		execute(t, conn, "create schema agentexec authorization "+other, fmt.Sprintf("grant create, usage on schema agentexec to %s", me),
			"set session authorization "+me)
		require.ErrorIs(t, migrate.Up(t.Context(), conn, nil), migrate.ErrOwner)
	})

	t.Run("PlantedFunctionIsRefused", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		other := makeRole(t, db, "other", "")
		execute(t, conn, "create schema agentexec", "grant usage, create on schema agentexec to "+other, "set role "+other,
			"create function agentexec._scope_of(text) returns int language sql as 'select 1'", "reset role")
		err := migrate.Up(t.Context(), conn, nil)
		require.ErrorIs(t, err, migrate.ErrForeign)
		require.ErrorContains(t, err, "agentexec._scope_of(text) is owned by "+other)
		execute(t, conn, "drop function agentexec._scope_of(text)")
		require.NoError(t, migrate.Up(t.Context(), conn, nil))
		require.Equal(t, []string{fmt.Sprintf("role %s may create functions in schema agentexec, which other roles would then run; "+
			"run: revoke create on schema agentexec from %[1]s", other)}, requireState(t, conn, nil, migrate.Current).Warnings)
	})

	// An event trigger stands for a session that makes the schema after Up found none.
	t.Run("MadeMeanwhileIsRefused", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		other := makeRole(t, db, "other", "")
		execute(t, conn, fmt.Sprintf(`create function public.plant() returns event_trigger language plpgsql as $$
			begin
				if current_setting('test.planted', true) is distinct from 'yes' then
					perform set_config('test.planted', 'yes', false);
					create schema agentexec authorization %s;
				end if;
			end $$`, other), "create event trigger plant on ddl_command_start when tag in ('CREATE SCHEMA') execute function public.plant()")
		require.ErrorContains(t, migrate.Up(t.Context(), conn, nil), "already exists")
		execute(t, conn, "drop event trigger plant")
		requireState(t, conn, nil, migrate.Missing)
		require.NoError(t, migrate.Up(t.Context(), conn, nil), "the failed statement planted nothing")
	})

	t.Run("PrintedIsRefused", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		execute(t, conn, "create schema agentexec authorization "+makeRole(t, db, "other", ""))
		require.ErrorContains(t, simple(t, conn, printed(t, nil)), "already exists")
		require.NoError(t, simple(t, conn, "rollback"))
		requireState(t, conn, nil, migrate.Missing)
	})

	t.Run("UpgradeByAnotherRole", func(t *testing.T) {
		t.Parallel()
		db := pgtest.Empty(t)
		conn := db.Conn(t)
		me := makeRole(t, db, "me", "")
		execute(t, conn, "create schema agentexec", "grant usage, create on schema agentexec to "+me, "set session authorization "+me)
		require.NoError(t, migrate.Up(t.Context(), conn, nil), "into a schema of a superuser")
		execute(t, conn, "reset session authorization", "drop function agentexec._installed()")
		require.NoError(t, migrate.Up(t.Context(), conn, nil))
	})

	t.Run("IsReportedAfterwards", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		conn := db.Conn(t)
		other := makeRole(t, db, "other", "")
		execute(t, conn, "alter schema agentexec owner to "+other)
		warnings := requireState(t, conn, nil, migrate.Current).Warnings
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0], other)
	})
}

// Row-level security that hides every row is told, each kind of it, with what to run; running it helps.
func TestHiddenRowsAreReported(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"OnByAnEventTrigger": {`create function public.secure() returns event_trigger language plpgsql as $$
			declare o record; begin for o in select * from pg_event_trigger_ddl_commands() where command_tag = 'CREATE TABLE' and schema_name = 'agentexec' loop
				execute format('alter table %s enable row level security', o.object_identity); end loop; end $$`,
			"create event trigger secure on ddl_command_end when tag in ('CREATE TABLE') execute function public.secure()"},
		"Forced": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Empty(t).Conn(t)
			execute(t, conn, statements...)
			require.NoError(t, migrate.Up(t.Context(), conn, nil))
			if statements == nil {
				execute(t, conn, "alter table agentexec.activity_log enable row level security", "alter table agentexec.activity_log force row level security",
					"create policy p on agentexec.activity_log using (true)")
			}
			warnings := requireState(t, conn, nil, migrate.Current).Warnings
			require.NotEmpty(t, warnings)
			for _, warning := range warnings {
				require.Regexp(t, "row-level security is (on|forced)", warning)
			}
			require.NoError(t, migrate.Up(t.Context(), conn, &migrate.Options{RowSecurity: true}))
			execute(t, conn, "alter table agentexec.activity_log no force row level security", "alter table agentexec.schema_version disable row level security")
			require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)
		})
	}
}

// A role that no policy lets through is told so, though others are let through.
func TestHiddenRowsOfOneRole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	seeing, blind := makeRole(t, db, "seeing", ""), makeRole(t, db, "blind", "")
	execute(t, conn, fmt.Sprintf("grant usage on schema agentexec to %s, %s; grant select on all tables in schema agentexec to %[1]s, %[2]s", seeing, blind),
		"alter table agentexec.activity enable row level security", "create policy p on agentexec.activity for select to "+seeing+" using (true)",
		"set role "+seeing)
	require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)
	execute(t, conn, "reset role", "set role "+blind)
	warnings := requireState(t, conn, nil, migrate.Current).Warnings
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], blind)
}
