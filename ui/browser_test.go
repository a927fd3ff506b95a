package ui_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgtest"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// TestInBrowser shows the page of a real sidecar over a real Postgres in a real browser: test/*.test.mjs. It needs Node,
// Chromium and what test/run.sh installs, so that script runs it.
func TestInBrowser(t *testing.T) {
	if os.Getenv("AGENTEXEC_TEST_CHROMIUM") == "" {
		t.Skip("ui/test/run.sh runs this test")
	}
	args := []string{"--test", "--test-reporter=spec"}
	if only := os.Getenv("ONLY"); only != "" {
		args = append(args, "--test-name-pattern="+only)
	}
	perform(t, "test", append(args, "browser.test.mjs")...)
}

// TestClient has the TypeScript client follow a real sidecar that goes away and comes back: client/test/binary.test.ts.
// It needs Node and what test/run.sh installs, so that script runs it.
func TestClient(t *testing.T) {
	if os.Getenv("AGENTEXEC_TEST_NODE") == "" {
		t.Skip("ui/test/run.sh runs this test")
	}
	perform(t, ".", "node_modules/vitest/vitest.mjs", "run", "--project", "binary")
}

// perform runs Node in a folder, on a stage of its own.
func perform(t *testing.T, dir string, args ...string) {
	t.Helper()
	s := newStage(t)
	s.start(t)
	control := httptest.NewServer(s.control(t))
	defer control.Close()

	// Node, and the browser, go before a test binary that ran out of time would leave them behind.
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-10*time.Second))
		defer cancel()
	}
	node := exec.CommandContext(ctx, "node", args...)
	node.Dir = dir
	node.Env = append(os.Environ(), "PAGE_URL=http://"+s.addr, "CONTROL_URL="+control.URL)
	node.Stdout, node.Stderr = os.Stdout, os.Stderr
	require.NoError(t, node.Run())
}

// stage is what the browser's tests play on: a Postgres and a sidecar that can be taken away.
type stage struct {
	server  *pgtest.Server
	db      *pgtest.Database
	program string
	addr    string
	sidecar *exec.Cmd
	env     []string // of the sidecar, beside ours
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{server: pgtest.NewServer(t, nil), program: filepath.Join(t.TempDir(), "agentexec")}
	s.db = s.server.New(t)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, "github.com/agentexec/agentexec/cmd/agentexec")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	// The sidecar comes back at the address it had, so it must be one we know.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	require.NoError(t, l.Close())
	t.Cleanup(s.kill)
	return s
}

// start returns when the sidecar is ready.
func (s *stage) start(t *testing.T) {
	t.Helper()
	s.sidecar = exec.CommandContext(context.WithoutCancel(t.Context()), s.program, "serve", "--addr", s.addr, "--database-url", s.db.URL)
	s.sidecar.Env = append(os.Environ(), s.env...)
	s.sidecar.Stdout, s.sidecar.Stderr = t.Output(), t.Output()
	require.NoError(t, s.sidecar.Start())
	require.Eventually(t, s.ready, patience, 20*time.Millisecond, "the sidecar did not become ready")
}

func (s *stage) ready() bool {
	r, err := http.Get("http://" + s.addr + "/readyz")
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

const secret = "0123456789abcdef0123456789abcdef"

// startGuarded starts another sidecar, which asks for tokens, and returns its URL.
func (s *stage) startGuarded(t *testing.T) string {
	other := &stage{server: s.server, db: s.db, program: s.program, env: []string{"AGENTEXEC_JWT_SECRET=" + secret}}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	other.addr = l.Addr().String()
	require.NoError(t, l.Close())
	other.start(t)
	t.Cleanup(other.kill)
	return "http://" + other.addr
}

// kill ends the sidecar without a word to anybody.
func (s *stage) kill() {
	_ = s.sidecar.Process.Kill()
	_ = s.sidecar.Wait()
}

// control lets the browser's tests move the stage: POST /sql runs the body and answers with its rows.
func (s *stage) control(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, act func(ctx context.Context, body string) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var answer any
			if err == nil {
				answer, err = act(r.Context(), string(body))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	handle("/sql", s.query)
	handle("/guarded", func(context.Context, string) (any, error) { return s.startGuarded(t), nil })
	handle("/token", func(_ context.Context, lifetime string) (any, error) {
		d, err := time.ParseDuration(lifetime)
		if err != nil {
			return nil, err
		}
		return auth.Mint(auth.MintConfig{Secret: secret}, auth.Grant{Subject: "ada", Read: true, Expires: time.Now().Add(d)})
	})
	handle("/sidecar/kill", func(context.Context, string) (any, error) { s.kill(); return nil, nil })
	handle("/sidecar/start", func(context.Context, string) (any, error) { s.start(t); return nil, nil })
	handle("/postgres/stop", func(context.Context, string) (any, error) { return nil, s.server.Stop() })
	handle("/postgres/start", func(ctx context.Context, _ string) (any, error) { return nil, s.server.Restart(ctx) })
	return mux
}

func (s *stage) query(ctx context.Context, sql string) (any, error) {
	conn, err := pgx.Connect(ctx, s.db.URL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToMap)
}
