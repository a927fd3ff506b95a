package devpg

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const pollEvery = 10 * time.Millisecond

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(""))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestServerIsPrivate(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.Settings = map[string]string{"max_connections": "17", "cluster_name": "a 'quoted' name"}
	s := start(t, opts)
	conn := connect(t, s)

	for setting, want := range map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8",
		"max_connections": "17", "cluster_name": "a 'quoted' name",
	} {
		var got string
		require.NoError(t, conn.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&got))
		require.Equal(t, want, got, setting)
	}
	var collate string
	require.NoError(t, conn.QueryRow(t.Context(),
		"select datcollate from pg_database where datname = current_database()").Scan(&collate))
	require.Equal(t, "C", collate)

	config, err := pgx.ParseConfig(s.URL(""))
	require.NoError(t, err)
	config.Password = "wrong"
	_, err = pgx.ConnectConfig(t.Context(), config)
	require.ErrorContains(t, err, "password authentication failed")

	info, err := os.Stat(filepath.Join(s.DataDir, passwordFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	owner, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.NotZero(t, owner.Uid, "Postgres refuses to run as root")
}

func TestServerSurvivesRestartAndKill(t *testing.T) {
	t.Parallel()
	s := start(t, testOptions())
	run(t, s, "create table kept as select 1 as n")
	url, done := s.URL(""), s.Done()

	require.NoError(t, s.Restart(t.Context()))
	<-done
	require.Equal(t, url, s.URL(""))
	run(t, s, "insert into kept values (2)")

	require.NoError(t, s.Kill())
	<-s.Done()
	require.NoError(t, s.Kill(), "a second time")
	_, err := pgx.Connect(t.Context(), url)
	require.Error(t, err)

	require.NoError(t, s.Restart(t.Context()))
	var n int
	require.NoError(t, connect(t, s).QueryRow(t.Context(), "select sum(n) from kept").Scan(&n))
	require.Equal(t, 3, n)

	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "a second time")
	require.DirExists(t, s.DataDir)
	require.NoError(t, s.Remove())
	require.NoDirExists(t, s.DataDir)
	require.NoError(t, s.Remove(), "a second time")
}

func TestStopRollsOpenTransactionsBack(t *testing.T) {
	t.Parallel()
	opts, dir := dirOptions(t)
	s := start(t, opts)
	run(t, s, "create table kept (n int)")
	conn := connect(t, s)
	_, err := conn.Exec(t.Context(), "begin; insert into kept values (1)")
	require.NoError(t, err)
	require.NoError(t, s.Stop())
	require.Error(t, conn.Ping(t.Context()))

	again := start(t, opts)
	require.Equal(t, dir, again.DataDir)
	var n int
	require.NoError(t, connect(t, again).QueryRow(t.Context(), "select count(*) from kept").Scan(&n))
	require.Zero(t, n)
}

func TestDoneReportsCrash(t *testing.T) {
	t.Parallel()
	s := start(t, testOptions())
	pid, _, ok := readPidFile(s.DataDir)
	require.True(t, ok)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	<-s.Done()
	require.Contains(t, s.LastLines(), "ready to accept connections")
}

func TestPostgresStopsWithItsSupervisor(t *testing.T) {
	t.Parallel()
	s := start(t, testOptions())
	pid, _, ok := readPidFile(s.DataDir)
	require.True(t, ok)
	require.NoError(t, s.proc.cmd.Process.Kill())
	<-s.Done()
	gone(t, pid)
}

func TestStartSaysWhyPostgresEnded(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.Settings = map[string]string{"shared_buffers": "nonsense"}
	_, err := Start(t.Context(), opts)
	require.ErrorContains(t, err, "exit status 1")
	require.ErrorContains(t, err, `invalid value for parameter "shared_buffers": "nonsense"`)
}

func TestStartSaysWhyInitdbEnded(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	fakeBinaries(t, dir, "postgres (PostgreSQL) 16.1", "echo 'initdb: error: no room' >&2; exit 3")
	_, err := Start(t.Context(), Options{BinDir: dir, Temporary: true})
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "initdb: error: no room")
}

func TestStartWithATakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	require.True(t, ok)
	opts := testOptions()
	opts.Port = addr.Port
	_, err = Start(t.Context(), opts)
	require.ErrorIs(t, err, errPortTaken)
	require.ErrorContains(t, err, "Address already in use")
}

// TestPortIsKept: a copied URL is valid for the next run too, unless its port has gone.
func TestPortIsKept(t *testing.T) {
	t.Parallel()
	opts, dir := dirOptions(t)
	require.Zero(t, lastPort(dir))
	s := start(t, opts)
	require.NoError(t, s.Stop())
	again := start(t, opts)
	require.Equal(t, s.URL(""), again.URL(""))
	require.NoError(t, again.Stop())

	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)))
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	elsewhere := start(t, opts)
	require.NotEqual(t, s.Port, elsewhere.Port)
	require.Equal(t, elsewhere.Port, lastPort(dir))
}

func TestLastPortOfNonsense(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, content := range []string{"", "nonsense", `"port="`, `"port=0"`, `"port=99999"`, `"port=-1"`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "postmaster.opts"), []byte(content), 0o600))
		require.Zero(t, lastPort(dir), content)
	}
}

func TestStartStopsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"InInitdb": "creating subdirectories", "InPostgres": "listening on IPv4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, dir := dirOptions(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts.Log = writerFunc(func(b []byte) {
				if strings.Contains(string(b), line) {
					cancel()
				}
			})
			_, err := Start(ctx, opts)
			require.ErrorIs(t, err, context.Canceled)
			require.NoFileExists(t, pidFile(dir))
			left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestStartTimeout(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.StartTimeout = time.Millisecond
	_, err := Start(t.Context(), opts)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}
