package demo

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
)

const (
	// maxFiles bounds the files of one activity.
	maxFiles = 2000
	// maxFileBytes bounds the bytes read of one file.
	maxFileBytes = 64 << 20
)

// file is a regular file to read.
type file struct {
	path string // relative to the tree's root
	size int64  // when it was found, at most maxFileBytes
}

// unreadable is a file or folder that could not be read.
type unreadable struct {
	path string
	err  error
}

// scan finds the files of a part, and the folders on the path that cannot be read.
func (t *tree) scan(ctx context.Context, p part) (files []file, problems []unreadable, err error) {
	err = t.scanFolder(ctx, p.path, p.flat, &files, &problems)
	return files, problems, err
}

func (t *tree) scanFolder(ctx context.Context, path string, flat bool, files *[]file, problems *[]unreadable) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	entries, err := readDir(filepath.Join(t.root, path))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // removed since the tree was divided
			*problems = append(*problems, unreadable{path, plain(err)})
		}
		return nil
	}
	for _, entry := range entries {
		if len(*files) == maxFiles {
			return nil
		}
		at := filepath.Join(path, entry.Name())
		switch {
		case entry.IsDir() && !flat && !slices.Contains(skipped, entry.Name()):
			if err := t.scanFolder(ctx, at, false, files, problems); err != nil {
				return err
			}
		case entry.Type().IsRegular(): // no links, sockets, pipes or devices
			if info, err := entry.Info(); err == nil {
				*files = append(*files, file{at, min(info.Size(), maxFileBytes)})
			}
		}
	}
	return nil
}
