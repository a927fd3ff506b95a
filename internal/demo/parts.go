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
	// partFiles is how many files make a part: a folder with more is divided into its subfolders.
	partFiles = 40
	// maxEntries bounds how much of a tree is looked at to divide it, and how much of one folder.
	maxEntries = 20_000
)

// skipped are folders of generated or foreign files.
var skipped = []string{".git", "node_modules"}

// part is a piece of work: the files of a folder, and unless flat those below it.
type part struct {
	path string // relative to the tree's root, "." for the root itself
	flat bool
}

// tree hands out the parts of a directory, one after the other and then from the beginning, none twice at a time.
type tree struct {
	root string
	name string // what messages call the root

	mu    sync.Mutex
	parts []part
	taken map[part]bool
}

// CheckDir returns an error of one line unless dir is a directory with a file that an agent could work on.
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

// take returns a part that no agent works on and a function to give it back, or false if there is none.
func (t *tree) take() (part, func(), bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parts) == 0 {
		t.parts = divide(t.root) // again, as files come and go
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

// show returns how messages name a path of the tree. Postgres takes valid UTF-8 only, file systems take anything.
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

// divideFolder returns how many files there are in and below a folder, and the parts they make.
func divideFolder(root, path string, left *int) (int, []part) {
	entries, err := readDir(filepath.Join(root, path))
	if err != nil {
		return 1, []part{{path: path}} // an agent will say so
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

// plain takes the path and the system call out of an error about a file, for messages that name the file themselves.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
