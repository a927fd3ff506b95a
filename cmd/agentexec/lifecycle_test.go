package main

import (
	"net/url"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
)

// lines returns the lines of an activity as watch prints them.
func (c *cli) lines(t *testing.T, id string) []string {
	t.Helper()
	_, lines, found := strings.Cut(c.ok(t, "show", id), "\n\n")
	require.True(t, found)
	return strings.Split(lines, "\n")
}

// running creates a RUNNING activity.
func (c *cli) running(t *testing.T) string {
	t.Helper()
	id := c.ok(t, "create", "research")
	c.ok(t, "log", id, "Go", "--status", "RUNNING")
	return id
}

func TestCancelOfWaitingActivity(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	require.Equal(t, "canceled (line 2)", c.ok(t, "cancel", id))
	require.Regexp(t, `^2 \S+ CANCELED - Cancel requested$`, c.lines(t, id)[1])

	id = c.running(t)
	c.ok(t, "error", id)
	require.Equal(t, "canceled (line 4)", c.ok(t, "cancel", id, "Given up"))
	require.Regexp(t, `^4 \S+ CANCELED - Given up$`, c.lines(t, id)[3])
}

// TestCancelOfRunningActivity: the request leaves it RUNNING, and has the name of the user and the time of the force.
func TestCancelOfRunningActivity(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	said := c.ok(t, "cancel", id, "Enough", "--grace", "5m")
	require.Regexp(t, `^requested \(line 3\): forced at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z unless it ends before$`, said)
	require.Regexp(t, `^3 \S+ RUNNING - Enough$`, c.lines(t, id)[2])
	u, err := user.Current()
	require.NoError(t, err)
	require.Equal(t, u.Username, query[string](t, c, "select data->>'requested_by' from agentexec.activity_log where message = 'Enough'"))
	require.Equal(t, 5*time.Minute, query[time.Duration](t, c, `select date_trunc('minute', a.cancel_force_at - l.created_at + interval '1 second')
		from agentexec.activity a join agentexec.activity_log l on l.activity_id = a.id and l.seq = a.cancel_seq`))
	require.Contains(t, c.ok(t, "show", id), "\ncancel     requested in line 3 by "+u.Username+"  forced at ")

	// Again: no second line, and the shorter grace period counts.
	require.Equal(t, said, c.ok(t, "cancel", id, "--grace", "never"))
	require.NotEqual(t, said, c.ok(t, "cancel", id, "--grace", "1m"))
	require.Len(t, c.lines(t, id), 3)

	// The worker learns of the request, and ends the activity.
	r := c.run(t, "log", id, "Stopping")
	require.Equal(t, "agentexec: a cancel is requested: the worker should end the activity\n", r.stderr)
	require.Equal(t, 0, r.code)
	c.ok(t, "log", id, "Stopped", "--status", "CANCELED")
	require.Regexp(t, `(?m)^cancel     requested in line 3 by `+u.Username+`$`, c.ok(t, "show", id))
	require.Equal(t, "forced 0, expired 0, pruned 0", c.ok(t, "sweep"))
}

func TestCancelNever(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	require.Equal(t, "requested (line 3): never forced", c.ok(t, "cancel", id, "--grace", "never"))
	require.Contains(t, c.ok(t, "show", id), "never forced")
}

// TestCancelWithoutTheRightToRead: a worker's role may cancel, but its output has no time of the force.
func TestCancelWithoutTheRightToRead(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	c.ok(t, "migrate", "--roles")
	name := "agentexec_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	c.db.Exec(t, "create role "+name+" login password 'x' in role agentexec_worker")
	t.Cleanup(func() { c.db.Exec(t, "drop owned by "+name+"; drop role "+name) })
	u, err := url.Parse(c.db.URL)
	require.NoError(t, err)
	u.User = url.UserPassword(name, "x")
	worker := c.with("AGENTEXEC_DATABASE_URL=" + u.String())
	require.Equal(t, "requested (line 3)", worker.ok(t, "cancel", id))
}

// TestForcedCancel: --force ends the activity at once, and a sweep does so after the grace period. Lines after that are reported.
func TestForcedCancel(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, force := range []func(id string){
		func(id string) { require.Equal(t, "canceled (line 3)", c.ok(t, "cancel", id, "--force")) },
		func(id string) {
			require.Contains(t, c.ok(t, "cancel", id, "--grace", "1ms"), "requested (line 3): forced at ")
			require.Equal(t, `{"forced":1,"expired":0,"pruned":0}`, c.ok(t, "sweep", "--json"))
		},
	} {
		id := c.running(t)
		force(id)
		require.Regexp(t, `\ncancel     requested in line 3 by \S+  forced\n`, c.ok(t, "show", id))
		require.NotContains(t, c.ok(t, "show", id), output.StillWriting)
		c.ok(t, "log", id, "Still here")
		require.Contains(t, c.ok(t, "show", id), "\n           "+output.StillWriting+"\n")
		r := c.run(t, "watch", id)
		require.Equal(t, 3, r.code)
		require.Equal(t, strings.Join(c.lines(t, id), "\n")+"\n", r.stdout)
		require.Contains(t, r.stderr, "agentexec: "+output.StillWriting+"\n")
	}
}

