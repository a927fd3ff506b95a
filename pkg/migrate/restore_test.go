package migrate_test

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// program returns the path of a program of Postgres's that is made for the server's version, and skips the test where there
// is none: pg_dump refuses servers that are newer than it is.
func program(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	major := one[int](t, conn, "select current_setting('server_version_num')::int / 10000")
	for _, dir := range []string{os.Getenv("AGENTEXEC_TEST_PG_BIN"), ""} {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
		if err == nil && strings.Contains(string(out), fmt.Sprintf(" %d.", major)) {
			return path
		}
	}
	t.Skipf("%s %d is not on this machine", name, major)
	return ""
}

func requireProgram(t *testing.T, conn *pgx.Conn, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program(t, conn, name), args...).CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
}

// withSchema installs the schema and two lines in it.
func withSchema(t *testing.T) (*pgtest.Database, *pgx.Conn) {
	t.Helper()
	db := pgtest.New(t)
	conn := db.Conn(t)
	execute(t, conn, "select agentexec.complete(agentexec.create_activity('x'))")
	return db, conn
}

// A role that may read everything makes every kind of dump.
func TestDumpByAReader(t *testing.T) {
	t.Parallel()
	db, conn := withSchema(t)
	reader := makeRole(t, db, "reader", "login password 'x' in role pg_read_all_data")
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.User = url.UserPassword(reader, "x")
	file := filepath.Join(t.TempDir(), "dump")
	// The whole dump comes last: it is restored below.
	for _, args := range [][]string{{"--data-only"}, {"--schema-only"}, {"--inserts"}, {"-n", "agentexec"}, nil} {
		requireProgram(t, conn, "pg_dump", append(args, "-Fc", "-f", file, "-d", u.String())...)
	}
	copied := pgtest.Empty(t)
	requireProgram(t, conn, "pg_restore", "--exit-on-error", "-d", copied.URL, file)
	require.Empty(t, requireState(t, copied.Conn(t), nil, migrate.Current).Warnings)
	require.Equal(t, one[string](t, conn, "select string_agg(l::text, ';' order by id) from agentexec.activity_log l"),
		one[string](t, copied.Conn(t), "select string_agg(l::text, ';' order by id) from agentexec.activity_log l"))
	requireWorks(t, copied.Conn(t), "agentexec")
}

// However a dump is restored, it can be served, and Up mends what is wrong with it.
func TestUpAfterARestore(t *testing.T) {
	t.Parallel()
	source, sourceConn := withSchema(t)
	file := filepath.Join(t.TempDir(), "dump")
	for _, kind := range []string{"", "-s", "-a"} {
		args := []string{"-Fc", "-f", file + kind, "-d", source.URL}
		if kind != "" {
			args = append(args, kind)
		}
		requireProgram(t, sourceConn, "pg_dump", args...)
	}
	restored := func(t *testing.T, kind string, restoreArgs []string) (*pgtest.Database, *pgx.Conn) {
		t.Helper()
		create := pgtest.Empty
		if len(restoreArgs) > 0 && restoreArgs[0] == "--data-only" {
			create = pgtest.New
		}
		into := create(t)
		conn := into.Conn(t)
		requireProgram(t, conn, "pg_restore", append(restoreArgs, "--exit-on-error", "-d", into.URL, file+kind)...)
		return into, conn
	}
	for name, args := range map[string]struct {
		kind    string // the argument of pg_dump
		restore []string
	}{
		"Whole":                    {},
		"WithoutRights":            {restore: []string{"-x"}},
		"WithoutRightsAndOwners":   {restore: []string{"-x", "-O"}},
		"WithoutData":              {kind: "-s"},
		"WithoutDataAndRights":     {"-s", []string{"-x"}},
		"DataOnly":                 {restore: []string{"--data-only"}},
		"DataOnlyWithoutTriggers":  {restore: []string{"--data-only", "--disable-triggers"}},
		"DataOnlyInOneTransaction": {restore: []string{"--data-only", "--single-transaction"}},
		"DataOnlyOfADumpOfData":    {"-a", []string{"--data-only"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, conn := restored(t, args.kind, args.restore)
			require.True(t, requireState(t, conn, nil, migrate.Current).Usable())
			require.NoError(t, migrate.Up(t.Context(), conn, nil))
			require.Equal(t, requireState(t, conn, nil, migrate.Current).Known, one[int](t, conn, "select version from agentexec.schema_version"))
			require.Equal(t, 1, one[int](t, conn, "select count(*) from agentexec.schema_version"))
			require.Empty(t, requireState(t, conn, nil, migrate.Current).Warnings)
			if !strings.Contains(name, "WithoutData") {
				require.Equal(t, 2, one[int](t, conn, "select count(*) from agentexec.activity_log"))
			}
			requireWorks(t, conn, "agentexec")
			stranger := makeRole(t, db, "stranger", "")
			execute(t, conn, "grant usage on schema agentexec to "+stranger, "set role "+stranger)
			_, err := conn.Exec(t.Context(), "select agentexec.cancel_pending()")
			require.ErrorContains(t, err, "permission denied")
		})
	}
}

