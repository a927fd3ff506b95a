package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMakeRun: the first build, which takes minutes, is announced; later ones, which take a second, are not. Without Go it says where
// to get it.
func TestMakeRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	dir := t.TempDir()
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Makefile"), makefile, 0o600))
	// A go that builds a program which says how it was called.
	const compiler = "#!/bin/sh\nmkdir -p bin\nprintf '#!/bin/sh\\necho \"$0 $@\"\\n' >bin/agentexec\nchmod +x bin/agentexec\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte(compiler), 0o700))
	run := func() string {
		out, err := exec.Command("make", "-C", dir, "--no-print-directory", "run", "GO=./go", "ARGS=--fresh").CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}

	require.Equal(t, "Building agentexec, which takes a minute or two the first time ...\nbin/agentexec dev --fresh\n", run())
	require.Equal(t, "bin/agentexec dev --fresh\n", run())

	out, err := exec.Command("make", "-s", "-C", dir, "--no-print-directory", "run", "GO=no-go").CombinedOutput()
	require.Error(t, err)
	require.Regexp(t, `^there is no Go, which builds agentexec: https://go\.dev/dl\nmake(\[\d+\])?: .* Error 1\n$`, string(out))
}
