package devpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// superuser is the role that initdb creates.
const superuser = "postgres"

// passwordFile holds the superuser's password. It is in the data folder, and as private as the data.
const passwordFile = "agentexec.password"

// prepare makes the data folder if there is none, checks an existing one, and reads the password.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.as.reach(filepath.Dir(s.DataDir)); err != nil {
		return err
	}
	if err := s.ensureFree(ctx); err != nil {
		return err
	}
	if s.opts.Fresh {
		if err := removeDataDir(s.DataDir); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.DataDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) == 0 {
		if err := s.initDataDir(ctx); err != nil {
			return err
		}
	}
	if err := checkDataDir(s.DataDir, s.Binaries); err != nil {
		return err
	}
	password, err := os.ReadFile(filepath.Join(s.DataDir, passwordFile))
	if err != nil {
		return fmt.Errorf("data folder %s was not made by agentexec (choose another): %w", s.DataDir, err)
	}
	s.password = strings.TrimSpace(string(password))
	return nil
}

func checkDataDir(dir string, b Binaries) error {
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("%s is not empty and no data folder of PostgreSQL: choose another", dir)
	}
	if v := strings.TrimSpace(string(version)); v != strconv.Itoa(b.Major) {
		return fmt.Errorf("data folder %s was made by PostgreSQL %s, and the one in %s is version %d: "+
			"choose another folder, or start afresh", dir, v, b.Dir, b.Major)
	}
	return nil
}

// removeDataDir removes a data folder, and refuses to remove anything else.
func removeDataDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		return fmt.Errorf("%s is not empty and no data folder of PostgreSQL, so it is not removed: choose another", dir)
	}
	return os.RemoveAll(dir)
}

// initDataDir runs initdb beside the data folder and renames the result. So a data folder is complete or absent, whatever is
// killed in between, and two processes that start at once share one.
func (s *Server) initDataDir(ctx context.Context) error {
	parent := filepath.Dir(s.DataDir)
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // the server's user has to pass through
		return err
	}
	work, err := os.MkdirTemp(parent, ".initdb-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	data, password := filepath.Join(work, "data"), filepath.Join(work, "password")
	if err := os.WriteFile(password, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if err := errors.Join(s.as.own(work), s.as.own(password)); err != nil {
		return err
	}
	if err := s.initdb(ctx, data, password, work); err != nil {
		return err
	}
	if err := os.Rename(password, filepath.Join(data, passwordFile)); err != nil {
		return err
	}
	_ = os.Remove(s.DataDir) // os.Rename refuses even an empty folder as the target
	if err := os.Rename(data, s.DataDir); err != nil {
		if _, statErr := os.Stat(filepath.Join(s.DataDir, passwordFile)); statErr == nil {
			return nil // another process was first
		}
		return err
	}
	return nil
}

func (s *Server) initdb(ctx context.Context, data, password, work string) error {
	argv := []string{
		s.Binaries.path("initdb"), "-D", data, "-U", superuser, "--pwfile", password, "--auth", "scram-sha-256",
		// The same sort order on every machine; macOS has no C.UTF-8 of its own.
		"--encoding", "UTF8", "--locale", "C", "--no-instructions",
	}
	if s.opts.Temporary {
		argv = append(argv, "--no-sync")
		work = s.temporary
	}
	p, err := supervise(s.as, work, s.opts.Log, argv...)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.stop())
	}
	if p.err != nil {
		return p.failure()
	}
	return nil
}
