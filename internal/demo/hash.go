package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// chunk is how much is read at a time.
const chunk = 64 << 10

// errGone means that a file no longer exists, or is no longer a regular file.
var errGone = errors.New("the file is gone")

// digest is the result of reading a file.
type digest struct {
	sha256 string
	lines  int64
	bytes  int64
}

// hash reads a file, at most maxFileBytes of it, and calls read after each chunk with its length.
//
// It returns errGone if the file no longer exists, an error of read as it is, and other errors where the file cannot be read.
func (t *tree) hash(ctx context.Context, path string, read func(n int) error) (digest, error) {
	// Not blocking, and without following links: the file may have become a pipe or a link since it was found.
	f, err := os.OpenFile(filepath.Join(t.root, path), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP):
		return digest{}, errGone
	case err != nil:
		return digest{}, cannotRead{plain(err)}
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return digest{}, errGone
	}

	var d digest
	sum, buf := sha256.New(), make([]byte, chunk)
	last := byte('\n')
	// No further than its size now: files in /proc have no size and no end, and a log may grow faster than it is read.
	for limited := io.LimitReader(f, min(info.Size(), maxFileBytes)); ; {
		n, err := limited.Read(buf)
		if n > 0 {
			_, _ = sum.Write(buf[:n]) // never fails
			d.bytes += int64(n)
			d.lines += int64(bytes.Count(buf[:n], []byte{'\n'}))
			last = buf[n-1]
			if err := read(n); err != nil {
				return digest{}, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if last != '\n' {
				d.lines++ // the last line, without a line end
			}
			d.sha256 = hex.EncodeToString(sum.Sum(nil))
			return d, nil
		case err != nil:
			return digest{}, cannotRead{plain(err)}
		case ctx.Err() != nil:
			return digest{}, ctx.Err()
		}
	}
}

// cannotRead marks the error of a file among other errors.
type cannotRead struct{ err error }

func (e cannotRead) Error() string { return fmt.Sprintf("cannot be read: %v", e.err) }
func (e cannotRead) Unwrap() error { return e.err }
