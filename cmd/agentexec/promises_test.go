package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPromisesNameTheirTests: each promise of SECURITY.md, docs/limits.md and docs/access.md names a test, and each test
// that a document names is there.
func TestPromisesNameTheirTests(t *testing.T) {
	t.Parallel()
	const root = "../.."
	defined, test := map[string]bool{}, regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	var documents []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			for _, m := range test.FindAllSubmatch(text, -1) {
				defined[string(m[1])] = true
			}
			return err
		case strings.HasSuffix(path, ".md") && entry.Name() != "CHANGELOG.md":
			documents = append(documents, path)
		}
		return nil
	}))
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	for _, path := range documents {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range named.FindAllSubmatch(text, -1) {
			require.True(t, defined[string(m[1])], "%s names %s, which is no test", path, m[1])
		}
	}
	promises := func(name, separator string, isOne *regexp.Regexp, least int) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		n := 0
		for part := range strings.SplitSeq(string(text), separator) {
			if isOne.MatchString(part) {
				require.Regexp(t, named, part, "%s: a promise without a test", name)
				n++
			}
		}
		require.GreaterOrEqual(t, n, least, name)
	}
	promises("SECURITY.md", "\n", regexp.MustCompile(`^\| (?:an?|the) `), 12)
	promises("docs/limits.md", "\n", regexp.MustCompile("^(?:\\| `--|- \\*\\*)"), 26)
	promises("docs/access.md", "\n## ", regexp.MustCompile(`^[A-Z][^\n]*\n\n`), 3)
}

// TestContainerIsConfined: the image has nothing but the program, and the services of docker-compose.yml that run it may
// do nothing that it does not need.
func TestContainerIsConfined(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		return string(text)
	}
	_, image, found := strings.Cut(read("Dockerfile"), "\nFROM scratch\n")
	require.True(t, found, "no shell, and no package manager")
	require.NotContains(t, image, "FROM")
	require.NotContains(t, image, "RUN")
	require.Contains(t, image, "\nUSER 65532:65532\n")
	compose := read("docker-compose.yml")
	shared, services, _ := strings.Cut(compose, "\nservices:\n")
	for _, line := range []string{"build: .", "read_only: true", "cap_drop: [ALL]", `security_opt: ["no-new-privileges:true"]`} {
		require.Contains(t, shared, "\n  "+line+"\n")
		require.NotContains(t, services, line)
	}
	for service := range strings.SplitSeq(services, "\n\n") {
		if strings.Contains(service, "command: [") {
			require.Contains(t, service, "<<: *agentexec\n")
		}
	}
	for _, wrong := range []string{"privileged", "cap_add", "network_mode", "user:", "read_only: false"} {
		require.NotContains(t, services, wrong)
	}
	for _, port := range regexp.MustCompile(`(?m)^ +- "([^"]*:\d+)"$`).FindAllStringSubmatch(services, -1) {
		require.True(t, strings.HasPrefix(port[1], "127.0.0.1:"), port[1])
	}
}
