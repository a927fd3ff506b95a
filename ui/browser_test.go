package ui_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestInBrowser shows the dashboard of a real sidecar over a real Postgres in a real browser: test/*.test.mjs, each with
// a database and a sidecar of its own, two at a time. It needs Node, Chromium and what test/run.sh installs, so that script
// runs it.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	if os.Getenv("AGENTEXEC_TEST_CHROMIUM") == "" {
		t.Skip("ui/test/run.sh runs this test")
	}
	files, err := filepath.Glob("test/*.test.mjs")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	h := newHouse(t)
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			h := h
			if name == "connection.test.mjs" { // it takes the server away
				h = newHouseWithServer(t)
			}
			args := []string{"--test", "--test-reporter=spec"}
			if only := os.Getenv("ONLY"); only != "" {
				args = append(args, "--test-name-pattern="+only)
			}
			perform(t, h.stage(t, h.database(t)), "test", append(args, name)...)
		})
	}
}

// TestFigures measures the dashboard in a real browser: test/figures.mjs. test/figures.sh runs it.
func TestFigures(t *testing.T) {
	if os.Getenv("AGENTEXEC_TEST_FIGURES") == "" {
		t.Skip("ui/test/figures.sh runs this test")
	}
	perform(t, newStage(t), "test", "--test-reporter=spec", "figures.mjs")
}

// TestClient runs the TypeScript client against a real sidecar that goes away and comes back: client/test/binary*.test.ts,
// each with a database and a sidecar of its own. It needs Node and what test/run.sh installs, so that script runs it.
func TestClient(t *testing.T) {
	t.Parallel()
	if os.Getenv("AGENTEXEC_TEST_NODE") == "" {
		t.Skip("ui/test/run.sh runs this test")
	}
	files, err := filepath.Glob("client/test/binary*.test.ts")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	h := newHouse(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.ts"), func(t *testing.T) {
			t.Parallel()
			perform(t, h.stage(t, h.database(t)), ".", "node_modules/vitest/vitest.mjs", "run", "--project", "binary", filepath.Base(file))
		})
	}
}

// perform runs Node in a folder, on a stage, and shows what it printed when it has ended.
func perform(t *testing.T, s *stage, dir string, args ...string) {
	t.Helper()
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
	out, err := node.CombinedOutput()
	_, _ = os.Stdout.Write(out)
	require.NoError(t, err)
}
