package pgtest

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/devpg"
)

// Server is a server of one test, which may stop, kill and restart it: see the methods of devpg.Server.
type Server struct {
	*devpg.Server
	c *cluster
}

// NewServer starts a private server for t; it and its data are removed when the test ends. settings are settings of
// postgresql.conf beside pgtest's own; nil is fine. It always needs binaries, even where the other tests use
// AGENTEXEC_TEST_DATABASE_URL or a container, and downloads them if there are none.
func NewServer(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), downloadLimit)
	defer cancel()
	server, err := startLocal(ctx, false, settings)
	if err != nil {
		t.Fatalf("pgtest: no server to test with: %v", err)
	}
	c, err := openOurs(ctx, server.URL(""), server.Remove)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("pgtest: last lines of the server's log:\n%s", server.LastLines())
		}
		if err := c.close(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return &Server{Server: server, c: c}
}

// New returns a database with the schema agentexec on the server.
func (s *Server) New(t testing.TB) *Database {
	t.Helper()
	return s.must(t, true)
}

// Empty returns a database without the schema on the server.
func (s *Server) Empty(t testing.TB) *Database {
	t.Helper()
	return s.must(t, false)
}

// must makes a database that ends with the server. The server need not run when the test ends.
func (s *Server) must(t testing.TB, withSchema bool) *Database {
	t.Helper()
	d, err := s.c.create(withSchema)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return d
}

// Runner runs the tests of a package, as *testing.M does.
type Runner struct{ m interface{ Run() int } }

// Main is for a TestMain that checks for leaked goroutines, or needs the server to end before the process:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
//
// Without it, the server stops when the process ends.
func Main(m interface{ Run() int }) Runner { return Runner{m} }

// Run runs the tests, then ends the server they shared. It returns the exit code.
func (r Runner) Run() int {
	code := r.m.Run()
	if err := closeShared(); err != nil {
		fmt.Println("pgtest:", err)
		code = max(code, 1)
	}
	return code
}

// IgnoreServer makes goleak ignore the goroutines of a running server, for checks within a test.
func IgnoreServer() []goleak.Option {
	const process = "github.com/agentexec/agentexec/internal/devpg.(*process)."
	return []goleak.Option{
		goleak.IgnoreAnyFunction(process + "wait"),
		goleak.IgnoreAnyFunction(process + "copyOutput"),
	}
}
