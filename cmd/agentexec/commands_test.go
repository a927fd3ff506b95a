package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	c := setup(t)

	t.Run("PrintsTheIDAndNothingElse", func(t *testing.T) {
		t.Parallel()
		id, err := uuid.Parse(c.ok(t, "create", "research"))
		require.NoError(t, err)
		require.Equal(t, "Agent queued",
			query[string](t, c, "select latest_log from agentexec.activity_list where agent_id = $1", id))
	})
	t.Run("TakesEverything", func(t *testing.T) {
		t.Parallel()
		id := uuid.NewString()
		require.Equal(t, id, c.ok(t, "create", "research", "Hello", "--agent-id", id, "--metadata", `{"org": "1", "n": 9007199254740993}`))
		require.Equal(t, "Hello", query[string](t, c, "select latest_log from agentexec.activity_list where agent_id = $1", id))
		require.JSONEq(t, `{"org": "1", "n": 9007199254740993}`,
			query[string](t, c, "select metadata::text from agentexec.activity_list where agent_id = $1", id))
		require.Contains(t, query[string](t, c, "select metadata::text from agentexec.activity_list where agent_id = $1", id), "9007199254740993")

		require.Contains(t, c.refused(t, 1, "create", "again", "--agent-id", id), "agent_id")
	})
}

func TestLog(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")

	require.Regexp(t, `^2 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z RUNNING 30% Reading$`,
		c.ok(t, "log", id, "Reading", "--percentage", "30", "--status", "running", "--data", `{"page": 1}`))
	require.JSONEq(t, `{"page": 1}`, query[string](t, c, "select data::text from agentexec.activity_log where seq = 2"))
	require.Regexp(t, `^3 \S+ RUNNING - -v$`, c.ok(t, "log", id, "--", "-v"))
	// The worker reads in the answer that it was canceled.
	require.Equal(t, "canceled (line 4)", c.ok(t, "cancel", id, "Enough", "--force"))
	require.Regexp(t, `^5 \S+ CANCELED 40% late$`, c.ok(t, "log", id, "late", "--percentage=40"))
	require.Contains(t, c.refused(t, 1, "log", id, "on", "--status", "RUNNING"), "is CANCELED and cannot become RUNNING")
	require.Equal(t, int64(5), query[int64](t, c, "select count(*) from agentexec.activity_log"))
}

