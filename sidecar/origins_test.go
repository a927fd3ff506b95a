package sidecar_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/sidecar"
)

// mayConnect reports whether a page of an origin gets a WebSocket.
func (s *service) mayConnect(t *testing.T, origin string) bool {
	t.Helper()
	ws, resp, err := dial(s.url, "/v1/feed", http.Header{"Origin": {origin}})
	require.NotNil(t, resp)
	_ = resp.Body.Close()
	if err != nil {
		require.Equal(t, 403, resp.StatusCode)
		return false
	}
	_ = ws.Close()
	return true
}

// mayRead reports whether a page of an origin may read an answer.
func (s *service) mayRead(t *testing.T, origin string) bool {
	t.Helper()
	status, header, _ := s.ask(t, "GET", "/v1/stats", "Origin", origin, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 200, status)
	return header.Get("Access-Control-Allow-Origin") == origin
}

// mayWrite reports whether a page of an origin may change something.
func (s *service) mayWrite(t *testing.T, origin string) bool {
	t.Helper()
	asked, _, _ := s.ask(t, "OPTIONS", "/v1/activities/x/cancel", "Origin", origin, "Access-Control-Request-Method", "POST")
	status, _, _ := s.ask(t, "POST", "/v1/activities/x/cancel", "Origin", origin, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, asked == 204, status == 422, "the question before the request and the request itself")
	return status == 422
}

// TestAppOrigins: pages of an application's own scheme, and of a wildcard, use every door as those of the web do.
func TestAppOrigins(t *testing.T) {
	t.Parallel()
	named := []string{"tauri://localhost", "capacitor://localhost", "vscode-webview://1k2abc", "app://obsidian.md", "chrome-extension://abcdefghijklmnop"}
	s := setup(t, func(c *sidecar.Config) {
		c.AllowOrigins = append(named, "https://*.example.com", "https://app.example.org:443")
	})
	for _, origin := range append(named, "https://a.example.com", "https://app.example.org") {
		require.True(t, s.mayConnect(t, origin), origin)
		require.True(t, s.mayRead(t, origin), origin)
		require.True(t, s.mayWrite(t, origin), origin)
	}
	for _, origin := range []string{
		"tauri://evil", "tauri://localhost:1", "vscode-webview://other", "chrome-extension://other", "https://example.com", "https://a.b.example.com",
		"http://a.example.com", "https://localhost", "null", "http://localhost:3000",
	} {
		require.False(t, s.mayConnect(t, origin), origin)
		require.False(t, s.mayRead(t, origin), origin)
		require.False(t, s.mayWrite(t, origin), origin)
	}
}

// TestRefusedOriginIsLoggedOnce: with what to do, whichever door a page comes to, and however often.
func TestRefusedOriginIsLoggedOnce(t *testing.T) {
	t.Parallel()
	logged := &logtest.Buffer{}
	s := setup(t, func(c *sidecar.Config) { c.Logger, c.Insecure = logged.Logger(), true })
	lines := func(of string) (n int) {
		for line := range strings.Lines(logged.String()) {
			if strings.Contains(line, of) {
				require.Contains(t, line, "--allow-origin")
				n++
			}
		}
		return n
	}
	const feed, read, write = "https://feed.example", "vscode-webview://1k2abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq", "https://write.example"
	for range 3 {
		require.False(t, s.mayConnect(t, feed))
		require.False(t, s.mayRead(t, read))
		require.False(t, s.mayWrite(t, write))
		status, _, _ := s.ask(t, "GET", "/", "Host", "name.example")
		require.Equal(t, 403, status)
	}
	for _, of := range []string{"origin=" + feed, "origin=" + read, "origin=" + write, "host=name.example"} {
		require.Equal(t, 1, lines(of+" "), "%s in %s", of, logged)
	}
	require.True(t, s.mayRead(t, "") && s.mayConnect(t, s.url), "a page of the own origin, and a program")
	before := strings.Count(logged.String(), "\n")
	for n := range 300 {
		s.ask(t, "GET", "/v1/stats", "Origin", "https://"+strings.Repeat("x", n)+".example")
	}
	require.Less(t, strings.Count(logged.String(), "\n")-before, 100, "a client can send any number of origins")
}

// TestLocalOriginsAreAllowed where that is asked for, as agentexec dev does.
func TestLocalOriginsAreAllowed(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.AllowLocalOrigins = true })
	for _, origin := range []string{"http://localhost:3000", "http://127.0.0.1:5173", "https://[::1]"} {
		require.True(t, s.mayConnect(t, origin) && s.mayRead(t, origin) && s.mayWrite(t, origin), origin)
	}
	require.False(t, s.mayConnect(t, "http://evil.example") || s.mayRead(t, "http://evil.example") || s.mayWrite(t, "http://evil.example"))
}
