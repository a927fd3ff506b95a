// Package examples_test runs the workers of docs/workers.md against a real Postgres.
package examples_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// workers are the examples, each with the function that finds its interpreter.
var workers = map[string]func(t *testing.T) []string{
	"worker.sh":  withPsql,
	"worker.py":  withPsycopg,
	"worker.mjs": withNode,
}

// forEach runs a test with each worker, in parallel.
func forEach(t *testing.T, test func(t *testing.T, command []string)) {
	t.Helper()
	for name, find := range workers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, append(find(t), name))
		})
	}
}

// lacking skips the test, or fails it where CI is set.
func lacking(t *testing.T, what string) {
	t.Helper()
	require.Empty(t, os.Getenv("CI"), "%s", what)
	t.Skip(what)
}

func withPsql(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		lacking(t, "no bash")
	}
	if _, err := exec.LookPath("psql"); err != nil {
		lacking(t, "no psql")
	}
	return []string{"bash"}
}

// withPsycopg returns a Python that has psycopg 3; Debian's package is python3-psycopg.
func withPsycopg(t *testing.T) []string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} { // the first one in PATH may not be the system's
		if exec.CommandContext(t.Context(), python, "-c", "import psycopg").Run() == nil {
			return []string{python}
		}
	}
	lacking(t, "no Python has psycopg 3")
	return nil
}

// installNode installs what the Node example needs, as package-lock.json has it, where it is not installed yet.
var installNode = sync.OnceValues(func() (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "no Node", err
	}
	installed, err := os.Stat("node_modules/.package-lock.json")
	locked, lockErr := os.Stat("package-lock.json")
	if err == nil && lockErr == nil && installed.ModTime().After(locked.ModTime()) {
		return "", nil
	}
	out, err := exec.Command("npm", "ci", "--no-audit", "--no-fund").CombinedOutput()
	return "npm ci: " + string(out), err
})

func withNode(t *testing.T) []string {
	t.Helper()
	if said, err := installNode(); err != nil {
		lacking(t, fmt.Sprintf("no Node with pg: %s: %v", strings.TrimSpace(said), err))
	}
	return []string{"node"}
}

// bench is a database for one worker, with the table of its work.
type bench struct {
	*testing.T
	db   *pgtest.Database
	pool *pgxpool.Pool
	c    *client.Client
}

func setup(t *testing.T) *bench {
	t.Helper()
	db := pgtest.New(t)
	db.Exec(t, "create table public.result (step int primary key)")
	pool := db.Pool(t)
	return &bench{T: t, db: db, pool: pool, c: client.New(pool)}
}

// start starts a worker on a database. wait returns its exit code and what it printed.
func (b *bench) start(url string, command []string, steps int) (wait func() (int, string)) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, command[0], append(slices.Clone(command[1:]), fmt.Sprint(steps))...)
	cmd.Env = append(os.Environ(), "AGENTEXEC_DATABASE_URL="+url)
	cmd.WaitDelay = 10 * time.Second
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(b, cmd.Start())
	wait = sync.OnceValues(func() (int, string) {
		defer cancel()
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			b.Errorf("%v: %v", command, err)
		}
		return cmd.ProcessState.ExitCode(), out.String()
	})
	b.Cleanup(func() {
		cancel()
		wait()
	})
	return wait
}

// await returns the worker's activity as soon as wanted accepts it.
func (b *bench) await(what string, wanted func(a client.ListItem) bool) (found client.ListItem) {
	b.Helper()
	require.Eventually(b, func() bool {
		list, err := b.c.List(context.Background(), client.ListParams{})
		if err != nil || len(list.Items) != 1 {
			return false
		}
		found = list.Items[0]
		return wanted(found)
	}, time.Minute, 10*time.Millisecond, "%s", what)
	return found
}

func (b *bench) messages(id uuid.UUID) (all []string) {
	b.Helper()
	for line, err := range b.c.Logs(context.Background(), id, 0) {
		require.NoError(b, err)
		all = append(all, line.Message)
	}
	return all
}

