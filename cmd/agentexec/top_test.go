package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// colored matches a change of colour.
var colored = regexp.MustCompile(`\x1b\[[0-9;:]*\b(3[0-8]|4[0-8]|9[0-7])\b[0-9;:]*m`)

// restored requires that the terminal is as before: the normal screen, a cursor, no paste mode.
func (k *console) restored(t *testing.T) {
	t.Helper()
	text := k.written()
	for on, off := range map[string]string{"\x1b[?1049h": "\x1b[?1049l", "\x1b[?25l": "\x1b[?25h", "\x1b[?2004h": "\x1b[?2004l"} {
		require.Greater(t, strings.LastIndex(text, off), strings.LastIndex(text, on), "%q after %q", off, on)
	}
}

// TestTop: the table, a filter, the sort, the details and a cancel in two steps, from a database and from a sidecar.
func TestTop(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		t.Run(map[bool]string{false: "Database", true: "Sidecar"}[remote], func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			from := c
			if remote {
				_, url := c.serve(t, "--addr", "127.0.0.1:0")
				from = bare(t).with("AGENTEXEC_URL=" + url)
			}
			id := c.ok(t, "create", "research", "--metadata", `{"org": 1}`)
			c.ok(t, "log", id, "Reading \x1b[31mpapers", "--status", "RUNNING", "--percentage", "40")
			c.ok(t, "create", "review", "Waits")
			c.ok(t, "error", c.ok(t, "create", "ingest"), "Out of memory")

			k := from.console(t, 120, 20, "top", "--interval", "250ms")
			k.await(t, `Running 1\n▌ ◐ research +Reading \\x1b\[31mpapers .*█{4}░+  40% .*\nQueued 1\n  ◌ review +Waits `)
			require.NotContains(t, k.screen(), "ingest")
			c.ok(t, "log", id, "Comparing sources", "--percentage", "80")
			k.await(t, `◐ research +Comparing sources .*█{9}░+  80% +0\.\d`)
			k.await(t, `1 running  1 queued  (1 failed in 1 h  )?0\.\d lines/s .*● Live\n`)

			k.send(t, "4")
			k.await(t, `Failed 1\n  ✗ ingest +Out of memory `)
			k.send(t, "/status:error\r")
			k.await(t, `All   / status:error\n.*\nFailed 1\n▌ ✗ ingest`)
			k.send(t, "/\x15org=1 comparing\r")
			k.await(t, `/ org=1 comparing\n.*\nRunning 1\n▌ ◐ research`)
			k.send(t, "/\x15status:none\r")
			k.await(t, `status:none is no status`)
			k.send(t, "\x15\r")
			k.await(t, `Failed 1\n`)
			k.send(t, "s")
			k.await(t, `Sort: duration`)
			k.send(t, "?")
			k.await(t, `Keys\n.*select an activity`)
			k.send(t, "?g\r")
			k.await(t, `◐ research  Running .*\n.*Took .*\n.*org=1\n─+\n +1 .*Agent queued\n.*papers\n.*Comparing sources`)
			c.ok(t, "log", id, "One more")
			k.await(t, `Comparing sources\n +4 .*One more`)

			k.send(t, "c")
			k.await(t, `Cancel research `+id[:8]+`\? Its worker has 30 s\.  y yes  n no`)
			k.send(t, "n")
			k.await(t, `Nothing was canceled`)
			k.send(t, "cy")
			k.await(t, `◉ research  Stopping, \d+ s left`)
			k.send(t, "\x1b")
			k.await(t, `Running 1\n▌ ◉ research +Stopping, \d+ s left`)
			k.send(t, "c")
			k.await(t, `Force the cancel of research .*  f yes  n no`)
			k.send(t, "y")
			k.await(t, `Nothing was canceled`)
			k.send(t, "cf")
			k.await(t, `⊘ research`)
			require.Equal(t, "CANCELED", query[string](t, c, "select status::text from agentexec.activity where agent_id = $1", id))
			k.send(t, "q")
			require.Equal(t, 0, k.end(t))
			k.restored(t)
		})
	}
}

