package docs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pages are those that name files, packages, tests and commands of this repository.
var pages = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/protocol.md", "docs/errors.md", "docs/limits.md",
	"docs/access.md", "docs/cli.md", "docs/retention.md", "docs/metrics.md", "docs/state-machine.md", "docs/workers.md", "docs/deploy/proxies.md"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", name))
	require.NoError(t, err)
	return string(b)
}

var (
	fence      = regexp.MustCompile("(?s)```.*?```")
	link       = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	code       = regexp.MustCompile("`([^`\n]+)`")
	topName    = regexp.MustCompile(`^(?:cmd|sql|sidecar|wsfeed|pkg|internal|ui|docs|bench|tools|examples)/[\w./-]+$`)
	target     = regexp.MustCompile(`\bmake ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)`)
	packageDoc = regexp.MustCompile(`(?m)(?:^//.*\n)+package `)
	testName   = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
)

// TestPathsExist: every path that a page links to, or names in code, exists.
func TestPathsExist(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		text := read(t, page)
		found := 0
		exists := func(name string) {
			_, err := os.Stat(filepath.Join("..", filepath.FromSlash(name)))
			require.NoError(t, err, "%s names %s", page, name)
			found++
		}
		prose := fence.ReplaceAllString(text, "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if !strings.Contains(m[1], "://") {
				exists(path.Join(path.Dir(page), m[1]))
			}
		}
		for _, m := range code.FindAllStringSubmatch(prose, -1) {
			if topName.MatchString(m[1]) && !strings.Contains(m[1], "*") {
				exists(m[1])
			}
		}
		if page == "docs/architecture.md" || page == "CONTRIBUTING.md" {
			require.Greater(t, found, 15, page)
		}
	}
}

// TestCommandsExist: every target of make that a page names is in the Makefile.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	for _, page := range pages {
		for _, m := range code.FindAllStringSubmatch(read(t, page), -1) {
			for _, names := range target.FindAllStringSubmatch(m[1], -1) {
				for name := range strings.FieldsSeq(names[1]) {
					require.Contains(t, makefile, "\n"+name+":", "%s names make %s", page, name)
				}
			}
		}
	}
}

// TestNamedTestsExist: every test that a page names exists.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	var all bytes.Buffer
	require.NoError(t, filepath.WalkDir("..", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return errOrSkip(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			b, err := os.ReadFile(name)
			all.Write(b)
			return err
		}
		return nil
	}))
	for _, page := range pages {
		for _, m := range testName.FindAllStringSubmatch(read(t, page), -1) {
			require.Regexp(t, `func `+m[1]+`\b`, all.String(), page)
		}
	}
}

func errOrSkip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// TestPackagesAreDescribed: every package of the module has a row in docs/architecture.md, and a doc comment with a line about imports.
func TestPackagesAreDescribed(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}}\t{{.Dir}}\t{{.Doc}}\t{{join .GoFiles \" \"}}", "./...")
	list.Dir = ".."
	out, err := list.Output()
	require.NoError(t, err)
	table := read(t, "docs/architecture.md")
	rows := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		name := strings.TrimPrefix(strings.TrimPrefix(fields[0], "github.com/agentexec/agentexec"), "/")
		if fields[3] == "" || strings.HasSuffix(name, "/plant") {
			continue
		}
		require.Contains(t, table, "`"+name+"`")
		require.NotEmpty(t, fields[2], "%s has no doc comment", name)
		comment := ""
		for file := range strings.FieldsSeq(fields[3]) {
			b, err := os.ReadFile(filepath.Join(fields[1], file))
			require.NoError(t, err)
			comment += packageDoc.FindString(string(b))
		}
		require.Contains(t, comment, "import", "%s does not say what it may import", name)
		rows++
	}
	require.Greater(t, rows, 20)
}