// TestHeartbeat: the exit code tells a script whether to go on.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	require.Equal(t, "RUNNING", c.ok(t, "heartbeat", id))
	require.Equal(t, time.Minute, query[time.Duration](t, c, "select expect_every from agentexec.activity_heartbeat"))
	require.Equal(t, "RUNNING", c.ok(t, "heartbeat", id, "--expect-every", "2h"))
	require.Equal(t, "RUNNING", c.ok(t, "heartbeat", id))
	require.Equal(t, 2*time.Hour, query[time.Duration](t, c, "select expect_every from agentexec.activity_heartbeat"))
	require.Regexp(t, `\nlast seen  .* ago\)  expected every 2h0m0s\n`, c.ok(t, "show", id))

	c.ok(t, "cancel", id, "Enough\nof it")
	require.Equal(t, result{3, "RUNNING\n", "agentexec: a cancel is requested: Enough | of it\n"}, c.run(t, "heartbeat", id))
	c.ok(t, "log", id, "Stopped", "--status", "CANCELED")
	require.Equal(t, result{3, "CANCELED\n", ""}, c.run(t, "heartbeat", id))

	id = c.running(t)
	c.ok(t, "complete", id)
	require.Equal(t, "COMPLETE", c.ok(t, "heartbeat", id))
	id = c.running(t)
	c.ok(t, "log", id, "Enough", "--status", "CANCELED")
	require.Equal(t, result{3, "CANCELED\n", ""}, c.run(t, "heartbeat", id))
}

// TestListMarks: stale and stopping stand behind the status, and --stale and --stopping select.
func TestListMarks(t *testing.T) {
	t.Parallel()
	c := setup(t)
	silent, stopping, fine := c.running(t), c.running(t), c.running(t)
	for _, id := range []string{silent, stopping, fine} {
		c.ok(t, "heartbeat", id, "--expect-every", "1s")
	}
	c.ok(t, "heartbeat", fine, "--expect-every", "24h")
	c.ok(t, "cancel", stopping)
	require.Eventually(t, func() bool { return strings.Count(c.ok(t, "list", "--stale"), "\n") == 2 }, 20*time.Second, 20*time.Millisecond)
	rows := map[string]string{}
	for _, row := range strings.Split(c.ok(t, "list"), "\n")[1:] {
		cells := strings.Fields(row)
		rows[cells[3]] = cells[0]
	}
	require.Equal(t, map[string]string{silent: "RUNNING,stale", stopping: "RUNNING,stopping,stale", fine: "RUNNING"}, rows)
	require.Contains(t, c.ok(t, "list", "--stale=false"), fine)
	require.NotContains(t, c.ok(t, "list", "--stale=false"), silent)
	require.Contains(t, c.ok(t, "list", "--stopping"), stopping)
	require.NotContains(t, c.ok(t, "list", "--stopping"), silent)
	require.NotContains(t, c.ok(t, "list", "--stopping=false"), stopping)
	require.Regexp(t, `\nlast seen .*  expected every 1s  stale\n`, c.ok(t, "show", silent))
}

// TestLogAtSeq: a repeated line is not written again, and a different one is refused.
func TestLogAtSeq(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	first := c.ok(t, "log", id, "Go", "--status", "RUNNING", "--at-seq", "2")
	require.Equal(t, first, c.ok(t, "log", id, "Go", "--status", "RUNNING", "--at-seq", "2"))
	require.Contains(t, c.refused(t, 1, "log", id, "Other", "--at-seq", "2"), "last_seq 2")
	require.Contains(t, c.refused(t, 1, "log", id, "Go", "--at-seq", "4"), "last_seq 2")
	require.Len(t, c.lines(t, id), 2)
}

// TestWatchNotes: a new attempt and a request to cancel are notes on standard error, and the lines do not change.
func TestWatchNotes(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	c.ok(t, "error", id)
	c.ok(t, "log", id, "Again", "--status", "RUNNING")
	c.ok(t, "cancel", id, "Enough")
	c.run(t, "log", id, "Stopping")
	c.ok(t, "log", id, "Stopped", "--status", "CANCELED")
	u, err := user.Current()
	require.NoError(t, err)
	require.Equal(t, result{
		3, strings.Join(c.lines(t, id), "\n") + "\n",
		"agentexec: attempt 2\nagentexec: cancel requested by " + u.Username + "\n",
	}, c.run(t, "watch", id))

	// On a terminal they are below the line.
	out, b := terminal80()
	var ended *exit.Error
	err = c.watching(t, out).run(t.Context(), uuid.MustParse(id), 0)
	require.ErrorAs(t, err, &ended)
	require.Equal(t, exit.CodeCanceled, ended.Code)
	require.Regexp(t, `RUNNING +-  Again\n\r\x1b\[K {32}\(attempt 2\)\n`, b.String())
	require.Regexp(t, `RUNNING +-  Enough\n\r\x1b\[K {32}\(cancel requested by `+u.Username+`\)\n`, b.String())
}
