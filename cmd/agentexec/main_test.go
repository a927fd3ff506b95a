package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// binary is the program under test, built once: with the race detector where the tests have it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "agentexec-cli-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // other users run it too
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "agentexec")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, ".")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the program:", err)
		return 1
	}
	return m.Run()
}

// cli runs the program with an environment of its own, in which nothing of ours steers it.
type cli struct {
	env []string
	db  *pgtest.Database // nil where the test has none
}

// result is how one run ended.
type result struct {
	code           int
	stdout, stderr string
}

// setup returns a cli with a database that has the schema.
func setup(t *testing.T) *cli {
	t.Helper()
	return onDatabase(t, pgtest.New(t))
}

func onDatabase(t *testing.T, db *pgtest.Database) *cli {
	t.Helper()
	c := bare(t)
	c.db = db
	return c.with("AGENTEXEC_DATABASE_URL=" + db.URL)
}

// bare returns a cli without a database.
func bare(t *testing.T) *cli {
	t.Helper()
	return &cli{env: []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TZ=Asia/Kolkata"}}
}

// with returns the same with more in its environment.
func (c *cli) with(env ...string) *cli {
	more := *c
	more.env = append(append([]string{}, c.env...), env...)
	return &more
}

func (c *cli) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = c.env
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs one command to its end.
func (c *cli) run(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := c.command(t, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ok runs a command that has to succeed in silence, and returns its answer without the line's end.
func (c *cli) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := c.run(t, args...)
	require.Equal(t, 0, r.code, "%v: %s", args, r.stderr)
	require.Empty(t, r.stderr, "%v", args)
	return strings.TrimSuffix(r.stdout, "\n")
}

// refused runs a command that has to fail with a code, one line on stderr and nothing on stdout. It returns the line.
func (c *cli) refused(t *testing.T, code int, args ...string) string {
	t.Helper()
	r := c.run(t, args...)
	require.Equal(t, code, r.code, "%v: %s", args, r.stderr)
	require.Empty(t, r.stdout, "%v", args)
	require.Regexp(t, `^agentexec: [^\n]+\n$`, r.stderr, "%v", args)
	require.NotContains(t, r.stderr, "agentexec: agentexec: ", "%v", args)
	return strings.TrimSuffix(r.stderr, "\n")
}

// query returns the one value of a query.
func query[T any](t *testing.T, c *cli, sql string, args ...any) T {
	t.Helper()
	rows, err := c.db.Conn(t).Query(context.Background(), sql, args...)
	require.NoError(t, err)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return value
}

// queryAll returns the rows of a query.
func queryAll[T any](t *testing.T, c *cli, sql string, args ...any) []T {
	t.Helper()
	rows, err := c.db.Conn(t).Query(context.Background(), sql, args...)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	require.NoError(t, err)
	return all
}
