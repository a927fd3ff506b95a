package migrate_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	ternmigrate "github.com/jackc/tern/v2/migrate"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sql"
)

// history is the migrations, as tern reads them.
func history(t *testing.T) (files fs.FS, names []string) {
	t.Helper()
	files, err := fs.Sub(sql.Migrations, "migrations")
	require.NoError(t, err)
	names, err = ternmigrate.FindMigrations(files)
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return files, names
}

// installUpTo applies the first n migrations and no code, as an interrupted or older installation left them.
func installUpTo(t *testing.T, conn *pgx.Conn, n int) {
	t.Helper()
	files, names := history(t)
	_, err := conn.Exec(t.Context(), "create schema agentexec")
	require.NoError(t, err)
	m, err := ternmigrate.NewMigrator(t.Context(), conn, "agentexec.schema_version")
	require.NoError(t, err)
	for _, name := range names {
		body, err := fs.ReadFile(files, name)
		require.NoError(t, err)
		m.AppendMigration(name, string(body), "")
	}
	require.NoError(t, m.MigrateTo(t.Context(), int32(n)))
}

// setInstalled has the schema say that another release or other code was applied.
func setInstalled(t *testing.T, conn *pgx.Conn, release int, code string) {
	t.Helper()
	_, names := history(t)
	_, err := conn.Exec(t.Context(), fmt.Sprintf(`create or replace function
		agentexec._installed(out version int, out release int, out code text, out schema text, out roles boolean)
		language sql immutable parallel safe begin atomic select %d, %d, '%s', 'agentexec', false; end`, len(names), release, code))
	require.NoError(t, err)
}

func TestStates(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	_, names := history(t)
	require.Equal(t, migrate.Status{State: migrate.Missing, Known: len(names)}, requireState(t, conn, nil, migrate.Missing))
	_, err := conn.Exec(t.Context(), "create schema agentexec")
	require.NoError(t, err)
	require.Contains(t, requireState(t, conn, nil, migrate.Missing).String(), "agentexec migrate", "a schema without tables")

	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	status := requireState(t, conn, nil, migrate.Current)
	require.Equal(t, migrate.Status{State: migrate.Current, Version: len(names), Known: len(names)}, status)
	require.Contains(t, status.String(), "current")

	// Other functions than this program's.
	setInstalled(t, conn, sql.Release, "x")
	require.Contains(t, requireState(t, conn, nil, migrate.Older).String(), "agentexec migrate")
	// None at all: stopped between tables and functions.
	_, err = conn.Exec(t.Context(), "drop function agentexec._installed")
	require.NoError(t, err)
	requireState(t, conn, nil, migrate.Older)
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	requireFresh(t, db)

	// A newer program was here, whose tables are the same.
	setInstalled(t, conn, sql.Release+1, "newer")
	status = requireState(t, conn, nil, migrate.Newer)
	require.Equal(t, len(names), status.Version)
	require.Contains(t, status.String(), "functions in the schema are newer")
	require.ErrorIs(t, migrate.Up(t.Context(), conn, nil), migrate.ErrNewer)
	require.Equal(t, "newer", one[string](t, conn, "select code from agentexec._installed()"))

	// A newer program was here.
	_, err = conn.Exec(t.Context(), "update agentexec.schema_version set version = version + 1")
	require.NoError(t, err)
	before := dump(t, conn, "agentexec")
	status = requireState(t, conn, nil, migrate.Newer)
	require.Equal(t, len(names)+1, status.Version)
	require.Contains(t, status.String(), "newer agentexec")
	err = migrate.Up(t.Context(), conn, nil)
	require.ErrorIs(t, err, migrate.ErrNewer)
	require.ErrorContains(t, err, fmt.Sprintf("version %d", len(names)+1))
	require.Equal(t, before, dump(t, conn, "agentexec"))
	require.Equal(t, "newer", one[string](t, conn, "select code from agentexec._installed()"))
	require.Zero(t, one[int](t, conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"))
}

// From every version there ever was, an upgrade gives what a fresh installation gives.
func TestUpgradeIsFresh(t *testing.T) {
	t.Parallel()
	_, names := history(t)
	for version := range len(names) + 1 {
		t.Run(fmt.Sprint("From", version), func(t *testing.T) {
			t.Parallel()
			db := pgtest.Empty(t)
			conn := db.Conn(t)
			installUpTo(t, conn, version)
			require.NoError(t, migrate.Up(t.Context(), conn, nil))
			requireFresh(t, db)
			requireWorks(t, conn, "agentexec")
		})
	}
}

// An upgrade restores functions, views and triggers that were changed by hand to their fresh state.
func TestCodeIsReappliedWhole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	for _, change := range []string{
		"create or replace function agentexec.cancel_pending(agent_type text default null, metadata_filter jsonb default null, " +
			"idle_for interval default null, message text default 'other') returns int language sql as 'select 7'",
		"alter function agentexec.append_log security invoker set work_mem = '9MB' cost 7",
		"alter function agentexec.append_log reset search_path",
		"alter function agentexec._time volatile parallel unsafe",
		"alter function agentexec.pending_ids rows 7",
		"drop function agentexec.count_active",
		"grant execute on function agentexec.create_activity to public",
		"drop view agentexec.activity_list",
		"create view agentexec.activity_list as select a.agent_id, a.agent_type from agentexec.activity a",
		"create function agentexec._ring() returns trigger language plpgsql as 'begin return null; end'",
		"create trigger activity_log_ring after insert on agentexec.activity_log for each statement execute function agentexec._ring()",
		"create or replace trigger activity_log_number before insert on agentexec.activity_log for each row execute function agentexec._ring()",
	} {
		_, err := conn.Exec(t.Context(), change)
		require.NoError(t, err, change)
	}
	setInstalled(t, conn, sql.Release, "older")
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	requireFresh(t, db)
	requireWorks(t, conn, "agentexec")
}

// A failed upgrade leaves the code as it was: a program of the old version goes on working.
func TestFailedUpgradeChangesNothing(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Conn(t)
	for _, change := range []string{
		"drop function agentexec.count_active",
		"drop function agentexec.pending_ids()",
		"create function agentexec.pending_ids() returns setof text language sql as 'select 1::text'",
	} {
		_, err := conn.Exec(t.Context(), change)
		require.NoError(t, err, change)
	}
	setInstalled(t, conn, sql.Release, "older")
	before := dump(t, conn, "agentexec")
	err := migrate.Up(t.Context(), conn, nil)
	require.ErrorContains(t, err, "migrating schema agentexec")
	require.ErrorContains(t, err, "pending_ids()", "the function in the way is named")
	require.Equal(t, before, dump(t, conn, "agentexec"))
	requireState(t, conn, nil, migrate.Older)
	require.Zero(t, one[int](t, conn, "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"))
}

// The code changes with its release. After a change: when the release in the file has been published, raise sql.Release;
// then go test ./pkg/migrate -update
func TestReleaseNamesTheCode(t *testing.T) {
	t.Parallel()
	got := fmt.Sprintf("%d %x\n", sql.Release, sha256.Sum256([]byte(sql.Functions+sql.Triggers+sql.Comments+sql.Rights)))
	const file = "testdata/release.golden"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "sql.Functions, Triggers, Comments or Rights has changed: see this test's comment")
}

