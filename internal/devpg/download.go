package devpg

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is the version to fetch where no Postgres is installed: the newest major with a build.
const downloadVersion = embeddedpostgres.V18

// downloaded returns the folders of earlier downloads into cache.
func downloaded(cache string) []string {
	dirs, _ := filepath.Glob(filepath.Join(cache, "postgres-*", "bin")) // the only error is a bad pattern
	return dirs
}

// download fetches Postgres from the Maven repository at url ("" = the public one) into cache.
//
// The library fetches only as part of a start, and its server would outlive this process. So this asks for an encoding that
// does not exist: the library fetches and unpacks, and then initdb refuses.
func download(ctx context.Context, url, cache string, as *account) (Binaries, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // the server's user has to pass through
		return Binaries{}, err
	}
	work, err := os.MkdirTemp(cache, ".download-")
	if err != nil {
		return Binaries{}, err
	}
	config := embeddedpostgres.DefaultConfig().
		Version(downloadVersion).
		Encoding("download only").
		Port(uint32(freePort())).
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(filepath.Join(work, "postgres")).
		Logger(io.Discard)
	if url != "" {
		config = config.BinaryRepositoryURL(url)
	}
	failed := make(chan error, 1)
	go func() {
		err := embeddedpostgres.NewDatabase(config).Start()
		if ctx.Err() != nil {
			_ = os.RemoveAll(work)
		}
		failed <- err
	}()
	select {
	case <-ctx.Done():
		// The library's download cannot be interrupted. It continues, and cleans up if this process lives on.
		return Binaries{}, ctx.Err()
	case err = <-failed:
	}
	defer func() { _ = os.RemoveAll(work) }()
	unpacked := filepath.Join(work, "postgres")
	if _, statErr := os.Stat(filepath.Join(unpacked, "bin", "postgres")); statErr != nil {
		return Binaries{}, err
	}
	if err := as.ownAll(unpacked); err != nil {
		return Binaries{}, err
	}
	final := filepath.Join(cache, "postgres-"+string(downloadVersion))
	if err := os.Rename(unpacked, final); err != nil {
		// Another process was first, or its result is broken: inspect checks that.
		if _, statErr := os.Stat(final); statErr != nil {
			return Binaries{}, err
		}
	}
	b, err := inspect(ctx, filepath.Join(final, "bin"), as)
	if err != nil {
		return Binaries{}, fmt.Errorf("the downloaded PostgreSQL in %s does not run: %w", final, err)
	}
	return b, nil
}

// ownAll gives dir and all in it to the account. It does nothing where the server runs as the current user.
func (a *account) ownAll(dir string) error {
	if a == nil {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, a.uid, a.gid)
	})
}
