package main

import (
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetentionRules(t *testing.T) {
	t.Parallel()
	c := setup(t)
	require.Equal(t, result{0, "", "No rules: nothing is ever deleted. Set one: agentexec retention set 30d\n"}, c.run(t, "retention", "list"))
	require.Equal(t, "Nothing is due now.", c.ok(t, "retention", "set", "30d"))
	c.ok(t, "retention", "set", "1d12h", "--agent-type", "the 'best'", "--status", "error")
	c.ok(t, "retention", "set", "90m", "--agent-type", "research")
	c.ok(t, "retention", "set", "60d", "--status", "CANCELED")
	c.ok(t, "retention", "set", "40d")
	require.Equal(t, "1d12h0m0s --agent-type 'the '\\''best'\\''' --status ERROR\n1h30m0s --agent-type research\n60d --status CANCELED\n40d", c.ok(t, "retention", "list"))
	c.ok(t, "retention", "remove", "--agent-type", "research")
	require.Contains(t, c.refused(t, 1, "retention", "remove", "--agent-type", "research"), "there is no such rule")
	c.ok(t, "retention", "remove")
	require.Equal(t, int64(2), query[int64](t, c, "select count(*) from agentexec.retention"))
	require.Contains(t, c.ok(t, "retention"), "Available Commands:")
}

// TestRetentionSetWhenTheCountIsSlow: the rule is set though what is due cannot be counted in time.
func TestRetentionSetWhenTheCountIsSlow(t *testing.T) {
	t.Parallel()
	c := setup(t)
	conn := c.db.Conn(t)
	_, err := conn.Exec(t.Context(), "begin; lock table agentexec.activity in access exclusive mode")
	require.NoError(t, err)
	require.Equal(t, result{0, "", "The rule is set. The activities that are due now were not counted: the count takes longer than 5s\n"}, c.run(t, "retention", "set", "30d"))
	_, err = conn.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.Equal(t, "30d", c.ok(t, "retention", "list"))
}

// TestPrune: it deletes whole trees in steps, only what finished long ago, and a dry run deletes nothing.
func TestPrune(t *testing.T) {
	t.Parallel()
	c := setup(t)
	root := c.ok(t, "create", "research")
	for range 3 {
		c.ok(t, "complete", c.ok(t, "create", "part", "--parent", root))
	}
	c.ok(t, "complete", root)
	c.ok(t, "error", c.ok(t, "create", "review"))
	c.db.Exec(t, "update agentexec.activity set created_at = created_at - interval '40 days', finished_at = finished_at - interval '40 days', updated_at = updated_at - interval '40 days'")
	c.ok(t, "complete", c.ok(t, "create", "research"))
	running := c.running(t)

	require.Equal(t, "Due now: up to 5 activities with 10 lines, less what a more specific rule keeps. A running sidecar deletes them.", c.ok(t, "retention", "set", "30d"))
	require.Equal(t, "Due now: up to 1 activity with 2 lines, less what a more specific rule keeps. A running sidecar deletes them.", c.ok(t, "retention", "set", "30d", "--status", "error"))
	require.Equal(t, "Nothing is due now.", c.ok(t, "retention", "set", "30d", "--agent-type", "review", "--status", "complete"))
	require.Equal(t, "deleted 0 activities with 0 lines", c.ok(t, "prune", "--older-than", "41d"))
	require.Equal(t, "would delete 5 activities with 10 lines", c.ok(t, "prune", "--older-than", "30d", "--dry-run"))
	require.Equal(t, "would delete 4 activities with 8 lines", c.ok(t, "prune", "--older-than", "30d", "--dry-run", "--agent-type", "research"))
	require.Equal(t, "deleted 1 activity with 2 lines", c.ok(t, "prune", "--older-than", "30d", "--status", "error,canceled"))
	require.Equal(t, "deleted 4 activities with 8 lines", c.ok(t, "prune", "--older-than", "30d"))
	require.Equal(t, int64(2), query[int64](t, c, "select count(*) from agentexec.activity"))
	c.ok(t, "retention", "remove", "--status", "error")
	c.ok(t, "retention", "set", "1s")
	c.db.Exec(t, "update agentexec.activity set created_at = created_at - interval '1 day', finished_at = finished_at - interval '1 day' where finished_at is not null")
	require.Equal(t, "forced 0, expired 0, pruned 3", c.ok(t, "sweep"))
	require.Equal(t, running, query[string](t, c, "select agent_id::text from agentexec.activity"))
}

// TestPruneInSteps: a log longer than one step goes whole. After an interrupt, the numbers are those of what was deleted.
func TestPruneInSteps(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	c.db.Exec(t, `select count(agentexec.append_log($1::uuid, 'line ' || n)) from generate_series(1, 4998) n`, id)
	c.ok(t, "complete", id)
	c.db.Exec(t, "update agentexec.activity set created_at = created_at - interval '40 days', finished_at = finished_at - interval '40 days'")
	// The third step waits for as long as the test wants.
	c.db.Exec(t, `create function public.hold() returns trigger language plpgsql as $$ begin
		if (select count(*) from agentexec.activity_log) < 3200 then perform pg_advisory_xact_lock(4711); end if; return null; end $$`)
	c.db.Exec(t, "create trigger hold after delete on agentexec.activity_log for each statement execute function public.hold()")
	holder := c.db.Conn(t)
	_, err := holder.Exec(t.Context(), "select pg_advisory_lock(4711)")
	require.NoError(t, err)
	k := c.console(t, 100, 10, "prune", "--older-than", "30d")
	require.Eventually(t, func() bool {
		return query[bool](t, c, "select exists (select from pg_stat_activity where wait_event = 'advisory' and datname = current_database())")
	}, patience, 20*time.Millisecond)
	require.NoError(t, k.cmd.Process.Signal(syscall.SIGINT))
	_, err = holder.Exec(t.Context(), "select pg_advisory_unlock(4711)") // the signal is there before the step ends
	require.NoError(t, err)
	require.Equal(t, 130, k.end(t))
	deleted, err := strconv.ParseInt(regexp.MustCompile(`^deleted 0 activities with (\d+) lines`).FindStringSubmatch(k.screen())[1], 10, 64)
	require.NoError(t, err)
	require.Equal(t, 5001-query[int64](t, c, "select count(*) from agentexec.activity_log"), deleted)
	require.Less(t, deleted, int64(5001))
	require.Equal(t, "deleted 1 activity with "+strconv.FormatInt(5001-deleted, 10)+" lines", c.ok(t, "prune", "--older-than", "30d"))
}
