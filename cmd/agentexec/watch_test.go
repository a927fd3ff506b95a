package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// running is a command that runs beside the test, with its output line by line.
type running struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func (c *cli) start(t *testing.T, args ...string) *running {
	t.Helper()
	return startCommand(t, c.command(t, args...))
}

// startCommand starts a command. It is killed when the test ends, unless it has ended by then.
func startCommand(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{cmd: cmd}
	out, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	r.out = bufio.NewReader(out)
	r.cmd.Stderr = &r.stderr
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
	return r
}

// line returns the next line of the output.
func (r *running) line(t *testing.T) string {
	t.Helper()
	line, err := r.out.ReadString('\n')
	require.NoError(t, err, "%s", &r.stderr)
	return strings.TrimSuffix(line, "\n")
}

func (r *running) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	require.NoError(t, r.cmd.Process.Signal(sig))
}

// end returns the rest of the output and the exit code.
func (r *running) end(t *testing.T) (string, int) {
	t.Helper()
	rest, err := io.ReadAll(r.out)
	require.NoError(t, err)
	_ = r.cmd.Wait()
	return string(rest), r.cmd.ProcessState.ExitCode()
}

func TestWatch(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	first := c.ok(t, "log", id, "One", "--status", "RUNNING", "--percentage", "10")

	w := c.start(t, "watch", id)
	require.Regexp(t, `^1 \S+ QUEUED 0% Agent queued$`, w.line(t))
	require.Equal(t, first, w.line(t))
	for _, message := range []string{"Two", "Three\x1b[2J"} {
		require.Equal(t, c.ok(t, "log", id, message), w.line(t)) // live
	}
	last := c.ok(t, "complete", id)
	require.Equal(t, last, w.line(t))
	rest, code := w.end(t)
	require.Equal(t, 0, code, "%s", &w.stderr)
	require.Empty(t, rest)
	require.Empty(t, w.stderr.String())

	require.Equal(t, last, c.ok(t, "watch", id, "--after-seq", "4"))
	require.Empty(t, c.ok(t, "watch", id, "--after-seq", "5"))
}

func TestWatchReportsEnd(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for command, code := range map[string]int{"complete": 0, "error": 1, "cancel": 3} {
		id := c.ok(t, "create", "research")
		c.ok(t, command, id)
		line := c.lines(t, id)[1]
		for after, want := range map[string]string{"1": line + "\n", "2": ""} {
			r := c.run(t, "watch", id, "--after-seq", after)
			require.Equal(t, result{code, want, ""}, r)
		}
	}
}

func TestWatchInterrupted(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	w := c.start(t, "watch", id)
	w.line(t)
	w.signal(t, syscall.SIGINT)
	rest, code := w.end(t)
	require.Equal(t, 130, code)
	require.Empty(t, rest)
	require.Empty(t, w.stderr.String())
	// The end of a watch cancels nothing.
	require.Equal(t, "QUEUED", query[string](t, c, "select status::text from agentexec.activity_list"))
}

// TestWatchShowsDatabaseTimes: the text below the lines has the times of the database, also where a line follows the
// end. (A retry, a restored line or a trailing one would each need a rule of its own here.)
func TestWatchShowsDatabaseTimes(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "log", id, "Go", "--status", "RUNNING", "--percentage", "40")
	c.ok(t, "complete", id, "--percentage", "80")
	c.ok(t, "log", id, "trailing", "--percentage", "10")
	c.db.Exec(t, `update agentexec.activity set started_at = now() - interval '1 hour', finished_at = now() - interval '58 minutes'`)
	out, b := terminal80()
	err := c.watching(t, out).run(t.Context(), uuid.MustParse(id), 0)
	require.NoError(t, err)
	percentage := query[string](t, c, "select latest_percentage::text from agentexec.activity_list")
	require.Regexp(t, `\r\x1b\[KCOMPLETE  `+percentage+`%  2m0s  4 lines\n$`, b.String())
}

// terminal80 is the screen of a terminal of 80 columns whose output can be read.
func terminal80() (*output.Screen, *bytes.Buffer) {
	var b bytes.Buffer
	return &output.Screen{Writer: &b, Terminal: true}, &b
}

// watching returns how to watch the activities of a test's database in this process.
func (c *cli) watching(t *testing.T, out *output.Screen) watching {
	t.Helper()
	src := source.NewDatabase(client.New(c.db.Pool(t)), func() {})
	return watching{src: src, link: output.NewLink(), out: out, errOut: io.Discard}
}