// TestOtherEncoding: a database that is not in UTF-8 is refused in one line.
func TestOtherEncoding(t *testing.T) {
	t.Parallel()
	c := onDatabase(t, pgtest.Empty(t))
	latin := c.db.Name + "_latin1"
	c.db.Exec(t, "create database "+latin+" encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
	t.Cleanup(func() { c.db.Exec(t, "drop database "+latin+" with (force)") })
	other := c.with("AGENTEXEC_DATABASE_URL=" + strings.Replace(c.db.URL, c.db.Name, latin, 1))
	require.Contains(t, other.refused(t, 1, "migrate"), "has encoding LATIN1")
}

func TestFinish(t *testing.T) {
	t.Parallel()
	c := setup(t)

	for _, tc := range []struct {
		args []string
		line string
	}{
		{[]string{"complete"}, "COMPLETE 100% Agent completed"},
		{[]string{"complete", "", "Well done", "--percentage", "75", "--data", "[1]"}, "COMPLETE 75% Well done"},
		{[]string{"error"}, "ERROR - Agent failed"},
		{[]string{"error", "", "No luck"}, "ERROR - No luck"},
	} {
		id := c.ok(t, "create", "research")
		args := append([]string{tc.args[0], id}, tc.args[min(2, len(tc.args)):]...)
		require.Regexp(t, `^2 \S+ `+tc.line+`$`, c.ok(t, args...))
	}

	id := c.ok(t, "create", "research")
	c.ok(t, "complete", id)
	require.Contains(t, c.refused(t, 1, "cancel", id), "is COMPLETE and cannot become CANCELED")
	require.Contains(t, c.refused(t, 1, "error", id), "cannot become ERROR")
}

func TestUnknownActivity(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := uuid.NewString()
	for _, args := range [][]string{
		{"log", id, "x"}, {"complete", id}, {"error", id}, {"cancel", id}, {"heartbeat", id}, {"show", id}, {"show", id, "--json"}, {"watch", id},
	} {
		require.Equal(t, "agentexec: no activity with agent_id "+id, c.refused(t, 1, args...))
	}
}

func TestCancelPending(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.ok(t, "create", "a")
	c.ok(t, "create", "b")
	c.ok(t, "create", "c", "--metadata", `{"org": "1"}`)
	c.ok(t, "create", "c")
	c.ok(t, "complete", c.ok(t, "create", "a"))

	require.Equal(t, "0", c.ok(t, "cancel-pending", "--idle-for", "1h"))
	require.Equal(t, "1", c.ok(t, "cancel-pending", "--agent-type", "a", "--message", "Enough"))
	require.Equal(t, "1", c.ok(t, "cancel-pending", "--metadata", `{"org": "1"}`, "--idle-for", "1ms"))
	require.Equal(t, "2", c.ok(t, "cancel-pending", "--all"))
	require.Equal(t, int64(1), query[int64](t, c, "select count(*) from agentexec.activity_log where message = 'Enough'"))
	require.Equal(t, int64(4), query[int64](t, c, "select count(*) from agentexec.activity_list where status = 'CANCELED'"))
}

// TestCancelPendingNeedsAFilter: everything is canceled only where that is said.
func TestCancelPendingNeedsAFilter(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.ok(t, "create", "a")
	for _, args := range [][]string{{}, {"--metadata", "{}"}, {"--idle-for", "0s"}, {"--message", "Enough"}} {
		require.Contains(t, c.refused(t, 2, append([]string{"cancel-pending"}, args...)...), "--all")
	}
	require.Contains(t, c.refused(t, 2, "cancel-pending", "--all", "--agent-type", "a"), "--all goes with no filter")
	require.Equal(t, int64(1), query[int64](t, c, "select agentexec.count_active()"))
}

// TestCancelPendingReportsSkipped: an activity that another transaction keeps locked is not waited for.
func TestCancelPendingReportsSkipped(t *testing.T) {
	t.Parallel()
	c := setup(t)
	locked := c.ok(t, "create", "a")
	c.ok(t, "create", "a")
	tx, err := c.db.Conn(t).Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), "select agentexec.append_log($1, 'busy')", locked)
	require.NoError(t, err)
	r := c.run(t, "cancel-pending", "--agent-type", "a")
	require.Equal(t, 0, r.code)
	require.Equal(t, "1\n", r.stdout)
	require.Regexp(t, `^agentexec: 1 activity was skipped: [^\n]+\n$`, r.stderr)
}