// TestWorkers: each worker does its steps, reports each of them, and completes.
func TestWorkers(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, command []string) {
		b := setup(t)
		code, out := b.start(b.db.URL, command, 3)()
		require.Equal(t, 0, code, out)
		require.Empty(t, out)
		a := b.await("the end", func(client.ListItem) bool { return true })
		require.Equal(t, client.StatusComplete, a.Status)
		require.Equal(t, 100, *a.LatestPercentage)
		require.Equal(t, []string{"Agent queued", "Counting", "Step 1 of 3", "Step 2 of 3", "Step 3 of 3", "Counted"}, b.messages(a.AgentID))
		var steps []int32
		require.NoError(t, b.db.Conn(t).QueryRow(t.Context(), "select array_agg(r.step order by r.step) from public.result r").Scan(&steps))
		require.Equal(t, []int32{1, 2, 3}, steps)
	})
}

// TestWorkersStopOnCancel: a worker sends heartbeats during a long transaction. After a request to cancel, it ends the activity
// itself.
func TestWorkersStopOnCancel(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, command []string) {
		b := setup(t)
		tx, err := b.db.Conn(t).Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		_, err = tx.Exec(t.Context(), "lock table public.result in exclusive mode")
		require.NoError(t, err)
		wait := b.start(b.db.URL, command, 100_000)
		b.db.AwaitLockWaits(t, 1) // the worker is in its first transaction

		first := b.await("a heartbeat", func(a client.ListItem) bool { return a.ExpectEvery != 0 })
		require.Equal(t, 10*time.Second, first.ExpectEvery.Duration())
		later := b.await("another heartbeat", func(a client.ListItem) bool { return a.LastSeenAt.After(first.LastSeenAt) })
		require.False(t, later.Stale)
		require.Equal(t, first.LastSeq, later.LastSeq, "no line was written meanwhile")

		_, err = b.c.Cancel(t.Context(), later.AgentID, "Enough", client.WithoutForce())
		require.NoError(t, err)
		require.NoError(t, tx.Rollback(t.Context()))
		code, out := wait()
		require.Equal(t, 3, code, out)
		ended := b.await("the end", func(a client.ListItem) bool { return a.FinishedAt != nil })
		require.Equal(t, client.StatusCanceled, ended.Status)
		require.False(t, ended.Cancel.Forced)
		messages := b.messages(ended.AgentID)
		require.Contains(t, messages, "Enough")
		require.Regexp(t, `^Stopped after step \d+$`, messages[len(messages)-1])
	})
}

// TestWorkerWithAnotherClock: a clock that is an hour off changes nothing, because all times are those of Postgres.
func TestWorkerWithAnotherClock(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("faketime"); err != nil {
		lacking(t, "no faketime")
	}
	for name, offset := range map[string]string{"ahead": "+1h", "behind": "-1h"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tx, err := b.db.Conn(t).Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.Background()) }()
			_, err = tx.Exec(t.Context(), "lock table public.result in exclusive mode")
			require.NoError(t, err)
			wait := b.start(b.db.URL, append([]string{"faketime", "-f", offset}, append(withPsycopg(t), "worker.py")...), 1)
			b.db.AwaitLockWaits(t, 1)
			first := b.await("a heartbeat", func(a client.ListItem) bool { return a.ExpectEvery != 0 })
			later := b.await("another heartbeat", func(a client.ListItem) bool { return a.LastSeenAt.After(first.LastSeenAt) })
			require.False(t, later.Stale)
			require.WithinDuration(t, time.Now(), later.LastSeenAt, time.Minute)
			require.NoError(t, tx.Rollback(t.Context()))
			code, out := wait()
			require.Equal(t, 0, code, out)
			require.WithinDuration(t, time.Now(), b.await("the end", func(a client.ListItem) bool { return a.FinishedAt != nil }).UpdatedAt, time.Minute)
		})
	}
}

