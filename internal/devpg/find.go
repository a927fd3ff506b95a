package devpg

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OldestMajor is the oldest major version of Postgres that agentexec supports.
const OldestMajor = 15

// ErrNoBinaries is returned by Find and Start when there are no usable binaries and none could be downloaded. Its message is
// one line that names the solutions.
var ErrNoBinaries = errors.New("no PostgreSQL 15 or newer found")

// Binaries is a folder with the programs of one Postgres installation.
type Binaries struct {
	// Dir is the folder that holds initdb and postgres.
	Dir string
	// Major is the major version, such as 17.
	Major int
}

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

// globs are folders in which packages put the binaries without adding them to PATH.
var globs = []string{
	"/usr/lib/postgresql/*/bin",                       // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                // PGDG on Red Hat and kin
	"/usr/libexec/postgresql*",                        // Alpine
	"/usr/local/pgsql/bin",                            // built from source
	"/opt/homebrew/opt/postgresql@*/bin",              // Homebrew on Apple silicon
	"/opt/homebrew/opt/postgresql/bin",                //
	"/opt/homebrew/bin",                               //
	"/usr/local/opt/postgresql@*/bin",                 // Homebrew on Intel
	"/usr/local/opt/postgresql/bin",                   //
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin", // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// Find returns the newest Postgres of at least OldestMajor. It is the one in Options.BinDir if that is set; else the newest of
// those in PATH, in the folder of pg_config, in the usual folders of Linux packages and Homebrew, and in the cache of
// downloads; else it downloads one, unless Options.NoDownload is set.
//
// It returns ErrNoBinaries when all of that fails, and another error when BinDir holds no usable Postgres.
func Find(ctx context.Context, opts Options) (Binaries, error) {
	as, err := serverAccount()
	if err != nil {
		return Binaries{}, err
	}
	if opts.BinDir != "" {
		b, err := inspect(ctx, opts.BinDir, as)
		if err != nil {
			return Binaries{}, fmt.Errorf("no usable PostgreSQL in %s: %w", opts.BinDir, err)
		}
		return b, nil
	}
	cache, err := opts.cacheDir(as)
	if err != nil {
		return Binaries{}, err
	}
	return findIn(ctx, opts, as, append(places(ctx), downloaded(cache)...), cache)
}

func findIn(ctx context.Context, opts Options, as *account, dirs []string, cache string) (Binaries, error) {
	var found []Binaries
	var unusable []string
	for _, dir := range dirs {
		b, err := inspect(ctx, dir, as)
		switch {
		case err == nil:
			found = append(found, b)
		case ctx.Err() != nil:
			return Binaries{}, ctx.Err()
		case !errors.Is(err, exec.ErrNotFound):
			unusable = append(unusable, fmt.Sprintf("%s: %v", dir, err))
		}
	}
	if len(found) > 0 {
		// MaxFunc returns the first of equals, so PATH wins over the usual folders.
		return slices.MaxFunc(found, func(a, b Binaries) int { return a.Major - b.Major }), nil
	}
	why := "a download is not allowed here"
	if !opts.NoDownload {
		if opts.Downloading != nil {
			opts.Downloading(string(downloadVersion))
		}
		b, err := download(ctx, opts.DownloadFrom, cache, as)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return Binaries{}, ctx.Err()
		}
		why = "downloading it failed: " + oneLine(err.Error())
	}
	if len(unusable) > 0 {
		why = "not usable are " + strings.Join(unusable, ", ") + "; " + why
	}
	return Binaries{}, fmt.Errorf("%w (%s); install PostgreSQL 15 or newer, or set AGENTEXEC_DATABASE_URL to one that runs, "+
		"or allow the download (network access)", ErrNoBinaries, why)
}

// places lists the folders to search, PATH first.
func places(ctx context.Context) []string {
	var dirs []string
	for _, program := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(program); err == nil {
			dirs = append(dirs, filepath.Dir(path))
			// A link in /usr/bin to one program of an installation leads to the others.
			if path, err = filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(path))
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, glob := range globs {
		matches, _ := filepath.Glob(glob) // the only error is a bad pattern
		dirs = append(dirs, matches...)
	}
	var unique []string
	for _, dir := range dirs {
		if abs, err := filepath.Abs(dir); err == nil && !slices.Contains(unique, abs) {
			unique = append(unique, abs)
		}
	}
	return unique
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect asks the postgres in dir for its version. It returns exec.ErrNotFound if initdb or postgres is missing.
func inspect(ctx context.Context, dir string, as *account) (Binaries, error) {
	b := Binaries{Dir: dir}
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(b.path(program)); err != nil {
			return Binaries{}, fmt.Errorf("%s: %w", program, exec.ErrNotFound)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path("postgres"), "--version")
	cmd.WaitDelay = time.Second
	as.apply(cmd) // the server's user must be able to reach the folder
	out, err := cmd.Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("postgres --version: %w", err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return Binaries{}, fmt.Errorf("postgres --version printed %q", oneLine(string(out)))
	}
	if b.Major, err = strconv.Atoi(string(m[1])); err != nil {
		return Binaries{}, err
	}
	if b.Major < OldestMajor {
		return Binaries{}, fmt.Errorf("version %d is older than %d", b.Major, OldestMajor)
	}
	return b, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
