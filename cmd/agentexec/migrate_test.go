package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))

	require.Contains(t, c.ok(t, "migrate", "--status"), "not installed; run: agentexec migrate")
	require.Contains(t, c.refused(t, 1, "create", "research"), "run: agentexec migrate")
	require.Contains(t, c.refused(t, 1, "demo"), "run: agentexec migrate")
	require.Contains(t, c.ok(t, "migrate"), "is current")
	require.Contains(t, c.ok(t, "migrate"), "is current")
	// The command that is named is one that helps.
	for _, args := range [][]string{{"list"}, {"demo"}, {"serve", "--addr", "127.0.0.1:0", "--log-level", "error"}} {
		line := c.refused(t, 1, append(args, "--schema", "tracker")...)
		require.Regexp(t, "run: agentexec migrate --schema tracker$", line)
	}
	require.Regexp(t, "run: agentexec migrate --schema tracker$", c.ok(t, "migrate", "--status", "--schema", "tracker"))
	require.Regexp(t, "run: agentexec migrate$", c.with("AGENTEXEC_SCHEMA=tracker").refused(t, 1, "list"))
	c.ok(t, "create", "research")

	c.db.Exec(t, "update agentexec.schema_version set version = 99")
	require.Contains(t, c.ok(t, "migrate", "--status"), "newer")
	require.Contains(t, c.refused(t, 1, "migrate"), "install a newer agentexec")
	require.Contains(t, c.refused(t, 1, "demo"), "install a newer agentexec")
}

func TestMigratePrint(t *testing.T) {
	t.Parallel()
	sql := bare(t).ok(t, "migrate", "--print") // without a database
	c := onDatabase(t, pgtest.Empty(t))
	c.db.Exec(t, sql)
	require.Contains(t, c.ok(t, "migrate", "--status"), "is current")
	require.Contains(t, bare(t).ok(t, "migrate", "--print", "--schema", "tracker"), `create schema if not exists "tracker"`)
}

func TestMigrateRoles(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))
	require.Contains(t, c.ok(t, "migrate", "--roles"), "is current")
	require.Contains(t, c.ok(t, "migrate", "--roles", "--row-security"), "is current")
	c.db.Exec(t, "set role agentexec_worker; select agentexec.create_activity('x')")
	sql := bare(t).ok(t, "migrate", "--print", "--roles", "--row-security", "--schema", "tracker")
	require.Contains(t, sql, `grant usage on schema "tracker" to agentexec_worker`)
	require.Contains(t, sql, `alter table "tracker".activity enable row level security`)
	require.NotContains(t, bare(t).ok(t, "migrate", "--print"), "agentexec_worker")
	require.Contains(t, bare(t).refused(t, 2, "migrate", "--status", "--roles"), "--roles")
}
