package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// get returns the body of a page.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

var servingAt = regexp.MustCompile(`msg=serving url=(\S+)`)

// serve starts the sidecar and returns its URL once it serves.
func (c *cli) serve(t *testing.T, args ...string) (*running, string) {
	t.Helper()
	r, url, _ := serveCommand(t, c.command(t, append([]string{"serve"}, args...)...))
	return r, url
}

// serveCommand starts a command that serves, and returns its URL once it does, and what it has logged by then.
func serveCommand(t *testing.T, cmd *exec.Cmd) (_ *running, url, logged string) {
	t.Helper()
	logs, write := io.Pipe()
	r := &running{cmd: cmd}
	cmd.Stdout, cmd.Stderr = io.Discard, write
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	urls := make(chan [2]string, 1)
	go func() {
		var text bytes.Buffer
		buf := make([]byte, 4096)
		for {
			n, err := logs.Read(buf)
			text.Write(buf[:n])
			if m := servingAt.FindStringSubmatch(text.String()); m != nil {
				select {
				case urls <- [2]string{m[1], text.String()}:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case found := <-urls:
		return r, found[0], found[1]
	case <-time.After(time.Minute):
		require.FailNow(t, "the sidecar does not serve")
		return nil, "", ""
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.ok(t, "create", "research")
	server, url := c.serve(t, "--addr", "127.0.0.1:0")
	addr := strings.TrimPrefix(url, "http://")

	code, body := get(t, url+"/v1/activities")
	require.Equal(t, 200, code)
	require.Contains(t, body, id)
	require.Eventually(t, func() bool { // once the tail has read for the first time
		code, _ := get(t, url+"/readyz")
		return code == 200
	}, time.Minute, 20*time.Millisecond)
	require.Empty(t, c.ok(t, "healthcheck", "--addr", addr))
	require.Empty(t, c.with("AGENTEXEC_ADDR=:"+addr[strings.LastIndex(addr, ":")+1:]).ok(t, "healthcheck"))

	require.True(t, connects(t, url, url))
	require.False(t, connects(t, url, "http://localhost:5173"), "only dev lets in pages of other servers on this machine")

	require.Contains(t, c.refused(t, 1, "serve", "--addr", addr, "--log-level", "error"), "the address "+addr+" is in use")
	// Under make it is the variable that can be given.
	require.Regexp(t, "the address "+addr+" is in use,.* choose another with --addr or AGENTEXEC_ADDR$", c.refused(t, 1, "dev", "--addr", addr))

	server.signal(t, syscall.SIGTERM)
	require.NoError(t, server.cmd.Wait())
	require.Contains(t, c.refused(t, 1, "healthcheck", "--addr", addr), "not ready")
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	c := setup(t)
	quiet := c.with("AGENTEXEC_LOG_LEVEL=error")
	require.Contains(t, quiet.refused(t, 1, "serve", "--addr", "0.0.0.0:0"), "--insecure")
	require.Contains(t, quiet.refused(t, 1, "serve", "--addr", ":0"), "--insecure")
	require.Contains(t, bare(t).refused(t, 1, "serve"), "no database")
	require.Contains(t, onDatabase(t, pgtest.Empty(t)).with("AGENTEXEC_LOG_LEVEL=error").refused(t, 1, "serve", "--addr", "127.0.0.1:0"),
		"run: agentexec migrate")
	c.db.Exec(t, "update agentexec.schema_version set version = 99")
	require.Contains(t, quiet.refused(t, 1, "serve", "--addr", "127.0.0.1:0"), "newer")
	require.Contains(t, quiet.refused(t, 2, "serve", "--listen-url", "postgres://h:geheim/x"), "--listen-url: not a usable database URL")
}

// TestServeWaitsForPostgres: one line about it, without the password, and it can be stopped meanwhile.
func TestServeWaitsForPostgres(t *testing.T) {
	t.Parallel()
	c := bare(t).with("AGENTEXEC_DATABASE_URL=postgres://me:geheim@127.0.0.1:1/mine?connect_timeout=1", "AGENTEXEC_ADDR=127.0.0.1:0")
	cmd := c.command(t, "serve")
	logs, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf := make([]byte, 4096)
	n, err := logs.Read(buf)
	require.NoError(t, err)
	line := string(buf[:n])
	require.Equal(t, 1, strings.Count(line, "\n"), line)
	require.Contains(t, line, `cannot connect to database \"mine\" at 127.0.0.1:1 as user \"me\": connection refused`)
	require.NotContains(t, line, "geheim")

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(logs)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), fmt.Sprint(line, string(rest)))
}