func TestList(t *testing.T) {
	t.Parallel()
	c := setup(t)
	queued := c.ok(t, "create", "a", "Waiting")
	running := c.ok(t, "create", "type of\nb")
	c.ok(t, "log", running, "evil \x1b[2J\x1b[31m\u202etxt", "--status", "RUNNING", "--percentage", "7")
	c.ok(t, "complete", c.ok(t, "create", "a"))

	table := strings.Split(c.ok(t, "list"), "\n")
	require.Len(t, table, 4)
	require.Regexp(t, `^STATUS +PCT +TYPE +AGENT_ID +AGE +LATEST$`, table[0])
	require.Regexp(t, `^RUNNING +7%  type of\\nb  `+running+` +\d+s  evil \\x1b\[2J\\x1b\[31m\\u202etxt$`, table[1])
	require.Regexp(t, `^QUEUED +0%  a +`+queued+` +\d+s  Waiting$`, table[2])
	require.Regexp(t, `^COMPLETE +100% `, table[3])

	rows := func(args ...string) int { return strings.Count(c.ok(t, append([]string{"list"}, args...)...), "\n") }
	require.Equal(t, 2, rows("--status", "running,Queued"))
	require.Equal(t, 2, rows("--agent-type", "a"))
	require.Equal(t, 1, rows("--agent-type", "a", "--status", "COMPLETE"))
	require.Equal(t, 0, rows("--metadata", `{"org": "2"}`))
	require.Equal(t, 1, rows("--page", "3", "--page-size", "1"))
	number, text := c.ok(t, "create", "c", "--metadata", `{"org": 42}`), c.ok(t, "create", "c", "--metadata", `{"org": "42"}`)
	require.Equal(t, 2, rows("--metadata", "org=42"))
	require.Equal(t, 1, rows("--metadata", `org="42"`))
	require.Equal(t, 1, rows("--metadata", `{"org": 42}`))
	require.Equal(t, 0, rows("--metadata", "org=42", "--metadata", "team=x"))
	require.Equal(t, "2", c.ok(t, "cancel-pending", "--metadata", "org=42"))
	for _, id := range []string{number, text} {
		query[int64](t, c, "with gone as (delete from agentexec.activity where agent_id = $1 returning 1) select count(*) from gone", id)
	}

	require.Equal(t, query[string](t, c, "select agentexec.list_activities(page_size => 2)::text"),
		c.ok(t, "list", "--page-size", "2", "--json"))
	next := query[string](t, c, "select agentexec.list_activities(page_size => 2)->>'next'")
	require.Equal(t, 1, rows("--after", next))
	require.Contains(t, c.refused(t, 2, "list", "--after", "garbage"), "after")
}

func TestShow(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research", "--metadata", `{"org": "1"}`)
	c.ok(t, "log", id, "Two\nlines", "--status", "RUNNING", "--percentage", "7")
	c.ok(t, "error", id)
	c.ok(t, "log", id, "Again", "--status", "RUNNING")

	head, lines, ok := strings.Cut(c.ok(t, "show", id), "\n\n")
	require.True(t, ok)
	require.Regexp(t, `(?s)^agent_id +`+id+`\ntype +research\nstatus +RUNNING  7%  attempt 2\nmetadata +{"org": "1"}\ncreated +.*started +.*updated`, head)
	require.Regexp(t, `^1 \S+ QUEUED 0% Agent queued\n2 \S+ RUNNING 7% Two\\nlines\n3 \S+ ERROR - Agent failed\n4 \S+ RUNNING - Again$`, lines)

	require.Equal(t, query[string](t, c, "select agentexec.activity_detail($1)::text", id), c.ok(t, "show", id, "--json"))
}

func TestOtherSchema(t *testing.T) {
	t.Parallel()
	c := setup(t).with("AGENTEXEC_SCHEMA=tracker")
	require.Contains(t, c.refused(t, 1, "create", "research"), "run: agentexec migrate")
	require.Regexp(t, `^tracker: installed, version \d+$`, c.ok(t, "migrate"))
	id := c.ok(t, "create", "research")
	require.Equal(t, int64(1), query[int64](t, c, "select count(*) from tracker.activity"))
	// The flag wins over the variable.
	require.Contains(t, c.refused(t, 1, "show", id, "--schema", "agentexec"), "no activity")
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	c := bare(t).with("AGENTEXEC_ADDR=garbage", "AGENTEXEC_DATABASE_URL=postgres://u:geheim@h/d")
	require.NotEmpty(t, c.ok(t, "version"))
	require.Equal(t, c.ok(t, "version"), c.ok(t, "--version"))
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"help", "list"}, {"list", "--help"}, {"watch", "-h"}} {
		help := c.ok(t, args...)
		require.Contains(t, help, "Usage:")
		require.NotContains(t, help, "geheim")
		require.NotContains(t, help, "healthcheck")
	}
}

func TestIdleForReachesPostgres(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.ok(t, "create", "old")
	c.db.Exec(t, "update agentexec.activity set updated_at = $1", time.Now().Add(-2*time.Hour))
	c.ok(t, "create", "new")
	require.Equal(t, "1", c.ok(t, "cancel-pending", "--idle-for", "1h30m"))
}
