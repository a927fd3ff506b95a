package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// home is a home directory for dev: with files to work on, and a cache folder that any user can reach.
type home struct {
	dir, work string
	cli       *cli
	as        *syscall.Credential // nil: the user that runs the tests
}

func newHome(t *testing.T, as *user.User) *home {
	t.Helper()
	// Not t.TempDir: its parent is closed to the user that Postgres runs as when we are root.
	dir, err := os.MkdirTemp("", "agentexec-home-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	h := &home{dir: dir, work: filepath.Join(dir, "work")}
	require.NoError(t, os.Mkdir(h.work, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(h.work, "one.txt"), []byte("one\ntwo\n"), 0o644))
	if as != nil {
		uid, err := strconv.Atoi(as.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(as.Gid)
		require.NoError(t, err)
		h.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(dir, uid, gid))
	}
	h.cli = &cli{env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "AGENTEXEC_ADDR=127.0.0.1:0"}}
	return h
}

// command returns agentexec dev, or a shell that runs it as its child.
func (h *home) command(t *testing.T, viaShell bool, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{"dev", "--demo-dir", h.work}, args...)
	cmd := h.cli.command(t, args...)
	if viaShell {
		// With another command after it, the shell does not become the program.
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `"$0" "$@"; true`, binary}, args...)
	}
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.as}
	return cmd
}

// devRun is a dev that is up.
type devRun struct {
	*running
	page, database string
}

var (
	pageLine     = regexp.MustCompile(`is running: +(http://\S+)`)
	databaseLine = regexp.MustCompile(`export AGENTEXEC_DATABASE_URL='(\S+)'`)
)

// up starts a command and returns when it says that it is running.
func up(t *testing.T, cmd *exec.Cmd) *devRun {
	t.Helper()
	d := &devRun{running: startCommand(t, cmd)}
	for banner := ""; d.database == "" || d.page == ""; {
		banner += d.line(t) + "\n"
		if m := pageLine.FindStringSubmatch(banner); m != nil {
			d.page = m[1]
		}
		if m := databaseLine.FindStringSubmatch(banner); m != nil {
			d.database = m[1]
		}
	}
	return d
}

// exec runs SQL in the private database and returns its one value.
func (d *devRun) query(t *testing.T, sql string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	var n int64
	require.NoError(t, conn.QueryRow(ctx, sql).Scan(&n))
	return n
}

// requireNothingLeft waits until no process mentions the home directory.
func (h *home) requireNothingLeft(t *testing.T) {
	t.Helper()
	var left string
	require.Eventually(t, func() bool {
		out, err := exec.Command("ps", "-A", "-o", "pid=,args=").Output()
		require.NoError(t, err)
		left = ""
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, h.dir) {
				left += line
			}
		}
		return left == ""
	}, 30*time.Second, 50*time.Millisecond, "still running:\n%s", &left)
}

func TestDev(t *testing.T) {
	t.Parallel()
	h := newHome(t, nil)
	h.comesAndGoes(t)
}

func TestDevAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // TestDev was just that
	}
	unprivileged, err := user.Lookup("nobody")
	require.NoError(t, err)
	newHome(t, unprivileged).comesAndGoes(t)
}

