package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// PgBouncer puts PgBouncer in transaction mode before a database and returns the URL through it.
func PgBouncer(t testing.TB, to string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pgbouncer is not installed, and in CI nothing is left out")
		}
		t.Skip("pgbouncer is not installed")
	}
	u, err := url.Parse(to)
	require.NoError(t, err)
	password, _ := u.User.Password()

	dir, err := os.MkdirTemp("", "agentexec-pgbouncer-") // not t.TempDir: its parents are closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // PgBouncer runs as another user
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	require.NoError(t, l.Close())
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Appendf(nil, `
[databases]
* = host=%s port=%s user=%s password='%s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits,search_path
`, u.Hostname(), u.Port(), u.User.Username(), password, port)
	require.NoError(t, os.WriteFile(config, text, 0o644)) //nolint:gosec // PgBouncer runs as another user

	args := []string{config}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...) // it refuses to serve as root
	}
	cmd := exec.Command(program, args...) //nolint:gosec // found in PATH
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	u.Host = net.JoinHostPort("127.0.0.1", port)
	return u.String()
}
