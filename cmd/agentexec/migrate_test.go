package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))

	require.Contains(t, c.refused(t, 1, "migrate", "--status"), "agentexec: the schema is not installed; run: agentexec migrate")
	require.Contains(t, c.refused(t, 1, "create", "research"), "run: agentexec migrate")
	require.Contains(t, c.refused(t, 1, "demo"), "run: agentexec migrate")
	require.Regexp(t, `^agentexec: installed, version \d+$`, c.ok(t, "migrate"))
	require.Regexp(t, `^agentexec: the schema is current \(version \d+\)$`, c.ok(t, "migrate"))
	// The command that is named is one that helps.
	for _, args := range [][]string{{"list"}, {"demo"}, {"serve", "--addr", "127.0.0.1:0", "--log-level", "error"}} {
		line := c.refused(t, 1, append(args, "--schema", "tracker")...)
		require.Regexp(t, "run: agentexec migrate --schema tracker$", line)
	}
	require.Regexp(t, "run: agentexec migrate --schema tracker$", c.refused(t, 1, "migrate", "--status", "--schema", "tracker"))
	require.Regexp(t, "run: agentexec migrate$", c.with("AGENTEXEC_SCHEMA=tracker").refused(t, 1, "list"))
	c.ok(t, "create", "research")

	c.db.Exec(t, "update agentexec.schema_version set version = 99")
	require.Contains(t, c.ok(t, "migrate", "--status"), "newer")
	require.Contains(t, c.refused(t, 1, "migrate"), "install a newer agentexec")
	require.Contains(t, c.refused(t, 1, "demo"), "install a newer agentexec")
}

// A view that calls a function of an older version keeps migrate from replacing it. The message names the view, and the schema stays as
// it was.
func TestMigrateNamesWhatDepends(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))
	release, err := os.ReadFile("../../pkg/migrate/testdata/release1.sql")
	require.NoError(t, err)
	c.db.Exec(t, string(release))
	c.db.Exec(t, "create view public.counted as select agentexec.count_by_status() as counts")
	line := c.refused(t, 1, "migrate")
	require.Contains(t, line, "view public.counted depends on function agentexec.count_by_status(text,jsonb)")
	require.Contains(t, line, "run agentexec migrate again")
	c.db.Exec(t, "select agentexec.create_activity('research')")
	c.db.Exec(t, "drop view public.counted")
	require.Contains(t, c.ok(t, "migrate"), "agentexec: ")
}

func TestMigratePrint(t *testing.T) {
	t.Parallel()
	sql := bare(t).ok(t, "migrate", "--print") // without a database
	c := onDatabase(t, pgtest.Empty(t))
	c.db.Exec(t, sql)
	require.Contains(t, c.ok(t, "migrate", "--status"), "is current")
	require.Contains(t, bare(t).ok(t, "migrate", "--print", "--schema", "tracker"), `create schema "tracker"`)
}

func TestMigrateRoles(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))
	said := strings.Split(c.ok(t, "migrate", "--roles"), "\n") // other tests of this server may have made the roles
	require.Len(t, said, 2)
	require.Contains(t, said[0], "installed, version")
	require.Regexp(t, "roles made: .*agentexec_worker|the roles were there; their rights are granted", said[1])
	said = strings.Split(c.ok(t, "migrate", "--roles", "--row-security"), "\n")
	require.Len(t, said, 3)
	require.Contains(t, said[0], "is current")
	require.Contains(t, said[1], "the roles were there; their rights are granted")
	require.Contains(t, said[2], "row security made")
	c.db.Exec(t, "set role agentexec_worker; select agentexec.create_activity('x')")
	sql := bare(t).ok(t, "migrate", "--print", "--roles", "--row-security", "--schema", "tracker")
	require.Contains(t, sql, `grant usage on schema "tracker" to agentexec_worker`)
	require.Contains(t, sql, `alter table "tracker".activity enable row level security`)
	require.NotContains(t, bare(t).ok(t, "migrate", "--print"), "agentexec_worker")
	require.Contains(t, bare(t).refused(t, 2, "migrate", "--status", "--roles"), "--roles")
}

// --status names who holds the wake-up lock, and what hides rows.
func TestMigrateStatusWarns(t *testing.T) {
	t.Parallel()
	c := setup(t)
	require.NotContains(t, c.ok(t, "migrate", "--status"), "\n")
	name := fmt.Sprintf("agentexec_test_%016x", rand.Uint64())
	c.db.Exec(t, "create role "+name+" login password 'x'")
	t.Cleanup(func() { c.db.Exec(t, "drop role "+name) })
	u, err := url.Parse(c.db.URL)
	require.NoError(t, err)
	u.User = url.UserPassword(name, "x")
	u.RawQuery += "&application_name=lurker"
	intruder, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	defer intruder.Close(t.Context())
	key := query[uint32](t, c, "select 'agentexec.activity_log'::regclass::oid")
	_, err = intruder.Exec(t.Context(), "select pg_advisory_lock(1635271269, $1::bigint::int)", key)
	require.NoError(t, err)
	require.Regexp(t, fmt.Sprintf(`warning: the wake-up lock is held by pid %d \(role %s, application "lurker"\), which may not use the schema`,
		intruder.PgConn().PID(), name), c.ok(t, "migrate", "--status"))
	c.db.Exec(t, "grant usage on schema agentexec to "+name)
	require.Contains(t, c.ok(t, "migrate", "--status"), fmt.Sprintf("agentexec: the wake-up lock is held by pid %d", intruder.PgConn().PID()))
	c.db.Exec(t, "revoke usage on schema agentexec from "+name)

	c.db.Exec(t, "alter table agentexec.activity enable row level security")
	require.Contains(t, c.ok(t, "migrate", "--status"), "agentexec: warning: row-level security is on for agentexec.activity and no policy lets a row through")
}

// migrate says what it waits for, and gives up.
func TestMigrateGivesUpWaiting(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))
	holder := c.db.Conn(t)
	_, err := holder.Exec(t.Context(), "select pg_advisory_lock(7091823441950217) /* migrating by hand */")
	require.NoError(t, err)
	r := c.run(t, "migrate", "--lock-timeout", "2s")
	require.Equal(t, 1, r.code)
	require.Empty(t, r.stdout)
	for _, words := range []string{"agentexec: waiting up to 2s for a lock", "waited 2s for", fmt.Sprintf("pid %d", holder.PgConn().PID()),
		"TestMigrateGivesUpWaiting", "migrating by hand", "--lock-timeout"} {
		require.Contains(t, r.stderr, words)
	}
	require.Contains(t, c.refused(t, 2, "migrate", "--lock-timeout", "0s"), "--lock-timeout")
}
