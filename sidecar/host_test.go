package sidecar_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/sidecar"
)

// askFor sends a request for a host, as a browser does whose name for us is that one, and returns the answer's status.
func (s *service) askFor(t testing.TB, method, host, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	require.NoError(t, err)
	r.Host = host
	r.Header.Set("Origin", "http://"+host)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// TestHost: without authentication only this machine is served under its own name, or a named proxy's. A page whose name
// was made to lead here gets nothing.
func TestHost(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.AllowOrigins = []string{"https://proxy.example:8443"} })
	id := s.create(t)
	port := s.url[strings.LastIndex(s.url, ":"):]
	for _, host := range []string{"127.0.0.1" + port, "localhost" + port, "LOCALHOST", "[::1]" + port, "127.1.2.3", "proxy.example:8443"} {
		status, body := s.askFor(t, "GET", host, "/v1/activities")
		require.Equal(t, 200, status, "%s: %s", host, body)
	}
	for _, host := range []string{"evil.example" + port, "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1" + port, "proxy.example"} {
		for _, path := range []string{"/v1/activities", "/v1/feed/" + id.String(), "/v1/stats", "/metrics", "/"} {
			status, body := s.askFor(t, "GET", host, path)
			require.Equal(t, 403, status, "%s %s", host, path)
			require.Contains(t, body, "only its own machine")
		}
		status, _ := s.askFor(t, "POST", host, "/v1/activities/cancel-pending")
		require.Equal(t, 403, status)
	}
	active, err := s.c.CountActive(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, int64(1), active, "nothing was canceled")

	for _, open := range []func(*sidecar.Config){withTokens, func(c *sidecar.Config) { c.Insecure = true }} {
		s := start(t, s.db, open)
		status, _ := s.askFor(t, "GET", "anything.example", "/healthz")
		require.Equal(t, 200, status)
	}
}

// TestRemoteBehindAProxy: the log names who is behind a trusted proxy, and the connection itself where there is none.
func TestRemoteBehindAProxy(t *testing.T) {
	t.Parallel()
	logged := &logtest.Buffer{}
	s := setup(t, func(c *sidecar.Config) { c.Logger, c.TrustedProxies = logged.Logger(), []string{"127.0.0.1"} })
	status, _, _ := s.ask(t, "POST", "/v1/activities/cancel-pending", "X-Forwarded-For", "198.51.100.7")
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "msg=audit who=anonymous remote=198.51.100.7 ") },
		patience, 10*time.Millisecond)

	alone := &logtest.Buffer{}
	s = start(t, s.db, func(c *sidecar.Config) { c.Logger = alone.Logger() })
	status, _, _ = s.ask(t, "POST", "/v1/activities/cancel-pending", "X-Forwarded-For", "198.51.100.7")
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool { return strings.Contains(alone.String(), "msg=audit who=anonymous remote=127.0.0.1:") },
		patience, 10*time.Millisecond)
}
