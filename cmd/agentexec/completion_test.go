package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// complete returns what a shell offers for a command line.
func (c *cli) complete(t *testing.T, args ...string) []string {
	t.Helper()
	r := c.run(t, append([]string{"__complete"}, args...)...)
	require.Equal(t, 0, r.code, r.stderr)
	var offered []string
	for line := range strings.Lines(r.stdout) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, ":") {
			value, _, _ := strings.Cut(line, "\t")
			offered = append(offered, value)
		}
	}
	return offered
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	c := setup(t)
	queued, done := c.ok(t, "create", "research"), c.ok(t, "create", "research")
	running := c.ok(t, "create", "type of\tb")
	c.ok(t, "log", running, "Go", "--status", "RUNNING")
	c.ok(t, "complete", done)

	failed := c.ok(t, "create", "research")
	c.ok(t, "error", failed)

	for _, command := range []string{"log", "complete", "error", "heartbeat", "watch"} {
		require.Equal(t, []string{running, queued}, c.complete(t, command, ""), command)
	}
	require.Equal(t, []string{running, queued, failed}, c.complete(t, "cancel", ""))
	require.Equal(t, []string{running, queued, failed, done}, c.complete(t, "show", ""))
	require.Equal(t, []string{running}, c.complete(t, "watch", running[:8]))
	require.Equal(t, []string{running}, c.complete(t, "watch", strings.ToUpper(running[:8])))
	require.Empty(t, c.complete(t, "log", running, ""))

	all := []string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}
	require.Equal(t, all, c.complete(t, "log", running, "x", "--status", ""))
	require.Equal(t, []string{"RUNNING"}, c.complete(t, "log", running, "x", "--status", "r"))
	require.Equal(t, all, c.complete(t, "list", "--status", ""))
	require.Equal(t, []string{"RUNNING,QUEUED", "RUNNING,COMPLETE", "RUNNING,ERROR", "RUNNING,CANCELED"}, c.complete(t, "list", "--status", "RUNNING,"))
	require.Equal(t, []string{"debug", "info", "warn", "error"}, c.complete(t, "list", "--log-level", ""))
	require.Equal(t, []string{"10s", "30s", "5m", "never"}, c.complete(t, "cancel", running, "--grace", ""))
	require.Contains(t, c.complete(t, "c"), "completion")
	require.Contains(t, c.ok(t, "--help"), "completion")
	require.Contains(t, c.ok(t, "completion", "bash"), "agentexec")

	// Without a database there is nothing to offer, soon, and nothing to read.
	began := time.Now()
	for _, url := range []string{"", "nonsense", "postgres://127.0.0.1:1/x", "postgres://192.0.2.1:5432/x"} {
		r := c.with("AGENTEXEC_DATABASE_URL="+url).run(t, "__complete", "watch", "")
		require.Equal(t, 0, r.code)
		require.Equal(t, ":4\n", r.stdout)
	}
	require.Less(t, time.Since(began), 30*time.Second)
}
