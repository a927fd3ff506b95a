package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is one with a package of each kind.
var module = map[string]string{
	"go.mod":         "module example.com/m\n\ngo 1.26\n",
	"good/a_test.go": "package good\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) { t.Log(\"said by the good one\") }\n",
	"skip/a_test.go": "package skip\n\nimport \"testing\"\n\nfunc TestSkip(t *testing.T) { t.Skip(\"no moon\\ntonight\") }\n\nfunc TestBare(t *testing.T) { t.SkipNow() }\n\n" +
		"func TestOuter(t *testing.T) { t.Run(\"Inner\", func(t *testing.T) { t.Skipf(\"only %d\", 1) }) }\n",
	"bad/a_test.go":    "package bad\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) { t.Error(\"it is bad\") }\n\nfunc TestFine(t *testing.T) { t.Log(\"said by the fine one\") }\n",
	"panics/a_test.go": "package panics\n\nimport \"testing\"\n\nfunc TestPanics(t *testing.T) { panic(\"everything falls\") }\n",
	"broken/a_test.go": "package broken\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { nothing() }\n",
}

// run shows what go test says of some packages of that module.
func run(t *testing.T, verbose bool, packages ...string) (string, *report) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range module {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-json"}, packages...)...)
	cmd.Dir = dir
	out, _ := cmd.Output() // fails where a test does
	var shown strings.Builder
	r := newReport(&shown, verbose)
	require.NoError(t, r.read(strings.NewReader(string(out))))
	return shown.String(), r
}

func TestSkippedTestsAreListedWithTheirReasons(t *testing.T) {
	t.Parallel()
	shown, r := run(t, false, "./good", "./skip")
	require.False(t, r.failed)
	require.ElementsMatch(t, []string{"skip TestSkip: no moon tonight", "skip TestBare: no reason given", "skip TestOuter/Inner: only 1"}, r.skipped)
	lines := slices.Sorted(strings.Lines(shown)) // a package ends when it ends
	require.Len(t, lines, 2)
	require.Regexp(t, `^ok  \texample.com/m/good\t`, lines[0])
	require.Regexp(t, `^ok  \texample.com/m/skip\t`, lines[1])

	name := filepath.Join(t.TempDir(), "skipped")
	require.NoError(t, r.keepSkipped(name))
	require.NoError(t, r.keepSkipped(name)) // another run adds to it
	kept, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(kept), "skip TestSkip: no moon tonight\n"))
	require.NoError(t, r.keepSkipped(""))
}

func TestFailuresAreShown(t *testing.T) {
	t.Parallel()
	shown, r := run(t, false, "./bad", "./good")
	require.True(t, r.failed)
	require.Contains(t, shown, "it is bad")
	require.Contains(t, shown, "--- FAIL: TestBad")
	require.Contains(t, shown, "FAIL\texample.com/m/bad")
	require.NotContains(t, shown, "said by the fine one")

	for pkg, said := range map[string]string{"./panics": "everything falls", "./broken": "undefined: nothing"} {
		shown, r := run(t, false, pkg)
		require.True(t, r.failed, pkg)
		require.Contains(t, shown, said)
		require.Contains(t, shown, "FAIL\texample.com/m/"+pkg[2:])
	}
}

func TestVerboseShowsAll(t *testing.T) {
	t.Parallel()
	shown, r := run(t, true, "./good")
	require.False(t, r.failed)
	require.Contains(t, shown, "said by the good one")
}
