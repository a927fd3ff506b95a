package devpg

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// owner is a process of its own that has started a server.
type owner struct {
	cmd     *exec.Cmd
	lines   *bufio.Scanner
	pid     int // of its postgres
	dataDir string
	url     string
}

func startOwner(t *testing.T, dataDir string) *owner {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dataDir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does for what it runs in the foreground
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	o := &owner{cmd: cmd, lines: bufio.NewScanner(out)}
	require.True(t, o.lines.Scan())
	_, err = fmt.Sscanf(o.lines.Text(), "started %d %s %s", &o.pid, &o.dataDir, &o.url)
	require.NoError(t, err, o.lines.Text())
	require.True(t, alive(o.pid))
	return o
}

func TestServerStopsWhenItsOwnerIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("Temporary", func(t *testing.T) {
		t.Parallel()
		o := startOwner(t, "temporary")
		require.NoError(t, o.cmd.Process.Kill())
		gone(t, o.pid)
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Dir(o.dataDir))
			return os.IsNotExist(err)
		}, stopLimit, pollEvery, "the data is removed")
	})
	t.Run("KeepsData", func(t *testing.T) {
		t.Parallel()
		opts, dir := dirOptions(t)
		o := startOwner(t, dir)
		require.NoError(t, o.cmd.Process.Kill())
		// The next start waits for the shutdown to end, and finds the data whole.
		var log strings.Builder
		opts.Log = &log
		s := start(t, opts)
		require.False(t, isPostgres(o.pid) && alive(o.pid))
		require.Equal(t, dir, s.DataDir)
		require.NoError(t, s.Stop())
		require.Contains(t, log.String(), "database system was shut down at")
		require.NotContains(t, log.String(), "automatic recovery")
	})
}

func TestCtrlCReachesTheOwnerAlone(t *testing.T) {
	t.Parallel()
	o := startOwner(t, "temporary")
	require.NoError(t, syscall.Kill(-o.cmd.Process.Pid, syscall.SIGINT))
	require.True(t, o.lines.Scan())
	require.Equal(t, "still there", o.lines.Text())
	require.False(t, o.lines.Scan())
	require.NoError(t, o.cmd.Wait())
	require.False(t, isPostgres(o.pid) && alive(o.pid))
	require.NoDirExists(t, filepath.Dir(o.dataDir))
}
