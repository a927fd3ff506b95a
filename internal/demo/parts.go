package demo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const (
	// partFiles is the number of files of a part: a folder with more is divided into its subfolders.
	partFiles = 40
	// maxEntries bounds how many entries of a tree are read to divide it, and how many of one folder.
	maxEntries = 20_000
)

// skipped are folders of generated files or of files from elsewhere.
var skipped = []string{".git", "node_modules"}

// part is a unit of work: the files of a folder and, unless flat, those below it.
type part struct {
	path string // relative to the tree's root, "." for the root itself
	flat bool
}

// tree hands out the parts of a directory, in order and again from the beginning, and none to two agents at once.
type tree struct {
	root string
	name string // the name of the root in messages

	mu    sync.Mutex
	parts []part
	taken map[part]bool
}

// CheckDir returns an error of one line, unless dir is a directory with a file to work on.
func CheckDir(dir string) error {
	_, err := openTree(dir)
	return err
}

func openTree(dir string) (*tree, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the demo directory %s: %w", dir, plain(err))
	case !info.IsDir():
		return nil, fmt.Errorf("the demo directory %s is not a directory", dir)
	}
	if root, err = filepath.EvalSymlinks(root); err != nil { // dir itself may be a link, as /tmp on macOS
		return nil, err
	}
	if _, err := readDir(root); err != nil {
		return nil, fmt.Errorf("the demo directory %s: %w", dir, plain(err))
	}
	t := &tree{root: root, name: filepath.Base(root), taken: map[part]bool{}}
	if t.parts = divide(root); len(t.parts) == 0 {
		return nil, fmt.Errorf("the demo directory %s has no files to work on", dir)
	}
	return t, nil
}

// take returns a part that no agent works on and a function that returns it, or false if there is none.
func (t *tree) take() (part, func(), bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parts) == 0 {
		t.parts = divide(t.root) // again, because files come and go
	}
	i := slices.IndexFunc(t.parts, func(p part) bool { return !t.taken[p] })
	if i < 0 {
		return part{}, nil, false
	}
	p := t.parts[i]
	t.parts = slices.Delete(t.parts, i, i+1)
	t.taken[p] = true
	return p, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.taken, p)
	}, true
}

// show returns the form of a path in messages. Postgres accepts only valid UTF-8; file systems accept any bytes.
func (t *tree) show(path string) string {
	if path == "." {
		path = t.name
	}
	return strings.ToValidUTF8(path, "\uFFFD")
}

// divide returns the parts of a tree, in order.
func divide(root string) []part {
	left := maxEntries
	_, parts := divideFolder(root, ".", &left)
	return parts
}

// divideFolder returns the number of files in and below a folder, and the parts they make.
func divideFolder(root, path string, left *int) (int, []part) {
	entries, err := readDir(filepath.Join(root, path))
	if err != nil {
		return 1, []part{{path: path}} // an agent reports the error
	}
	own, below := 0, 0
	var parts []part
	for _, entry := range entries {
		if *left--; *left < 0 {
			break
		}
		switch {
		case entry.Type().IsRegular():
			own++
		case entry.IsDir() && !slices.Contains(skipped, entry.Name()):
			files, its := divideFolder(root, filepath.Join(path, entry.Name()), left)
			below += files
			parts = append(parts, its...)
		}
	}
	switch {
	case own+below == 0:
		return 0, nil
	case own+below <= partFiles:
		return own + below, []part{{path: path}}
	case own > 0:
		parts = append([]part{{path: path, flat: true}}, parts...)
	}
	return own + below, parts
}

// readDir returns the entries of a folder by name, the first ones if there are very many.
func readDir(path string) ([]fs.DirEntry, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// plain removes the path and the system call from an error about a file, for messages that name the file themselves.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