// An upgrade waits for an open write, but other writers go on meanwhile.
func TestUpgradeLetsWritersThrough(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn, writer, other := db.Conn(t), db.Conn(t), db.Conn(t)
	setInstalled(t, conn, sql.Release, "older")
	ids := make([]string, 2)
	for i := range ids {
		ids[i] = one[string](t, conn, "select agentexec.create_activity('x')::text")
	}
	tx, err := writer.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select agentexec.append_log($1, 'x')", ids[0])
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() { done <- migrate.Up(t.Context(), conn, nil) }()
	db.AwaitLockWaits(t, 1)
	_, err = other.Exec(t.Context(), "set statement_timeout = '30s'")
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), "select agentexec.append_log($1, 'x')", ids[1])
	require.NoError(t, err, "a line of another activity, while the first transaction is still open")
	require.Empty(t, done)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	requireState(t, conn, nil, migrate.Current)
}

// The search_path of the database does not change the meaning of the installed code.
func TestUpUnderAHostileSearchPath(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	conn := db.Conn(t)
	for _, sql := range []string{
		"create schema evil",
		"create function evil.clock_timestamp() returns timestamptz language sql as 'select null::timestamptz'",
		"create function evil.to_char(timestamp, text) returns text language sql as 'select null::text'",
		"set search_path = evil, pg_catalog",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, migrate.Up(t.Context(), conn, nil))
	fresh := db.Conn(t)
	requireWorks(t, fresh, "agentexec")
	requireFresh(t, db)
}

// Migrations are numbered without gaps, and say nothing that another schema name would miss.
func TestMigrationFiles(t *testing.T) {
	t.Parallel()
	files, names := history(t)
	entries, err := fs.ReadDir(files, ".")
	require.NoError(t, err)
	require.Len(t, names, len(entries))
	for i, name := range names {
		require.True(t, strings.HasPrefix(name, fmt.Sprintf("%03d_", i+1)), name)
	}
}
