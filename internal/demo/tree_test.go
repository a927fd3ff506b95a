package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// plant makes files with the contents given; a path that ends in a slash is a folder, and its content, if any, where a
// link leads.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		at := filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		if strings.HasSuffix(path, "/") {
			require.NoError(t, os.MkdirAll(at, 0o755))
			continue
		}
		require.NoError(t, os.WriteFile(at, []byte(content), 0o644))
	}
	return root
}

func TestDivide(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"readme": "", ".git/config": "", "web/node_modules/x/index.js": "", "web/page.html": "", "empty/": "",
		"a/b/one": "", "a/b/two": "", "a/three": "",
	}
	for i := range partFiles {
		files[fmt.Sprintf("big/own%d", i)] = ""
	}
	files["big/sub/x"] = ""
	root := plant(t, files)
	require.NoError(t, os.Symlink(root, filepath.Join(root, "loop")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644))

	require.Equal(t, []part{
		{path: ".", flat: true}, {path: "a"}, {path: "big", flat: true}, {path: "big/sub"}, {path: "web"},
	}, divide(root))

	tr, err := openTree(root)
	require.NoError(t, err)
	found := map[string]bool{}
	for _, p := range tr.parts {
		files, problems, err := tr.scan(context.Background(), p)
		require.NoError(t, err)
		require.Empty(t, problems)
		for _, f := range files {
			require.False(t, found[f.path], "%s is in two parts", f.path)
			found[f.path] = true
		}
	}
	require.Len(t, found, len(files)-3) // without .git, node_modules, empty
	require.True(t, found["readme"] && found["a/b/two"] && found["big/sub/x"] && found["web/page.html"])
}

func TestTakeGivesNoPartTwice(t *testing.T) {
	t.Parallel()
	tr, err := openTree(plant(t, map[string]string{"one": "1"}))
	require.NoError(t, err)
	p, giveBack, ok := tr.take()
	require.True(t, ok)
	_, _, ok = tr.take()
	require.False(t, ok)
	giveBack()
	again, _, ok := tr.take()
	require.True(t, ok)
	require.Equal(t, p, again)
}

func TestCheckDir(t *testing.T) {
	t.Parallel()
	root := plant(t, map[string]string{"one": "1", "empty/": "", "only/.git/config": ""})
	require.NoError(t, CheckDir(root))
	require.NoError(t, os.Symlink(root, filepath.Join(root, "empty", "link")))
	require.NoError(t, CheckDir(filepath.Join(root, "empty", "link")))
	for path, says := range map[string]string{
		"missing": "no such file or directory", "one": "is not a directory", "empty": "no files to work on", "only": "no files to work on",
	} {
		err := CheckDir(filepath.Join(root, path))
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, filepath.Join(root, path))
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("line\n", 50_000)
	root := plant(t, map[string]string{"empty": "", "two": "one\ntwo\n", "open": "one\ntwo", "big": big, "dir/": ""})
	require.NoError(t, os.Symlink("two", filepath.Join(root, "link")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	huge, err := os.Create(filepath.Join(root, "huge")) // a hole, which takes no room
	require.NoError(t, err)
	require.NoError(t, huge.Truncate(maxFileBytes+1))
	require.NoError(t, huge.Close())

	tr, err := openTree(root)
	require.NoError(t, err)
	for path, want := range map[string]struct {
		content string
		lines   int64
	}{
		"empty": {"", 0}, "two": {"one\ntwo\n", 2}, "open": {"one\ntwo", 2}, "big": {big, 50_000},
	} {
		read := 0
		d, err := tr.hash(context.Background(), path, func(n int) error {
			read += n
			return nil
		})
		require.NoError(t, err)
		sum := sha256.Sum256([]byte(want.content))
		require.Equal(t, digest{sha256: hex.EncodeToString(sum[:]), lines: want.lines, bytes: int64(len(want.content))}, d)
		require.Equal(t, len(want.content), read)
	}
	d, err := tr.hash(context.Background(), "huge", func(int) error { return nil })
	require.NoError(t, err)
	require.Equal(t, int64(maxFileBytes), d.bytes)

	// A file that changed since it was found must not stop an agent.
	for _, path := range []string{"missing", "link", "pipe", "dir"} {
		_, err := tr.hash(context.Background(), path, func(int) error { return nil })
		require.ErrorIs(t, err, errGone, path)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 line", count(1, "line"))
	require.Equal(t, "0 lines", count(0, "line"))
	require.Equal(t, "1,234,567 lines", count(1234567, "line"))
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 5e12: "5.0 TB"} {
		require.Equal(t, want, bytesOf(n))
	}
	tr := &tree{name: "root"}
	require.Equal(t, "root", tr.show("."))
	require.Equal(t, "a\uFFFD", tr.show("a\xff"))
}

func writeFile(root, path, content string) error {
	return os.WriteFile(filepath.Join(root, path), []byte(content), 0o644)
}
