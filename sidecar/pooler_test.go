package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// TestNoPreparedStatements runs as behind a pooler that knows no prepared statements.
func TestNoPreparedStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := setup(t, func(cfg *sidecar.Config) { cfg.DatabaseURL += "&default_query_exec_mode=" + mode })
			works(t, s)
		})
	}
}

// works takes a line through snapshot, replay and live, and a list.
func works(t *testing.T, s *service) {
	t.Helper()
	id := s.create(t, "two")
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 2)
	s.append(t, id, "three")
	so.lines(t, 2, 1)
	so.send(t, `{"type":"subscribe","sub":"l","list":{"agent_type":"research","metadata":{},"statuses":["QUEUED"]}}`)
	require.NotEmpty(t, so.next(t).Items)
}

// readiness is what /readyz says.
func (s *service) readiness(t testing.TB) (status int, listen string) {
	t.Helper()
	resp, err := http.Get(s.url + "/readyz")
	require.NoError(t, err)
	defer resp.Body.Close()
	var body struct {
		Listen string `json:"listen"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	return resp.StatusCode, body.Listen
}

func (s *service) awaitReadiness(t testing.TB, status int, listen string) {
	t.Helper()
	require.Eventually(t, func() bool {
		code, state := s.readiness(t)
		return code == status && state == listen
	}, patience, 20*time.Millisecond)
}

func TestPollOnly(t *testing.T) {
	t.Parallel()
	s := setup(t, func(cfg *sidecar.Config) { cfg.PollOnly = true })
	works(t, s)
	s.awaitReadiness(t, http.StatusOK, "off")
	require.Zero(t, listen(t, s.db).received(t), "no sidecar listens, so no writer notifies")
}

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pooled := startPgBouncer(t, db.URL)

	t.Run("WithListenURL", func(t *testing.T) {
		t.Parallel()
		s := start(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL, cfg.ListenURL = pooled, db.URL })
		works(t, s)
		s.awaitReadiness(t, http.StatusOK, "healthy")
	})
	t.Run("WithoutListenURL", func(t *testing.T) {
		t.Parallel()
		s := start(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL = pooled })
		works(t, s)
		s.awaitReadiness(t, http.StatusOK, "polling")
		works(t, s)
		require.Zero(t, s.metric(t, "agentexec_wakeup_lock_taken_total"), "a lock of a pooled session belongs to another client")
	})
}

// startPgBouncer puts PgBouncer in transaction mode before a database and returns the URL through it.
func startPgBouncer(t *testing.T, to string) string {
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
	require.NoError(t, os.Chmod(dir, 0o755))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	require.NoError(t, l.Close())
	config := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
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
`, u.Hostname(), u.Port(), u.User.Username(), password, port), 0o644))

	args := []string{config}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...) // it refuses to serve as root
	}
	cmd := exec.Command(program, args...)
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
	}, patience, 10*time.Millisecond)
	u.Host = net.JoinHostPort("127.0.0.1", port)
	return u.String()
}
