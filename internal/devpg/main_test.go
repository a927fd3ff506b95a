package devpg

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// helperEnv makes the test binary play the program that owns a server. Its value is the data folder, or "temporary".
const helperEnv = "DEVPG_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(os.Getenv(helperEnv)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// helper starts a server, says so, and waits to be interrupted or killed.
func helper(dataDir string) error {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	opts := testOptions()
	if dataDir != "temporary" {
		opts.Temporary, opts.DataDir = false, dataDir
	}
	s, err := Start(context.Background(), opts)
	if err != nil {
		return err
	}
	pid, _, _ := readPidFile(s.DataDir)
	fmt.Printf("started %d %s %s\n", pid, s.DataDir, s.URL(""))
	<-interrupted
	if err := s.ping(context.Background()); err != nil {
		return fmt.Errorf("the server went before us: %w", err)
	}
	fmt.Println("still there")
	return s.Remove()
}

// testOptions let one environment variable choose the version, as in pgtest.
func testOptions() Options {
	return Options{BinDir: os.Getenv("AGENTEXEC_TEST_PG_BIN"), NoDownload: true, Temporary: true}
}

// dirOptions are for a data folder that does not exist yet, which they return too.
func dirOptions(t *testing.T) (Options, string) {
	opts := testOptions()
	opts.Temporary, opts.DataDir = false, filepath.Join(openDir(t), "data")
	return opts, opts.DataDir
}

// openDir returns a folder that every user can reach, unlike t.TempDir, for tests run by root.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "devpg-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// start starts a server that is gone when the test ends.
func start(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Remove()) })
	return s
}

// run runs statements on the server.
func run(t *testing.T, s *Server, sql string) {
	t.Helper()
	_, err := connect(t, s).Exec(t.Context(), sql)
	require.NoError(t, err)
}

// gone waits until a process has ended. A zombie has.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH || !isPostgres(pid) },
		stopLimit, pollEvery, "process %d still runs", pid)
}