// A renamed schema is told apart from one that was never there, and Up under the new name mends it.
func TestRenamedSchema(t *testing.T) {
	t.Parallel()
	db, conn := withSchema(t)
	execute(t, conn, "alter schema agentexec rename to tracker")

	status := requireState(t, conn, nil, migrate.Missing)
	require.Contains(t, status.String(), "run: agentexec migrate --schema tracker")
	err := migrate.Up(t.Context(), conn, nil)
	require.ErrorIs(t, err, migrate.ErrRenamed)
	require.ErrorContains(t, err, "agentexec migrate --schema tracker")

	opts := &migrate.Options{Schema: "tracker"}
	status = requireState(t, conn, opts, migrate.Older)
	require.False(t, status.Usable())
	require.Contains(t, status.String(), "run: agentexec migrate")
	require.NoError(t, migrate.Up(t.Context(), conn, opts))
	requireState(t, conn, opts, migrate.Current)
	requireWorks(t, conn, "tracker")
	require.NoError(t, migrate.Up(t.Context(), conn, nil), "a second one beside it, under the first name")
	requireFresh(t, db)
}

// Databases in another encoding are refused, in one line that says how to make one that is not.
func TestOtherEncodings(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	for _, encoding := range []string{"SQL_ASCII", "LATIN1", "LATIN9", "WIN1252", "EUC_JP"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			name := "agentexec_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
			db.Exec(t, "create database "+name+" encoding '"+encoding+"' lc_collate 'C' lc_ctype 'C' template template0")
			t.Cleanup(func() { db.Exec(t, "drop database "+name+" with (force)") })
			config, err := pgx.ParseConfig(db.URL)
			require.NoError(t, err)
			config.Database = name
			conn, err := pgx.ConnectConfig(t.Context(), config)
			require.NoError(t, err)
			defer conn.Close(t.Context())
			_, err = migrate.Check(t.Context(), conn, nil)
			require.ErrorIs(t, err, migrate.ErrEncoding)
			err = migrate.Up(t.Context(), conn, nil)
			require.ErrorIs(t, err, migrate.ErrEncoding)
			require.ErrorContains(t, err, encoding)
			require.ErrorContains(t, err, "encoding 'UTF8'")
			require.NotContains(t, err.Error(), "\n")
			require.Zero(t, one[int](t, conn, "select count(*) from pg_namespace where nspname = 'agentexec'"))
		})
	}
}

// A reader can copy every table as pg_dump does, also where this machine lacks the server's pg_dump: it copies every table
// that holds rows, with row_security off, so that a policy that would leave rows out is an error.
func TestReadersMayCopyEveryTable(t *testing.T) {
	t.Parallel()
	db, conn := withSchema(t)
	tables := one[[]string](t, conn, `select array_agg(c.oid::regclass::text) from pg_class c
		where c.relnamespace = 'agentexec'::regnamespace and c.relkind = 'r'`)
	require.Contains(t, tables, "agentexec.activity_log")
	execute(t, conn, "set role "+makeRole(t, db, "reader", "in role pg_read_all_data"), "set row_security = off")
	for _, table := range tables {
		_, err := conn.PgConn().CopyTo(t.Context(), io.Discard, "copy "+table+" to stdout")
		require.NoError(t, err, table)
	}
}