// TestTopOnSmallTerminals: at any size, also while it changes.
func TestTopOnSmallTerminals(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "log", id, strings.Repeat("Reading ", 100), "--status", "RUNNING", "--percentage", "50")
	k := c.console(t, 60, 12, "top")
	k.await(t, `▌ ◐ research .*█{3}░{3}  50% `)
	k.resize(t, 40, 12)
	k.await(t, `agentexec top needs 60 columns`)
	k.resize(t, 200, 30)
	k.await(t, `▌ ◐ research .* 50% .*ago  `+id[:8])
	k.resize(t, 80, 5)
	k.await(t, `and 8 rows`)
	k.resize(t, 80, 24)
	k.await(t, `▌ ◐ research .* 50% `)
	k.send(t, "\x03")
	require.Equal(t, 0, k.end(t))
	k.restored(t)
}

// TestTopEndsBySignal: the terminal is restored.
func TestTopEndsBySignal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		k := c.console(t, 80, 24, "top")
		k.await(t, `Nothing runs and nothing waits`)
		require.NoError(t, k.cmd.Process.Signal(sig))
		require.Equal(t, 130, k.end(t), sig)
		k.restored(t)
		require.NotContains(t, k.written(), "goroutine")
	}
}

// TestTopSurvivesOutages: of Postgres, and of the sidecar.
func TestTopSurvivesOutages(t *testing.T) {
	t.Parallel()
	c := setup(t)
	other := pgtest.New(t)
	server, url := c.serve(t, "--addr", "127.0.0.1:0")
	c.ok(t, "create", "research", "Waits")
	direct, remote := c.console(t, 100, 24, "top"), bare(t).console(t, 100, 24, "top", "--url", url)
	for _, k := range []*console{direct, remote} {
		k.await(t, `◌ research`)
	}
	other.Exec(t, `alter database "`+c.db.Name+`" allow_connections false`)
	other.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, c.db.Name)
	for _, k := range []*console{direct, remote} {
		k.await(t, `(?s)○ Lost for \d+ s\n.*◌ research.*\nConnection lost, trying again: `)
	}
	other.Exec(t, `alter database "`+c.db.Name+`" allow_connections true`)
	for _, k := range []*console{direct, remote} {
		k.await(t, `● Live\n`)
	}
	server.signal(t, syscall.SIGTERM)
	require.NoError(t, server.cmd.Wait())
	remote.await(t, `Connection lost, trying again: cannot connect to http://\S+ connection refused`)
	c.serve(t, "--addr", strings.TrimPrefix(url, "http://"))
	remote.await(t, `● Live\n`)
	for _, k := range []*console{direct, remote} {
		k.send(t, "q")
		require.Equal(t, 0, k.end(t))
	}
}

func TestTopWithoutColors(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "log", id, "Reading", "--status", "RUNNING", "--percentage", "50")
	colors := map[bool]bool{}
	for _, off := range []bool{false, true} {
		env := c
		if off {
			env = c.with("NO_COLOR=1")
		}
		k := env.console(t, 100, 24, "top")
		k.await(t, `◐ research +Reading`)
		k.send(t, "q")
		require.Equal(t, 0, k.end(t))
		colors[off] = colored.MatchString(k.written())
	}
	require.Equal(t, map[bool]bool{false: true, true: false}, colors)
}

func TestTopNeedsTerminal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	require.Contains(t, c.refused(t, 2, "top"), "top needs a terminal; in a pipe use: agentexec list --watch")
	require.Contains(t, c.refused(t, 2, "top", "status:none"), "FILTER: status:none is no status")
	require.Contains(t, c.refused(t, 2, "top", "--interval", "100ms"), "--interval must be at least 250ms")
	require.Equal(t, 2, c.with("TERM=dumb").run(t, "top").code)
	k := bare(t).console(t, 100, 24, "top", "--url", "http://127.0.0.1:1")
	require.Equal(t, 1, k.end(t))
	require.Equal(t, "agentexec: cannot connect to http://127.0.0.1:1: connection refused", k.screen())
	k = bare(t).console(t, 100, 24, "top")
	require.Equal(t, 1, k.end(t))
	require.Contains(t, k.screen(), "agentexec: no database")
}
