package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// script runs tools/test where there is no npm and a go that prints the events of one package, and returns what it printed
// and its exit code. There is a C compiler where env has COMPILER=true.
func script(t *testing.T, result string, env ...string) (string, int) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"tools/test", "tools/go-test", "ui/test/run.sh", "ui/tools/node.sh"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o755))
	}
	for _, name := range []string{"bench", "bin", "path"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	for _, name := range []string{"bash", "cat", "dirname", "env", "getconf", "grep", "mktemp", "rm", "sort", "touch", "true", "false"} {
		program, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(program, filepath.Join(dir, "path", name)))
	}
	build, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin/testreport"), ".").CombinedOutput()
	require.NoError(t, err, string(build))
	compiler := `#!/usr/bin/env bash
case "$1 $2" in
"build -race") exec ${COMPILER:-false} ;;
"build -C") exit 0 ;;
"list ./...") printf 'github.com/agentexec/agentexec/%s\n' sql sql/other cmd/agentexec sidecar; exit 0 ;;
esac
echo '{"Action":"output","Package":"m/p","Test":"TestMoon","Output":"    a_test.go:5: no moon\n"}'
echo '{"Action":"skip","Package":"m/p","Test":"TestMoon"}'
echo '{"Action":"output","Package":"m/ui","Test":"TestInBrowser","Output":"    a_test.go:5: ui/test/run.sh runs this test\n"}'
echo '{"Action":"skip","Package":"m/ui","Test":"TestInBrowser"}'
echo '{"Action":"` + result + `","Package":"m/p"}'
[ ` + result + ` = pass ]
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "path/go"), []byte(compiler), 0o755))
	cmd := exec.Command(filepath.Join(dir, "tools/test"))
	cmd.Env = append([]string{"PATH=" + filepath.Join(dir, "path"), "TMPDIR=" + dir}, env...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func TestMakeTestListsSkipped(t *testing.T) {
	t.Parallel()
	skipped := `== skipped
go: the race detector: no working C compiler
p TestMoon: no moon
`
	ui := "ui: the packages and the page in ui/ are NOT tested: no npm\n"

	out, code := script(t, "pass")
	require.Zero(t, code, out)
	require.True(t, strings.HasSuffix(out, skipped+ui), out)

	out, code = script(t, "fail")
	require.Equal(t, 1, code, out)
	require.True(t, strings.HasSuffix(out, skipped+ui), out)

	// CI has everything, or fails.
	out, code = script(t, "pass", "CI=true")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "FAILED: no npm on this machine, and CI is set")
	require.True(t, strings.HasSuffix(out, skipped), out)
}

func TestRaceDetectorIsOnWhereGoroutinesOfOursRun(t *testing.T) {
	t.Parallel()
	const module = "github.com/agentexec/agentexec/"
	plain, raced := module+"sql "+module+"cmd/agentexec", module+"sql/other "+module+"sidecar"

	out, code := script(t, "pass", "COMPILER=true")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^\++ go test -race .* `+raced+`$`, out)
	require.Regexp(t, `(?m)^\++ go test -count=1 .* `+plain+`$`, out)
	out, code = script(t, "fail", "COMPILER=true")
	require.Equal(t, 1, code)
	require.Regexp(t, `(?m)^\++ go test -count=1 .* `+plain+`$`, out, "also after a failure")

	out, _ = script(t, "pass")
	require.NotContains(t, out, "-race ")
}
