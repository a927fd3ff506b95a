package main

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDemoMeetsAnUnreadableFile: it is a real ERROR, once, and then a second attempt without it.
func TestDemoMeetsAnUnreadableFile(t *testing.T) {
	t.Parallel()
	c := setup(t)
	var as *user.User
	if os.Geteuid() == 0 { // who can read everything
		var err error
		as, err = user.Lookup("nobody")
		require.NoError(t, err)
	}
	h := newHome(t, as)
	require.NoError(t, os.WriteFile(filepath.Join(h.work, "secret.txt"), []byte("x"), 0o000))
	require.NoError(t, os.Mkdir(filepath.Join(h.work, "closed"), 0o000))

	cmd := c.command(t, "demo", "--demo-dir", h.work, "--demo-agents", "1")
	cmd.Dir, cmd.SysProcAttr = h.dir, &syscall.SysProcAttr{Credential: h.as}
	d := startCommand(t, cmd)
	require.Eventually(t, func() bool {
		return query[int64](t, c, "select count(*) from agentexec.activity where status = 'COMPLETE'") > 0
	}, time.Minute, 50*time.Millisecond)
	d.signal(t, syscall.SIGINT)
	_, code := d.end(t)
	require.Equal(t, 0, code, "%s", &d.stderr)

	type line = struct{ Status, Message string }
	lines := queryAll[line](t, c, `select l.status::text, l.message from agentexec.activity a
		join agentexec.activity_log l on l.activity_id = a.id
		where a.status = 'COMPLETE' and a.attempt = 2 and not l.message like '%(_ of _ file%' order by l.seq`)
	require.Equal(t, []line{
		{"QUEUED", "Hash the files of work"},
		{"RUNNING", "Looking through work"},
		{"ERROR", "Cannot read closed: permission denied"},
		{"RUNNING", "Trying again without closed"},
		{"RUNNING", "Found 2 files, 9 B"},
	}, lines[:5])
	require.Len(t, lines, 7)
	require.Regexp(t, `^work: 1 file, 8 B, 2 lines in \S+; could not read closed and 1 more$`, lines[5].Message)
	require.Equal(t, line{"COMPLETE", "Agent completed"}, lines[6])
}

// TestDemoStops: what its agents were at is canceled.
func TestDemoStops(t *testing.T) {
	t.Parallel()
	c := setup(t)
	h := newHome(t, nil)
	d := startCommand(t, c.command(t, "demo", "--demo-dir", h.work))
	require.Eventually(t, func() bool {
		return query[int64](t, c, "select count(*) from agentexec.activity") > 0
	}, time.Minute, 10*time.Millisecond)
	d.signal(t, syscall.SIGTERM)
	_, code := d.end(t)
	require.Equal(t, 0, code, "%s", &d.stderr)
	require.Zero(t, query[int64](t, c, "select agentexec.count_active()"))
}

// TestSecondSignalStopsAtOnce: a second signal ends the program without waiting.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	c := setup(t)
	h := newHome(t, nil)
	d := startCommand(t, c.command(t, "demo", "--demo-dir", h.work))
	require.Eventually(t, func() bool {
		return query[int64](t, c, "select agentexec.count_active()") > 0
	}, time.Minute, 10*time.Millisecond)
	// The agent cannot cancel its activity while we hold it.
	tx, err := c.db.Conn(t).Begin(context.Background())
	require.NoError(t, err)
	_, err = tx.Exec(context.Background(), "select from agentexec.activity a where a.status in ('QUEUED', 'RUNNING') for update")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		for ticker := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-ended:
				return
			case <-ticker.C:
				_ = d.cmd.Process.Signal(syscall.SIGINT)
			}
		}
	}()
	_, code := d.end(t)
	close(ended)
	require.Equal(t, 130, code, "%s", &d.stderr)
	require.Contains(t, d.stderr.String(), "at once")
}
