package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withFiles is a command in a process that may open so many files.
func (c *cli) withFiles(t *testing.T, files int, args ...string) *exec.Cmd {
	t.Helper()
	cmd := c.command(t, args...)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files), binary}, args...)
	return cmd
}

// TestServeWithFewFiles: where a process may open few files, the limit of connections leaves enough of them for Postgres
// and for itself: one connection too many is told so at once, and nothing hangs.
func TestServeWithFewFiles(t *testing.T) {
	t.Parallel()
	c := setup(t)
	_, url, logged := serveCommand(t, c.withFiles(t, 64, "serve", "--addr", "127.0.0.1:0"))
	require.Equal(t, 1, strings.Count(logged, "level=WARN"), logged)
	require.Regexp(t, `level=WARN msg="[^"]*ulimit -n[^"]*" files=64 connections=\d+\n`, logged)
	silent := make([]net.Conn, 100)
	for i := range silent {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), 10*time.Second)
		require.NoError(t, err)
		defer conn.Close()
		silent[i] = conn
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	ask := func(path string) int { // 0 where the connection was closed without a word, as when many come at once
		response, err := client.Get(url + path)
		var timeout net.Error
		if err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
			return 0
		}
		require.NoError(t, err)
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		return response.StatusCode
	}
	for _, path := range []string{"/readyz", "/v1/stats", "/healthz"} {
		require.Eventually(t, func() bool { return ask(path) == http.StatusTooManyRequests }, 20*time.Second, 20*time.Millisecond,
			"%s, with all places taken", path)
	}
	for _, conn := range silent[:90] {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return ask("/readyz") == http.StatusOK }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, ask("/v1/stats"), "which needs Postgres")
}

// TestServeWithTooFewFiles: one line instead of a service that hangs.
func TestServeWithTooFewFiles(t *testing.T) {
	t.Parallel()
	c := setup(t)
	out, err := c.withFiles(t, 40, "serve", "--addr", "127.0.0.1:0").CombinedOutput()
	require.Error(t, err)
	require.Regexp(t, `^agentexec: this process may open 40 files, .*ulimit -n \d+[^\n]*\n$`, string(out))
}

// TestConnectionsBeyondFiles: a limit that the files do not allow is lowered, and that is said.
func TestConnectionsBeyondFiles(t *testing.T) {
	t.Parallel()
	c := setup(t)
	_, url, logged := serveCommand(t, c.withFiles(t, 256, "serve", "--addr", "127.0.0.1:0", "--max-connections", "1000"))
	require.Regexp(t, `level=WARN msg="[^"]*--max-connections[^"]*ulimit -n[^"]*" files=256 connections=\d+ wanted=1000`, logged)
	_, metrics := get(t, url+"/metrics")
	require.Regexp(t, `(?m)^agentexec_limit\{limit="connections"\} 1\d\d$`, metrics)
}
