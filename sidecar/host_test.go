package sidecar_test

import (
	"io"
	"net"
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

// raw sends bytes and returns the answer up to its end.
func (s *service) raw(t testing.TB, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
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

	s = start(t, s.db, withTokens)
	status, _ := s.askFor(t, "GET", "anything.example", "/healthz")
	require.Equal(t, 200, status, "where a token is needed, a page of another name has none")
}

// TestInsecureHost: with --insecure a request for a name is answered only where the name is localhost or was allowed.
// A page can make a name of its own lead to any address (DNS rebinding), and never an IP address.
func TestInsecureHost(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) {
		c.Insecure, c.AllowOrigins = true, []string{"https://proxy.example:8443", "https://*.inner.example"}
	})
	id := s.create(t)
	port := s.url[strings.LastIndex(s.url, ":"):]
	for _, host := range []string{
		"127.0.0.1" + port, "192.0.2.1" + port, "192.0.2.1", "[2001:db8::1]" + port, "[2001:db8::1]", "[::1]", "localhost" + port,
		"LocalHost", "localhost." + port, "proxy.example:8443", "PROXY.example:8443", "a.inner.example",
	} {
		status, body := s.askFor(t, "GET", host, "/v1/activities")
		require.Equal(t, 200, status, "%q: %s", host, body)
	}
	require.Contains(t, s.raw(t, "GET /v1/activities HTTP/1.0\r\n\r\n"), "200 OK", "no browser leaves it out")
	require.Contains(t, s.raw(t, "GET http://evil.example/v1/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), "403 Forbidden")
	foreign := []string{
		"evil.example" + port, "EVIL.example", "evil.example.", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1.", "sidecar:8484",
		"proxy.example", "inner.example", "a.b.inner.example", "[evil.example]", "[127.0.0.1]", "localhost:1:2", "evil.example:80", "0x7f.1", "2130706433",
		"a.localhost",
	}
	for _, host := range foreign {
		status, body := s.askFor(t, "GET", host, "/v1/activities")
		require.Equal(t, 403, status, host)
		require.Contains(t, body, "--allow-origin")
	}
	for _, path := range []string{
		"/v1/feed", "/v1/feed/" + id.String(), "/v1/stats", "/metrics", "/", "/activities/" + id.String(), "/healthz", "/readyz", "/openapi.json", "/nothing",
	} {
		status, _ := s.askFor(t, "GET", "evil.example"+port, path)
		require.Equal(t, 403, status, path)
	}
	_, resp, err := dial(s.url, "/v1/feed", http.Header{"Host": {"evil.example" + port}, "Origin": {"http://evil.example" + port}})
	require.Error(t, err)
	require.Equal(t, 403, resp.StatusCode)
	_ = resp.Body.Close()
	status, _, _ := s.ask(t, "GET", "/v1/feed/"+id.String(), "Accept", "text/event-stream", "Host", "evil.example")
	require.Equal(t, 403, status)
	// The word of a client about another host is not asked for.
	status, _, _ = s.ask(t, "GET", "/v1/activities", "Host", "evil.example", "X-Forwarded-Host", "localhost", "Forwarded", "host=localhost")
	require.Equal(t, 403, status)
	status, _, _ = s.ask(t, "GET", "/v1/activities", "X-Forwarded-Host", "evil.example")
	require.Equal(t, 200, status)
	status, _ = s.askFor(t, "POST", "evil.example", "/v1/activities/cancel-pending")
	require.Equal(t, 403, status)
	active, err := s.c.CountActive(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, int64(1), active, "nothing was canceled")
}

// TestRemoteBehindAProxy: the log names who is behind a trusted proxy, and the connection itself where there is none.
func TestRemoteBehindAProxy(t *testing.T) {
	t.Parallel()
	logged := &logtest.Buffer{}
	s := setup(t, func(c *sidecar.Config) { c.Logger, c.TrustedProxies = logged.Logger(), []string{"127.0.0.1"} })
	status, _, _ := s.ask(t, "POST", "/v1/activities/cancel-pending", "X-Forwarded-For", "198.51.100.7")
	require.Equal(t, 422, status)
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "msg=audit who=anonymous remote=198.51.100.7 ") },
		patience, 10*time.Millisecond)

	alone := &logtest.Buffer{}
	s = start(t, s.db, func(c *sidecar.Config) { c.Logger = alone.Logger() })
	status, _, _ = s.ask(t, "POST", "/v1/activities/cancel-pending", "X-Forwarded-For", "198.51.100.7")
	require.Equal(t, 422, status)
	require.Eventually(t, func() bool { return strings.Contains(alone.String(), "msg=audit who=anonymous remote=127.0.0.1:") },
		patience, 10*time.Millisecond)
}
