package sidecar_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// noRedirects asks as a client that shows a redirect in place of following it.
var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// redirected returns the Location of an answer, "" where it is no redirect.
func redirected(t *testing.T, url string, headers ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := noRedirects.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	if response.StatusCode/100 == 3 {
		require.Equal(t, http.StatusTemporaryRedirect, response.StatusCode)
	}
	return response.Header.Get("Location")
}

// shownAt returns the prefix of the links that a request is answered with: of the API's description, and of a redirect.
func (s *service) shownAt(t *testing.T, base string, headers ...string) string {
	t.Helper()
	status, _, body := s.ask(t, "GET", base+"/openapi.json", headers...)
	require.Equal(t, 200, status)
	var document struct {
		OpenAPI string `json:"openapi"`
		Servers []struct {
			URL string `json:"url"`
		} `json:"servers"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &document), body)
	require.Equal(t, "3.1.0", document.OpenAPI)
	prefix := ""
	if len(document.Servers) > 0 {
		prefix = document.Servers[0].URL
	}
	require.Equal(t, prefix+"/v1/stats?a=b", redirected(t, s.url+base+"//v1/./stats?a=b", headers...))
	return prefix
}

// TestBasePath: the service answers below its base path and at the root, and its links have the base path.
func TestBasePath(t *testing.T) {
	t.Parallel()
	var url string
	s := setup(t, func(c *sidecar.Config) {
		c.BasePath = "/tools/agentexec/"
		ready := c.OnReady
		c.OnReady = func(at string) { url = at; ready(strings.TrimSuffix(at, "/tools/agentexec")) }
	})
	require.Equal(t, s.url+"/tools/agentexec", url)
	s.awaitReadiness(t, 200, "healthy")
	id := s.create(t, "two")
	for _, base := range []string{"", "/tools/agentexec"} {
		for _, path := range []string{"/", "/activities", "/activities/" + id.String(), "/v1/activities/" + id.String(), "/readyz", "/metrics"} {
			status, _, _ := s.ask(t, "GET", base+path)
			require.Equal(t, 200, status, base+path)
		}
		at := &service{url: s.url + base}
		so := at.open(t)
		so.subscribe(t, id, 0)
		require.Equal(t, "snapshot", so.next(t).Type)
		require.Equal(t, "/tools/agentexec", s.shownAt(t, base), base)
		created, err := http.Post(s.url+base+"/v1/activities", "application/json", strings.NewReader(`{"task_name": "research"}`))
		require.NoError(t, err)
		require.NoError(t, created.Body.Close())
		require.Equal(t, 201, created.StatusCode)
		require.Regexp(t, `^/tools/agentexec/v1/activities/[0-9a-f-]{36}$`, created.Header.Get("Location"))
	}
	require.Equal(t, "/tools/agentexec/?status=ERROR", redirected(t, s.url+"/tools/agentexec?status=ERROR"))
	for _, path := range []string{"/tools", "/tools/", "/tools/agentexecutor/", "/agentexec/", "/tools/agentexec/tools/agentexec/"} {
		status, _, _ := s.ask(t, "GET", path)
		require.Equal(t, 404, status, path)
	}
}

// TestForwardedPrefix: the X-Forwarded-Prefix of a trusted proxy is the prefix of links, and nothing else in it is.
func TestForwardedPrefix(t *testing.T) {
	t.Parallel()
	const header = "X-Forwarded-Prefix"
	trusting := setup(t, func(c *sidecar.Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	for value, prefix := range map[string]string{
		"/agentexec": "/agentexec", "/agentexec/": "/agentexec", "/a/b.c/d_e~f-1": "/a/b.c/d_e~f-1", "/": "", "": "",
		"agentexec": "", "//evil.example": "", "/a//b": "", "/..": "", "/a/../b": "", "/.a": "", `/a"b`: "", "/a'b": "", "/a<b": "",
		"/a b": "", "/a\tb": "", `/\evil.example`: "", "/a%2fb": "", "/a?b": "", "/a#b": "", "/a;b": "", "/a, /b": "", "https://evil.example": "",
		"/a@b": "", "/a:b": "", "/\u00e4": "", "/" + strings.Repeat("a", 200): "", "/" + strings.Repeat("a", 199): "/" + strings.Repeat("a", 199),
	} {
		require.Equal(t, prefix, trusting.shownAt(t, "", header, value), "%q", value)
	}
	require.Equal(t, "/v1/stats", redirected(t, trusting.url+"//v1/stats", header, "/a", header, "/b"), "two of them")

	require.Empty(t, setup(t).shownAt(t, "", header, "/agentexec"), "no proxy is trusted")
	other := setup(t, func(c *sidecar.Config) { c.TrustedProxies = []string{"192.0.2.1"} })
	require.Empty(t, other.shownAt(t, "", header, "/agentexec"), "this one is not trusted")

	both := setup(t, func(c *sidecar.Config) {
		c.TrustedProxies, c.BasePath = []string{"127.0.0.1"}, "/base"
		ready := c.OnReady
		c.OnReady = func(at string) { ready(strings.TrimSuffix(at, "/base")) }
	})
	require.Equal(t, "/base", both.shownAt(t, ""))
	require.Equal(t, "/outer", both.shownAt(t, "", header, "/outer"), "what the proxy removed is known")
	require.Equal(t, "/outer/base", both.shownAt(t, "/base", header, "/outer"), "it removed one and left the other")
	require.Equal(t, "/outer/base/", redirected(t, both.url+"/base", header, "/outer"))
}

func TestBasePathIsChecked(t *testing.T) {
	t.Parallel()
	for text, base := range map[string]string{"": "", "/": "", "/a": "/a", "/a/": "/a", "/a/b.c": "/a/b.c", "/tools/activities": "/tools/activities"} {
		clean, err := sidecar.CleanBasePath(text)
		require.NoError(t, err, text)
		require.Equal(t, base, clean)
	}
	for _, text := range []string{"a", "//", "//a", "/a//b", "/a/..", "/./a", "/a b", `/a"`, "/a?b", "/a%20", "/v1", "/activities/x", "/healthz", "https://a"} {
		_, err := sidecar.CleanBasePath(text)
		require.ErrorContains(t, err, "base path", text)
		_, err = sidecar.New(sidecar.Config{DatabaseURL: "postgres://127.0.0.1/x", BasePath: text})
		require.ErrorContains(t, err, "base path", text)
	}
}
