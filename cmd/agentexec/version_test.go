package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneVersion: each way to build the program from one commit gives the same version, and none needs a setting. The
// program is one that prints its version and nothing else, built as the Makefile and the Dockerfile say: by the latter
// without Docker, from what .dockerignore leaves.
func TestOneVersion(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"git", "make", "tar"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no " + program)
		}
	}
	dir := t.TempDir()
	source, image := filepath.Join(dir, "source"), filepath.Join(dir, "image")
	files := map[string]string{
		"cmd/agentexec/main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(currentVersion()) }\n",
		"go.mod":                "module github.com/agentexec/agentexec\n\ngo 1.26\n", "go.sum": "", "docs/some.md": "", ".gitignore": "bin\n",
	}
	for _, name := range []string{"Makefile", "Dockerfile", ".dockerignore", "cmd/agentexec/version.go"} {
		text, err := os.ReadFile("../../" + name)
		require.NoError(t, err)
		files[name] = string(text)
	}
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(source, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(text), 0o600))
	}
	// These settings replace the machine's: a stamp is wanted, and a commit needs a name.
	env := append(os.Environ(), "GOFLAGS=-buildvcs=true", "GOWORK=off", "GOBIN="+filepath.Join(dir, "installed"),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example", "GIT_CONFIG_GLOBAL=/dev/null")
	sh := func(in, script string) string {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
		cmd.Dir, cmd.Env = in, env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", script, out)
		return strings.TrimSpace(string(out))
	}
	built := func(what string) {
		sh(source, "make build && go build -o "+dir+"/built ./cmd/agentexec && go install ./cmd/agentexec")
		require.NoError(t, os.RemoveAll(image))
		sh(dir, "mkdir image && cd source && tar -c --exclude=docs --exclude=./Makefile --exclude=./.dockerignore --exclude=bin . | tar -x -C ../image")
		for line := range strings.Lines(files["Dockerfile"]) {
			if script, isRun := strings.CutPrefix(line, "RUN "); isRun && !strings.Contains(script, "mod download") {
				sh(image, strings.ReplaceAll(script, "/out/", dir+"/image/"))
			}
		}
		version := sh(source, "bin/agentexec")
		require.Regexp(t, what, version)
		require.Equal(t, version, sh(dir, "./built"))
		require.Equal(t, version, sh(dir, "installed/agentexec"))
		require.Equal(t, version, sh(dir, "image/agentexec"))
	}
	sh(source, "git init -q && git add . && git commit -qm one")
	built(`^v0\.0\.0-\d{14}-[0-9a-f]{12}$`)
	sh(source, "git tag v1.2.3")
	built(`^v1\.2\.3$`)
	sh(source, "echo '// changed' >>cmd/agentexec/main.go")
	built(`^v1\.2\.3\+dirty$`)
	sh(source, "rm -rf .git")
	require.Equal(t, "v9", sh(source, "make -s build VERSION=v9 && bin/agentexec"))
	require.NotContains(t, "\n"+files[".dockerignore"], "\n.git\n", "the version is read from it")
}
