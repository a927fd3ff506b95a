package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// runWith runs a command with a text on its standard input.
func (c *cli) runWith(t *testing.T, input string, args ...string) result {
	t.Helper()
	cmd := c.command(t, args...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (c *cli) messages(t *testing.T, id string) []string {
	t.Helper()
	type message struct{ Text string }
	var all []string
	for _, m := range queryAll[message](t, c, `select l.message from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id where a.agent_id = $1 and l.seq > 1 order by l.seq`, id) {
		all = append(all, m.Text)
	}
	return all
}

// TestLogReadsStandardInput: each line of the input is one line of the log, in its order.
func TestLogReadsStandardInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	const longest = 1 << 20
	for name, test := range map[string]struct {
		input string
		want  []string
	}{
		"Lines":        {"one\ntwo\n", []string{"one", "two"}},
		"NoLastEnd":    {"one\ntwo", []string{"one", "two"}},
		"Empty":        {"", nil},
		"EmptyLines":   {"\none\n\n", []string{"", "one", ""}},
		"OfWindows":    {"one\r\ntwo\r\n", []string{"one", "two"}},
		"NoText":       {"a\x00b\n\xff\xfe\n", []string{"a\uFFFDb", "\uFFFD"}},
		"Longest":      {strings.Repeat("x", longest) + "\n", []string{strings.Repeat("x", longest)}},
		"Longer":       {strings.Repeat("x", longest) + "y\nz\n", []string{strings.Repeat("x", longest), "y", "z"}},
		"LongerOfTwos": {"x" + strings.Repeat("\u00e9", longest/2) + "\n", []string{"x" + strings.Repeat("\u00e9", longest/2-1), "\u00e9"}},
		"Many":         {strings.Join(numbers(5000), "\n") + "\n", numbers(5000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := c.ok(t, "create", "research")
			r := c.runWith(t, test.input, "log", id, "-")
			require.Equal(t, result{0, fmt.Sprintf("%d\n", len(test.want)), ""}, r)
			require.Equal(t, test.want, c.messages(t, id))
		})
	}
}

// TestLogOfInputSaysHowMany: a person reads a sentence; a program still reads the number, and nothing but that.
func TestLogOfInputSaysHowMany(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	for input, want := range map[string]string{"a\nb\n": "2 lines written", "a\n": "1 line written", "": "0 lines written"} {
		file := filepath.Join(t.TempDir(), "input")
		require.NoError(t, os.WriteFile(file, []byte(input), 0o600))
		in, err := os.Open(file)
		require.NoError(t, err)
		t.Cleanup(func() { _ = in.Close() })
		master, terminal, err := pty.Open()
		require.NoError(t, err)
		t.Cleanup(func() { _ = master.Close() })
		cmd := c.with("TERM=xterm-256color").command(t, "log", id, "-")
		var stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, terminal, &stderr
		require.NoError(t, cmd.Run())
		require.Equal(t, want+"\n", stderr.String())
		require.NoError(t, terminal.Close())
		printed, _ := io.ReadAll(master) // ends with EIO
		require.Empty(t, string(printed))
	}
}

func numbers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("line ", i)
	}
	return all
}

// TestLogOfInputIsLive: a line that has come is not held back until the next one.
func TestLogOfInputIsLive(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	cmd := c.command(t, "log", id, "-", "--status", "RUNNING", "--percentage", "5")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	r := startCommand(t, cmd)
	watching := c.start(t, "watch", id)
	watching.line(t)
	for _, message := range []string{"one", "two"} {
		_, err := io.WriteString(in, message+"\n")
		require.NoError(t, err)
		require.Regexp(t, `RUNNING 5% `+message+`$`, watching.line(t))
	}
	// Input from before Ctrl-C is written.
	_, err = io.WriteString(in, "three\nfour")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(c.messages(t, id)) == 3 }, 20*time.Second, 10*time.Millisecond)
	r.signal(t, syscall.SIGINT)
	_, code := r.end(t)
	require.Equal(t, 130, code)
	require.Equal(t, []string{"one", "two", "three", "four"}, c.messages(t, id))
}

// TestLogOfInputRefused: where the database refuses a line, it is said with how many were written.
func TestLogOfInputRefused(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "cancel", id)
	r := c.runWith(t, "one\n", "log", id, "-", "--status", "RUNNING")
	require.Equal(t, 1, r.code)
	require.Regexp(t, `^agentexec: after 0 lines: [^\n]*is CANCELED and cannot become RUNNING\n$`, r.stderr)
	require.NotContains(t, r.stderr, "entries")
	require.Contains(t, c.runWith(t, "x", "log", "00000000-0000-4000-8000-000000000000", "-").stderr, "no activity")
	// A line that is a dash can be written all the same.
	require.Regexp(t, `- -$`, c.ok(t, "log", c.ok(t, "create", "research"), "--", "-"))
}

// TestLogOfInputAtSeq: of a repeated input, only the lines that are not stored are written.
func TestLogOfInputAtSeq(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	lines := numbers(1500) // several batches
	require.Equal(t, result{0, "1000\n", ""}, c.runWith(t, strings.Join(lines[:1000], "\n"), "log", id, "-", "--at-seq", "2"))
	require.Equal(t, result{0, "1500\n", ""}, c.runWith(t, strings.Join(lines, "\n"), "log", id, "-", "--at-seq", "2"))
	require.Equal(t, lines, c.messages(t, id))
	r := c.runWith(t, "another\n", "log", id, "-", "--at-seq", "2")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "after 0 lines: ")
	require.Contains(t, r.stderr, "1501")
	require.Equal(t, lines, c.messages(t, id))
}

// TestLogOfInputReportsACancel: it is reported once, and the input is still written.
func TestLogOfInputReportsACancel(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	c.ok(t, "log", id, "Go", "--status", "RUNNING")
	c.ok(t, "cancel", id)
	r := c.runWith(t, strings.Join(numbers(1500), "\n"), "log", id, "-")
	require.Equal(t, result{0, "1500\n", "agentexec: a cancel is requested: the worker should end the activity\n"}, r)
}
