package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// example returns a cli that runs examples/command.sh in place of the program.
func (c *cli) example(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		require.Empty(t, os.Getenv("CI"), "no bash")
		t.Skip("no bash")
	}
	path, err := filepath.Abs("../../examples/command.sh")
	require.NoError(t, err)
	cmd := c.command(t, args...)
	cmd.Path, cmd.Args = bash, append([]string{bash, path}, args...)
	cmd.Env = slices.Clone(cmd.Env)
	for i, variable := range cmd.Env {
		if rest, ok := strings.CutPrefix(variable, "PATH="); ok {
			cmd.Env[i] = "PATH=" + filepath.Dir(binary) + ":" + rest
		}
	}
	return cmd
}

// TestExampleCommand: the activity ends with the outcome of its command.
func TestExampleCommand(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]struct {
		code int
		last string
	}{
		"true":  {0, "COMPLETE 100% Agent completed"},
		"false": {1, "ERROR - Exit code 1"},
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			out, code := startCommand(t, c.example(t, command)).end(t)
			require.Equal(t, want.code, code, out)
			require.Contains(t, out, want.last)
		})
	}
}

// TestExampleCommandStopsOnCancel: the script learns of the request from its next heartbeat, and stops the command.
func TestExampleCommandStopsOnCancel(t *testing.T) {
	t.Parallel()
	c := setup(t)
	r := startCommand(t, c.example(t, "sleep", "1000"))
	require.Regexp(t, ` RUNNING - sleep 1000$`, r.line(t))
	id := query[string](t, c, "select agent_id::text from agentexec.activity_list")
	c.ok(t, "cancel", id, "Enough", "--grace", "never")
	out, code := r.end(t)
	require.Equal(t, 3, code, out)
	require.Regexp(t, `^4 \S+ CANCELED - Stopped\n$`, out)
	require.Contains(t, r.stderr.String(), "agentexec: a cancel is requested: Enough")
}