// TestWorkersRepeatSafely: the answer to an append is lost after the line was written. The worker sends the line again, and it
// is there once.
func TestWorkersRepeatSafely(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, command []string) {
		b := setup(t)
		url, lost := b.losesOneAnswer("Step 2 of 3",
			"select exists (select from agentexec.activity_log l where l.message = 'Step 2 of 3')")
		code, out := b.start(url, command, 3)()
		require.Equal(t, 0, code, out)
		require.True(t, lost())
		require.Contains(t, out, "trying again: ")
		a := b.await("the end", func(client.ListItem) bool { return true })
		require.Equal(t, []string{"Agent queued", "Counting", "Step 1 of 3", "Step 2 of 3", "Step 3 of 3", "Counted"}, b.messages(a.AgentID))
	})
}

// TestWorkersCreateOnce: the answer to create_activity is lost after the activity was made. The worker sends the call again,
// and there is one activity, which completes.
func TestWorkersCreateOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, command []string) {
		b := setup(t)
		url, lost := b.losesOneAnswer("create_activity", "select exists (select from agentexec.activity)")
		code, out := b.start(url, command, 2)()
		require.Equal(t, 0, code, out)
		require.True(t, lost())
		require.Contains(t, out, "trying again: ")
		list, err := b.c.List(t.Context(), client.ListParams{})
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		require.Equal(t, client.StatusComplete, list.Items[0].Status)
		require.Equal(t, []string{"Agent queued", "Counting", "Step 1 of 2", "Step 2 of 2", "Counted"}, b.messages(list.Items[0].AgentID))
	})
}

// TestWorkersStopWhenReplaced: another worker takes the activity over, with ERROR and RUNNING, during a transaction of the
// first one. The first worker stops, and writes no line into the attempt of the other.
func TestWorkersStopWhenReplaced(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, command []string) {
		b := setup(t)
		tx, err := b.db.Conn(t).Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		_, err = tx.Exec(t.Context(), "lock table public.result in exclusive mode")
		require.NoError(t, err)
		wait := b.start(b.db.URL, command, 3)
		b.db.AwaitLockWaits(t, 1) // the worker is in its first transaction

		id := b.await("the start", func(a client.ListItem) bool { return a.Status == client.StatusRunning }).AgentID
		_, err = b.c.Error(t.Context(), id, "Lost")
		require.NoError(t, err)
		line, err := b.c.Update(t.Context(), id, "Counting again", client.WithStatus(client.StatusRunning))
		require.NoError(t, err)
		require.Equal(t, 2, line.Attempt)
		require.NoError(t, tx.Rollback(t.Context()))
		code, out := wait()
		require.Equal(t, 4, code, out)
		require.Contains(t, out, "attempt 2")
		require.Equal(t, []string{"Agent queued", "Counting", "Lost", "Counting again"}, b.messages(id))
		require.Equal(t, client.StatusRunning, b.await("the activity", func(client.ListItem) bool { return true }).Status)
	})
}

// TestWorkersExitOnFailure: a statement that Postgres refuses ends the worker with exit code 1, which is neither a cancel nor
// another worker.
func TestWorkersExitOnFailure(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, command []string) {
		b := setup(t)
		b.db.Exec(t, "drop table public.result")
		code, out := b.start(b.db.URL, command, 1)()
		require.Equal(t, 1, code, out)
		require.Contains(t, out, `relation "result" does not exist`)
	})
}

// TestWorkersPage: docs/workers.md shows the examples as they are.
func TestWorkersPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/workers.md")
	require.NoError(t, err)
	language := map[string]string{".sh": "sh", ".py": "python", ".mjs": "js"}
	for _, name := range append(slices.Collect(maps.Keys(workers)), "command.sh") {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(page), "```"+language[filepath.Ext(name)]+"\n"+string(text)+"```\n", "%s is another one in the page", name)
	}
}
