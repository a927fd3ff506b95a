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

	"github.com/stretchr/testify/require"
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

func TestWatchTellsHowItEnded(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for command, code := range map[string]int{"complete": 0, "error": 1, "cancel": 3} {
		id := c.ok(t, "create", "research")
		line := c.ok(t, command, id)
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
	// Who stops looking cancels nothing.
	require.Equal(t, "QUEUED", query[string](t, c, "select status::text from agentexec.activity_list"))
}