func (h *home) comesAndGoes(t *testing.T) {
	t.Helper()
	d := up(t, h.command(t, false))
	code, _ := get(t, d.page+"/")
	require.Equal(t, 200, code)
	code, body := get(t, d.page+"/v1/activities")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"items"`)
	// The agents work, and what they report is so.
	require.Eventually(t, func() bool {
		return d.query(t, `select count(*) from agentexec.activity_log
			where message like 'work/one.txt%' or data->>'lines' = '2'`) > 0
	}, time.Minute, 50*time.Millisecond)

	d.signal(t, syscall.SIGINT)
	_, code = d.end(t)
	require.Equal(t, 0, code, "%s", &d.stderr)
	require.Regexp(t, `^Starting a private Postgres \.\.\.\nStopping .*\nStopped\.\n$`, d.stderr.String())
	h.requireNothingLeft(t)

	// The data are still there, the agents of the run before have ended, and nothing of it is left after --fresh.
	d = up(t, h.command(t, false, "--demo-agents", "0"))
	before := d.query(t, "select count(*) from agentexec.activity")
	require.Positive(t, before)
	require.Zero(t, d.query(t, "select agentexec.count_active()"))
	d.signal(t, syscall.SIGTERM)
	_, code = d.end(t)
	require.Equal(t, 0, code, "%s", &d.stderr)

	d = up(t, h.command(t, false, "--fresh", "--demo-agents", "0"))
	require.Zero(t, d.query(t, "select count(*) from agentexec.activity"))
	last := syscall.SIGHUP
	if signal.Ignored(last) { // these tests run under nohup, and so does what they start
		last = syscall.SIGTERM
	}
	d.signal(t, last)
	_, code = d.end(t)
	require.Equal(t, 0, code, "%s", &d.stderr)
	h.requireNothingLeft(t)
}

func TestDevDiesWithItsParent(t *testing.T) {
	t.Parallel()
	h := newHome(t, nil)
	d := up(t, h.command(t, true))
	require.NoError(t, d.cmd.Process.Kill()) // the shell
	_, _ = d.end(t)                          // which ends when no process holds its output any more
	h.requireNothingLeft(t)
}

// TestDevDiesWithItsGrandparent: under go run, which itself outlives a make that is killed.
func TestDevDiesWithItsGrandparent(t *testing.T) {
	t.Parallel()
	h := newHome(t, nil)
	program := filepath.Join(h.dir, "go-build1", "agentexec") // where go run puts what it runs
	require.NoError(t, os.Mkdir(filepath.Dir(program), 0o755))
	require.NoError(t, os.Link(binary, program))
	cmd := h.command(t, true)
	const goRun = `sh -c '"$0" "$@"; true' "$0" "$@"; true`
	cmd.Args = append([]string{"sh", "-c", goRun, program}, cmd.Args[4:]...)
	d := up(t, cmd)
	require.NoError(t, d.cmd.Process.Kill()) // the outer shell
	_, _ = d.end(t)
	h.requireNothingLeft(t)
}

func TestDevDiesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHome(t, nil)
	d := up(t, h.command(t, false))
	require.NoError(t, d.cmd.Process.Kill())
	_, _ = d.end(t)
	h.requireNothingLeft(t)
}

// TestDevWithoutItsPostgres: when Postgres ends underneath, dev says so and ends too; one dev at a time has it.
func TestDevWithoutItsPostgres(t *testing.T) {
	t.Parallel()
	h := newHome(t, nil)
	d := up(t, h.command(t, false))
	second := h.cli.run(t, "dev", "--demo-dir", h.work)
	require.Equal(t, 1, second.code)
	require.Contains(t, second.stderr, "\nagentexec: another agentexec dev uses the private Postgres: stop that")

	files, err := filepath.Glob(filepath.Join(h.dir, ".cache", "agentexec", "pg*", "postmaster.pid"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.Split(string(content), "\n")[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	_, code := d.end(t)
	require.Equal(t, 1, code)
	require.Regexp(t, `\nagentexec: the private Postgres ended unexpectedly; its last words: [^\n]+\n$`, d.stderr.String())
	h.requireNothingLeft(t)
}

// TestDevOnDatabase: with a database named, no other is started, and its password is not shown.
func TestDevOnDatabase(t *testing.T) {
	t.Parallel()
	c := setup(t)
	h := newHome(t, nil)
	h.cli.env = append(h.cli.env, "AGENTEXEC_DATABASE_URL="+c.db.URL)
	r := startCommand(t, h.command(t, false, "--allow-origin", "tauri://localhost", "--base-path", "/agentexec"))
	banner := ""
	for !strings.Contains(banner, "Ctrl-C") {
		banner += r.line(t) + "\n"
	}
	page := pageLine.FindStringSubmatch(banner)[1]
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/agentexec/$`, page)
	page = strings.TrimSuffix(page, "/")
	for origin, allowed := range map[string]bool{
		"http://localhost:3000": true, "http://127.0.0.1:5173": true, "http://[::1]:5173": true, "tauri://localhost": true, "https://evil.example": false,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page+"/v1/stats", nil)
		require.NoError(t, err)
		request.Header.Set("Origin", origin)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, allowed, response.Header.Get("Access-Control-Allow-Origin") == origin, origin)
		require.Equal(t, allowed, connects(t, page, origin), origin)
	}
	require.NotContains(t, banner, c.db.URL)
	require.Equal(t, int64(0), query[int64](t, c, "select count(*) from agentexec.activity where agent_type not in ('hash-files', 'hash-directory', 'check-archive', 'upload-archive')"))
	require.NoDirExists(t, filepath.Join(h.dir, ".cache", "agentexec"))
	r.signal(t, syscall.SIGINT)
	_, code := r.end(t)
	require.Equal(t, 0, code, "%s", &r.stderr)
	require.Regexp(t, `(?m)^time=\S+ level=WARN msg="refused a page of another origin; .*--allow-origin .* origin=https://evil.example path=/v1/stats$`, r.stderr.String())
	require.Regexp(t, `(?m)^Stopping .*\nStopped\.\n$`, r.stderr.String())
	require.Zero(t, query[int64](t, c, "select agentexec.count_active()"))
}

// connects reports whether a page of an origin gets a WebSocket.
func connects(t *testing.T, url, origin string) bool {
	t.Helper()
	ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/v1/feed", http.Header{"Origin": {origin}})
	require.NotNil(t, response)
	_ = response.Body.Close()
	if err == nil {
		_ = ws.Close()
	}
	return err == nil
}

func TestDevRefuses(t *testing.T) {
	t.Parallel()
	h := newHome(t, nil)
	c := h.cli
	empty := t.TempDir()
	require.Contains(t, c.refused(t, 1, "dev", "--demo-dir", empty), "has no files to work on")
	require.Contains(t, c.refused(t, 1, "dev", "--demo-dir", empty+"/no"), "no such file or directory")
	require.Contains(t, c.refused(t, 1, "dev", "--demo-dir", filepath.Join(h.work, "one.txt")), "is not a directory")
	const gone = "postgres://me:geheim@127.0.0.1:1/mine"
	require.Equal(t, `agentexec: cannot connect to database "mine" at 127.0.0.1:1 as user "me": connection refused; `+
		`--database-url names it: leave that out to have a private Postgres started`,
		c.refused(t, 1, "dev", "--demo-dir", h.work, "--database-url", gone))
	require.Contains(t, c.with("DATABASE_URL="+gone).refused(t, 1, "dev", "--demo-dir", h.work),
		"connection refused; DATABASE_URL names it: unset it to have a private Postgres started")
	require.Regexp(t, `^agentexec: address "0.0.0.0:0" can be reached from other machines [^\n]+$`,
		c.refused(t, 1, "dev", "--demo-dir", h.work, "--addr", "0.0.0.0:0"))
	require.Contains(t, c.refused(t, 2, "dev", "--demo-dir", h.work, "--allow-origin", "app.example.com"), `allowed origin "app.example.com"`)
	require.Contains(t, c.refused(t, 2, "dev", "--demo-dir", h.work, "--allow-origin", "https://*"), "a * may only stand for")
	require.NoDirExists(t, filepath.Join(h.dir, ".cache", "agentexec")) // nothing was started for that
	h.requireNothingLeft(t)
}
