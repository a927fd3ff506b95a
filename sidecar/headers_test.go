package sidecar_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// TestSecurityHeaders: every answer has them, whatever it is of, good or bad. Only the page may run anything, and that
// only from its own files.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Pprof = true })
	id := s.create(t)
	ask := func(method, path string, header ...string) http.Header {
		request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		require.NoError(t, err)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		return response.Header
	}
	pages := map[string]http.Header{"/": nil, "/favicon.svg": nil, "/activities/" + id.String(): nil, "/nowhere": nil}
	for path := range pages {
		pages[path] = ask("GET", path)
	}
	others := map[string]http.Header{
		"list":    ask("GET", "/v1/activities"),
		"missing": ask("GET", "/v1/activities/"+uuid.NewString()),
		"route":   ask("GET", "/v1/nothing"),
		"invalid": ask("GET", "/v1/activities?page=x"),
		"method":  ask("DELETE", "/v1/stats"),
		"origin":  ask("POST", "/v1/activities", "Origin", "https://example.com"),
		"feed":    ask("GET", "/v1/feed"),
		"foreign": ask("GET", "/v1/feed/"+id.String(), "Origin", "https://example.com"),
		"events":  ask("GET", "/v1/feed/"+id.String(), "Accept", "text/event-stream"),
		"health":  ask("GET", "/healthz"),
		"ready":   ask("POST", "/readyz"),
		"metrics": ask("GET", "/metrics"),
		"openapi": ask("GET", "/openapi.json"),
		"pprof":   ask("GET", "/debug/pprof/"),
	}
	for name, h := range others {
		policy := strings.Split(h.Get("Content-Security-Policy"), "; ")
		require.Contains(t, policy, "default-src 'none'", name)
		require.NotContains(t, h.Get("Content-Security-Policy"), "script-src", name)
		require.Equal(t, "no-store", h.Get("Cache-Control"), name)
		pages[name] = h
	}
	for name, h := range pages {
		policy := strings.Split(h.Get("Content-Security-Policy"), "; ")
		require.Contains(t, policy, "default-src 'none'", name)
		require.Contains(t, policy, "frame-ancestors 'none'", name)
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", name)
		loadable := "same-origin"
		if name == "health" {
			loadable = "cross-origin" // a page of any origin may find out that the server answers
		}
		for header, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": loadable,
		} {
			require.Equal(t, []string{value}, h.Values(header), "%s of %s", header, name)
		}
		require.Empty(t, h.Get("Strict-Transport-Security"), "without TLS it would be a promise of others")
		require.Empty(t, h.Get("Server"), name)
	}
}