// TestWatchRetries: with --retries an ERROR is not the end, whether the next attempt began before it was seen or comes
// later; the time to wait for one can be bounded.
func TestWatchRetries(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "error", id, "No luck")
	w := c.start(t, "watch", id, "--retries")
	bounded := c.start(t, "watch", id, "--retries=1m")
	for _, w := range []*running{w, bounded} {
		require.Regexp(t, `QUEUED`, w.line(t))
		require.Regexp(t, `^2 \S+ ERROR - No luck$`, w.line(t))
	}
	for range 2 {
		again := c.ok(t, "log", id, "Again", "--status", "RUNNING")
		failed := c.ok(t, "error", id)
		for _, w := range []*running{w, bounded} {
			require.Equal(t, again, w.line(t))
			require.Equal(t, failed, w.line(t))
		}
	}
	require.Equal(t, 1, c.run(t, "watch", id).code)
	require.Equal(t, 1, c.run(t, "watch", id, "--retries=1ms").code)
	c.ok(t, "log", id, "Again", "--status", "RUNNING")
	last := c.ok(t, "complete", id)
	for _, w := range []*running{w, bounded} {
		w.line(t)
		require.Equal(t, last, w.line(t))
		rest, code := w.end(t)
		require.Equal(t, 0, code)
		require.Empty(t, rest)
		require.Equal(t, "agentexec: attempt 2\nagentexec: attempt 3\nagentexec: attempt 4\n", w.stderr.String())
	}

	id = c.ok(t, "create", "research")
	c.ok(t, "error", id)
	w = c.start(t, "watch", id, "--retries", "--after-seq", "1")
	require.Regexp(t, `ERROR`, w.line(t))
	c.ok(t, "cancel", c.ok(t, "create", "another"))
	c.ok(t, "log", id, "Again", "--status", "QUEUED")
	require.Regexp(t, `QUEUED`, w.line(t))
	c.ok(t, "cancel", id)
	require.Regexp(t, `CANCELED`, w.line(t))
	_, code := w.end(t)
	require.Equal(t, 3, code)

	id = c.ok(t, "create", "research")
	c.ok(t, "error", id)
	w = c.start(t, "watch", id, "--retries", "--after-seq", "1")
	require.Regexp(t, `ERROR`, w.line(t))
	w.signal(t, syscall.SIGINT)
	_, code = w.end(t)
	require.Equal(t, 130, code)
}

// TestWatchJSON: each line as SQL gives it.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "log", id, "<b>\x1b[2J</b>", "--status", "RUNNING", "--data", `{"n": 9007199254740993}`)
	c.ok(t, "complete", id)
	lines := strings.Split(c.ok(t, "watch", id, "--json"), "\n")
	require.Len(t, lines, 3)
	for i, line := range lines {
		require.JSONEq(t, query[string](t, c, "select (agentexec.activity_detail($1)->'logs'->($2::int))::text", id, i), line)
	}
	require.Contains(t, lines[1], "<b>")
	require.Contains(t, lines[1], "9007199254740993")
}

// TestWatchShowsDatabaseOutage: a watch says that the connection is lost and that it works again, and misses no line.
func TestWatchShowsDatabaseOutage(t *testing.T) {
	t.Parallel()
	c := setup(t)
	other := pgtest.New(t)
	id := c.ok(t, "create", "research")
	plain := c.start(t, "watch", id)
	plain.line(t)
	k := c.console(t, 100, 20, "watch", id)
	k.await(t, `Agent queued`)
	other.Exec(t, `alter database "`+c.db.Name+`" allow_connections false`)
	other.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, c.db.Name)
	k.await(t, `\(connection lost, trying again: `)
	other.Exec(t, `alter database "`+c.db.Name+`" allow_connections true`)
	k.await(t, `\(connected again after \d+ s\)`)
	last := c.ok(t, "complete", id, "Done")
	require.Equal(t, last, plain.line(t))
	_, code := plain.end(t)
	require.Equal(t, 0, code)
	require.Regexp(t, `^agentexec: connection lost, trying again: [^\n]+\nagentexec: connected again after \d+ s\n$`, plain.stderr.String())
	require.Equal(t, 0, k.end(t))
	require.Regexp(t, `Done\n`, k.screen())
}

// TestWatchShowsSidecarOutage: the same where the sidecar is restarted.
func TestWatchShowsSidecarOutage(t *testing.T) {
	t.Parallel()
	c := setup(t)
	server, url := c.serve(t, "--addr", "127.0.0.1:0")
	id := c.ok(t, "create", "research")
	w := c.start(t, "watch", id, "--url", url)
	w.line(t)
	server.signal(t, syscall.SIGTERM)
	require.NoError(t, server.cmd.Wait())
	last := c.ok(t, "complete", id, "Done")
	c.serve(t, "--addr", strings.TrimPrefix(url, "http://"))
	require.Equal(t, last, w.line(t))
	_, code := w.end(t)
	require.Equal(t, 0, code)
	require.Regexp(t, `^agentexec: connection lost, trying again: [^\n]+\nagentexec: connected again after \d+ s\n$`, w.stderr.String())
}
