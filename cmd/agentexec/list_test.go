package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// TestListOnTerminal: the ids are short, and no line is longer than the terminal is wide.
func TestListOnTerminal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research", strings.Repeat("waiting for a worker ", 50))
	k := c.console(t, 60, 10, "list")
	require.Equal(t, 0, k.end(t))
	lines := strings.Split(k.screen(), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^QUEUED   0%  research  `+id[:8]+` +\d+s  waiting .*…$`, lines[1])
	require.NotContains(t, lines[1], id)
}

// TestListWatchOnTerminal: the list changes in place, and its last state stays when it ends.
func TestListWatchOnTerminal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research", "One")
	k := c.console(t, 80, 10, "list", "--watch")
	k.await(t, `QUEUED .* One`)
	c.ok(t, "log", id, "Two", "--status", "RUNNING", "--percentage", "40")
	k.await(t, `^STATUS .*\nRUNNING +40%  research  `+id[:8]+` .* Two\nUpdated `)
	c.ok(t, "create", "review", "Three")
	k.await(t, `Two\nQUEUED .* Three\n`)
	k.resize(t, 60, 4)
	k.await(t, `^STATUS .*\nRUNNING .*\nUpdated .*$`)
	k.resize(t, 80, 10)
	k.await(t, `QUEUED .* Three\n`)
	c.db.Exec(t, "alter function agentexec._is_stale rename to gone")
	k.await(t, `connection lost, trying again|the schema`)
	c.db.Exec(t, "alter function agentexec.gone rename to _is_stale")
	k.await(t, `Updated|connected again`)
	k.send(t, "\x03")
	require.Equal(t, 130, k.end(t))
	require.Regexp(t, `QUEUED .* Three$`, k.screen())
	require.True(t, strings.Contains(k.written(), "\x1b[?1049h") && strings.Contains(k.written(), "\x1b[?1049l"))
}

// TestListWatchInPipe: one line for each activity that is new, has changed or has left the list.
func TestListWatchInPipe(t *testing.T) {
	t.Parallel()
	c := setup(t)
	first := c.ok(t, "create", "research", "One")
	second := c.ok(t, "create", "research", "Two")
	w := c.start(t, "list", "--watch", "--status", "QUEUED,RUNNING")
	require.Regexp(t, `^QUEUED +0%  research +`+first+` +\d+s  One$`, w.line(t))
	require.Regexp(t, `^QUEUED +0%  research +`+second+` +\d+s  Two$`, w.line(t))
	c.ok(t, "log", first, "Go", "--status", "RUNNING")
	require.Regexp(t, `^RUNNING +0%  research +`+first+` .*Go$`, w.line(t))
	c.ok(t, "heartbeat", first) // changes what is not shown
	c.ok(t, "complete", second)
	require.Regexp(t, `^- +0%  research +`+second, w.line(t))
	c.ok(t, "cancel", first)
	require.Regexp(t, `^RUNNING,stopping .*`+first, w.line(t))
	w.signal(t, syscall.SIGINT)
	rest, code := w.end(t)
	require.Equal(t, 130, code)
	require.Empty(t, rest)
	require.Empty(t, w.stderr.String())
}

func TestListWatchJSON(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research", "One")
	w := c.start(t, "list", "--watch", "--json", "--status", "QUEUED")
	var item client.ListItem
	require.NoError(t, json.Unmarshal([]byte(w.line(t)), &item))
	require.Equal(t, id, item.AgentID.String())
	c.ok(t, "complete", id)
	require.JSONEq(t, `{"agent_id": "`+id+`", "removed": true}`, w.line(t))
	w.signal(t, syscall.SIGTERM)
	_, code := w.end(t)
	require.Equal(t, 130, code)
}

// TestListRangeAndSort: --since, --until, --sort and --order reach SQL.
func TestListRangeAndSort(t *testing.T) {
	t.Parallel()
	c := setup(t)
	old, first, second := c.ok(t, "create", "old"), c.ok(t, "create", "first"), c.ok(t, "create", "second")
	for _, id := range []string{old, first, second} {
		c.ok(t, "complete", id)
	}
	c.db.Exec(t, `update agentexec.activity set created_at = now() - interval '3 days', finished_at = now() - interval '2 days' where agent_id = $1`, old)
	c.db.Exec(t, `update agentexec.activity set started_at = created_at - interval '1 hour' where agent_id = $1`, first)
	types := func(args ...string) (all []string) {
		for _, line := range strings.Split(c.ok(t, append([]string{"list"}, args...)...), "\n")[1:] {
			all = append(all, strings.Fields(line)[2])
		}
		return all
	}
	require.Equal(t, []string{"second", "first", "old"}, types())
	require.Equal(t, []string{"second", "first"}, types("--since", "1d"))
	require.Equal(t, []string{"old"}, types("--until", "24h"))
	require.Equal(t, []string{"old"}, types("--since", "7d", "--until", time.Now().Add(-time.Hour*24).Format(time.RFC3339)))
	require.Equal(t, []string{"old", "first", "second"}, types("--order", "asc"))
	require.Equal(t, []string{"old", "first", "second"}, types("--sort", "duration"))
	require.Equal(t, []string{"second", "first", "old"}, types("--sort", "activity", "--order=desc"))
	require.Equal(t, []string{"created", "duration", "activity"}, c.complete(t, "list", "--sort", ""))
	require.Equal(t, []string{"15m", "1h", "24h", "7d"}, c.complete(t, "list", "--since", ""))
	for args, says := range map[string]string{
		"--since soon": "must be a duration before now", "--since=-1h": "must be a duration before now", "--until 2026": "must be a duration before now",
		"--sort name": "must be created, duration or activity", "--order down": "must be desc or asc", "--stale=perhaps": "must be true or false",
	} {
		require.Contains(t, c.refused(t, 2, append([]string{"list"}, strings.Fields(args)...)...), says)
	}
}
