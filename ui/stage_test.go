package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgtest"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// house is what stages share: the program, and in some cases a Postgres of their own that can be taken away.
type house struct {
	server  *pgtest.Server // nil: the one that all tests of this process share
	program string
}

// buildProgram builds agentexec once for all tests and returns its path. TestMain removes it.
var buildProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "agentexec-ui-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "agentexec")
	removeProgram = func() { _ = os.RemoveAll(dir) }
	out, err := exec.Command("go", "build", "-o", program, "github.com/agentexec/agentexec/cmd/agentexec").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

var removeProgram = func() {}

func TestMain(m *testing.M) {
	code := pgtest.Main(m).Run()
	removeProgram()
	os.Exit(code)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	program, err := buildProgram()
	require.NoError(t, err)
	return &house{program: program}
}

// newHouseWithServer returns a house with a Postgres of its own, which tests may stop.
func newHouseWithServer(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.server = pgtest.NewServer(t, nil)
	return h
}

// database returns a new database with the schema.
func (h *house) database(t *testing.T) *pgtest.Database {
	t.Helper()
	if h.server != nil {
		return h.server.New(t)
	}
	return pgtest.New(t)
}

// stage is what the browser's tests play on: a database, and a sidecar that can be taken away.
type stage struct {
	*house
	db      *pgtest.Database
	addr    string
	sidecar *exec.Cmd
	env     []string // of the sidecar, beside ours
}

// newStage returns a stage over a new database.
func newStage(t *testing.T) *stage {
	t.Helper()
	h := newHouse(t)
	return h.stage(t, h.database(t))
}

// stage is one over a database, its sidecar not started yet; env is for that sidecar.
func (h *house) stage(t *testing.T, db *pgtest.Database, env ...string) *stage {
	t.Helper()
	s := &stage{house: h, db: db, env: env}
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

// kill ends the sidecar without a shutdown.
func (s *stage) kill() {
	if s.sidecar == nil {
		return
	}
	_ = s.sidecar.Process.Kill()
	_ = s.sidecar.Wait()
}

const (
	key    = "0123456789abcdef0123456789abcdef" // signs tokens
	secret = "AGENTEXEC_JWT_SECRET=" + key      // has a sidecar ask for them
)

// token is one that the program mints; no flag holds a space.
func (s *stage) token(ctx context.Context, flags string) (any, error) {
	mint := exec.CommandContext(ctx, s.program, append([]string{"token"}, strings.Fields(flags)...)...)
	mint.Env = append(os.Environ(), secret)
	out, err := mint.Output()
	return strings.TrimSpace(string(out)), err
}

// expiring is a token that grants to read, and is no longer accepted after so long.
func expiring(_ context.Context, after string) (any, error) {
	d, err := time.ParseDuration(after)
	if err != nil {
		return nil, err
	}
	return auth.Mint(auth.MintConfig{Secret: key}, auth.Grant{Read: true, Expires: time.Now().Add(d - auth.Leeway)})
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
	handle("/guarded", func(context.Context, string) (any, error) {
		guarded := s.stage(t, s.db, secret)
		guarded.start(t)
		return "http://" + guarded.addr, nil
	})
	// allowing starts a sidecar that lets in pages of the given origin.
	handle("/allowing", func(_ context.Context, origin string) (any, error) {
		allowing := s.stage(t, s.db, "AGENTEXEC_ALLOW_ORIGIN="+origin)
		allowing.start(t)
		return "http://" + allowing.addr, nil
	})
	// behind starts a sidecar that has a base path, and trusts the headers of proxies on this machine.
	handle("/behind", func(_ context.Context, base string) (any, error) {
		behind := s.stage(t, s.db, "AGENTEXEC_BASE_PATH="+base, "AGENTEXEC_TRUSTED_PROXY=127.0.0.1")
		behind.start(t)
		return "http://" + behind.addr, nil
	})
	handle("/token", s.token)
	handle("/token/expiring", expiring)
	handle("/sidecar/kill", func(context.Context, string) (any, error) { s.kill(); return nil, nil })
	handle("/sidecar/start", func(context.Context, string) (any, error) { s.start(t); return nil, nil })
	if s.server != nil {
		handle("/postgres/stop", func(context.Context, string) (any, error) { return nil, s.server.Stop() })
		handle("/postgres/start", func(ctx context.Context, _ string) (any, error) { return nil, s.server.Restart(ctx) })
	}
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
