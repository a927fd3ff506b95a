package devpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options configure a server. The zero value starts the newest Postgres on the default DataDir and a free port.
type Options struct {
	// BinDir is a folder with initdb and postgres. Default: see Find.
	BinDir string
	// NoDownload forbids the download where the machine has no Postgres.
	NoDownload bool
	// DownloadFrom is the Maven repository to download from. Default: the public one.
	DownloadFrom string
	// Downloading, if set, is called with the version before a download begins: it may take a minute.
	Downloading func(version string)
	// CacheDir is the folder for downloads and data. Default: agentexec in the user's cache folder, or
	// /var/cache/agentexec where root's own is closed to the user of Postgres.
	CacheDir string

	// DataDir is the folder of the database, created if it is missing or empty. Default: "pg" and the major
	// version, such as pg17, in CacheDir.
	DataDir string
	// Fresh removes the contents of DataDir first.
	Fresh bool
	// Temporary puts the data into a new folder instead of DataDir. Remove removes it; the end of this process does so too,
	// however it ends.
	Temporary bool
	// TemporaryIn is the folder for that new folder. Default: os.TempDir, also where the server's account cannot use TemporaryIn.
	TemporaryIn string

	// Port is the port on 127.0.0.1. Default: the port of the last start on DataDir if that is free, else a free one.
	Port int
	// Settings are settings of postgresql.conf, such as "fsync": "off".
	Settings map[string]string
	// StartTimeout bounds the start, initdb and crash recovery included. Default: 60 s.
	StartTimeout time.Duration
	// Log receives the output of initdb and postgres. It is written to until the server has stopped. Default: nothing.
	Log io.Writer
}

// Server is a Postgres that belongs to this process. Its methods may be called from several goroutines.
type Server struct {
	Binaries Binaries
	DataDir  string
	// Port stays the same for the life of the Server, also over restarts.
	Port int

	opts      Options
	as        *account
	temporary string // the folder Remove removes; "" if the data stays
	password  string

	mu   sync.Mutex // held for the whole of a start or stop
	proc *process
}

// Start starts Postgres and returns when it accepts connections. ctx bounds only the start: the server runs until Stop, Remove
// or the end of this process.
//
// It returns ErrNoBinaries if there is no Postgres to start, ErrRunning if a server runs on the data folder, and an error with
// the last lines of the log if Postgres ends during its start.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.StartTimeout == 0 {
		opts.StartTimeout = time.Minute
	}
	binaries, err := Find(ctx, opts) // may download, so outside the timeout
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	s := &Server{Binaries: binaries, Port: opts.Port, opts: opts, as: as}
	if opts.Temporary {
		if s.temporary, err = makeTemporary(opts.TemporaryIn, as); err != nil {
			return nil, err
		}
		opts.DataDir = s.temporary + "/data"
	}
	if s.DataDir, err = opts.dataDir(as, binaries.Major); err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, opts.StartTimeout)
	defer cancel()
	if err = s.prepare(timed); err == nil {
		err = s.launch(timed)
	}
	if err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// URL returns the superuser's connection string for a database. "" means the database postgres.
func (s *Server) URL(database string) string {
	if database == "" {
		database = "postgres"
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Done is closed when Postgres has ended, for any reason. After a Restart, Done returns a new channel.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		done := make(chan struct{})
		close(done)
		return done
	}
	return s.proc.done
}

// LastLines returns the last lines that Postgres printed, for a report of its unexpected end.
func (s *Server) LastLines() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return ""
	}
	return s.proc.log.String()
}

// launch runs postgres on the data folder. It uses the last port, so that a saved URL stays valid, or a new one where another
// program uses that port, or takes a free one first.
func (s *Server) launch(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	const tries = 10
	choose := s.Port == 0
	for try := 1; ; try++ {
		if choose {
			if s.Port = lastPort(s.DataDir); try > 1 || !isFree(s.Port) {
				s.Port = freePort()
			}
		}
		err := s.run(ctx)
		if err == nil || !choose || try == tries || !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

// run starts postgres on s.Port and waits until it accepts connections. The caller holds mu.
func (s *Server) run(ctx context.Context) error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "", // any local user could reach a socket's folder, and paths for it can be too long
		"port":                    strconv.Itoa(s.Port),
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"lc_messages":             "C",
	}
	if s.temporary != "" {
		settings["dynamic_shared_memory_type"] = "mmap" // files that are removed with the data, also after a crash
	}
	maps.Copy(settings, s.opts.Settings)
	argv := []string{s.Binaries.path("postgres"), "-D", s.DataDir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		argv = append(argv, "-c", name+"="+settings[name])
	}
	proc, err := supervise(s.as, s.temporary, s.opts.Log, argv...)
	if err != nil {
		return err
	}
	s.proc = proc
	if err := s.waitReady(ctx); err != nil {
		return errors.Join(err, proc.stop())
	}
	return nil
}

func (s *Server) waitReady(ctx context.Context) error {
	err := errors.New("it does not say that it is ready")
	for {
		if s.saysReady() {
			if err = s.ping(ctx); err == nil {
				return nil
			}
		}
		select {
		case <-s.proc.done:
			return s.proc.startFailure()
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL takes no connections: %w (%w); its last lines:\n%s",
				context.Cause(ctx), err, s.proc.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ping connects once.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Remove stops Postgres, and removes the data of a temporary server. It may be called more than once.
func (s *Server) Remove() error {
	err := s.Stop()
	if s.temporary != "" {
		freeSharedMemory(s.DataDir)
		err = errors.Join(err, os.RemoveAll(s.temporary))
	}
	return err
}
