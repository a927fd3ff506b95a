package ui_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/ui"
)

const agentID = "6f1de0c4-5d0b-4d3a-9a53-0e1f6c5b7a11"

// answer is what the handler said.
type answer struct {
	status int
	header http.Header
	body   string
}

// request asks the handler; headers are name, value, name, value.
func request(t *testing.T, method, target string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	ui.Handler().ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

const dist = "dashboard/dist"

// source is a file of the page as it lies in the repository.
func source(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(dist + "/" + name)
	require.NoError(t, err)
	return string(b)
}

// asset is the file with this extension that every page loads. It is named after its content.
func asset(t *testing.T, ext string) string {
	t.Helper()
	names, err := fs.Glob(os.DirFS(dist), "assets/index-*"+ext)
	require.NoError(t, err)
	require.Len(t, names, 1)
	return names[0]
}

func TestPaths(t *testing.T) {
	t.Parallel()
	const html = "text/html; charset=utf-8"
	script, style := asset(t, ".js"), asset(t, ".css")
	for _, c := range []struct{ target, file, contentType string }{
		{"/", "index.html", html},
		{"/?status=ERROR", "index.html", html},
		{"/index.html", "index.html", html},
		{"/activities", "index.html", html},
		{"/activities?status=ERROR", "index.html", html},
		{"/activities/" + agentID, "index.html", html},
		{"/activities/no-such-thing", "index.html", html},
		{"/" + script, script, "text/javascript; charset=utf-8"},
		{"/" + style, style, "text/css; charset=utf-8"},
		{"/favicon.svg", "favicon.svg", "image/svg+xml"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := request(t, method, c.target)
			require.Equal(t, http.StatusOK, r.status, c.target)
			require.Equal(t, c.contentType, r.header.Get("Content-Type"), c.target)
			want := source(t, c.file)
			if strings.HasPrefix(c.target, "/activities/") {
				want = strings.ReplaceAll(want, `="./`, `="../`)
			}
			require.Equal(t, strconv.Itoa(len(want)), r.header.Get("Content-Length"), c.target)
			if method == http.MethodHead {
				want = ""
			}
			require.Equal(t, want, r.body, c.target)
		}
	}
}

// TestPathsWithASlash: a page with a slash after its path leads to the page, also under a prefix that a proxy strips.
func TestPathsWithASlash(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/activities/":                                "../activities",
		"/activities/?status=ERROR&q=a%20b":           "../activities?status=ERROR&q=a%20b",
		"/activities/" + agentID + "/":                "../" + agentID,
		"/activities/" + agentID + "/?status=RUNNING": "../" + agentID + "?status=RUNNING",
		"/activities/a%3Ab/":                          "../a%3Ab", // as it is, ":" is no part of a relative address
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := request(t, method, target)
			require.Equal(t, http.StatusPermanentRedirect, a.status, target)
			require.Equal(t, want, a.header.Get("Location"), target)
			requireGuarded(t, a)
		}
		require.Equal(t, http.StatusNotFound, request(t, http.MethodPost, target).status, target)
	}
}

func TestNotFoundIsNeverThePage(t *testing.T) {
	t.Parallel()
	script := asset(t, ".js")
	for _, target := range []string{
		"/missing.js", "/assets", "/assets/", "/assets/index.js", "/assets/index-AAAAAAAA.js", "/" + script + "/", "/" + path.Base(script),
		"/dashboard/dist/" + script, "/dist/index.html", "/src/main.tsx", "/index", "/favicon.ico", "/robots.txt",
		"/activities/app.js", "/activities/app.js/", "/activities//", "/activities/" + agentID + "//", "/activities/" + agentID + "/" + script,
		"/activities/../embed.go", "/../embed.go", "/%2e%2e/embed.go", "/embed.go",
		"/v1", "/v1/", "/v1/activities", "/v1/feed", "/v1/no-such-thing", "/v1/app.js",
	} {
		r := request(t, http.MethodGet, target)
		require.Equal(t, http.StatusNotFound, r.status, target)
		require.Equal(t, "text/plain; charset=utf-8", r.header.Get("Content-Type"), target)
		require.NotContains(t, r.body, "<", target)
		requireGuarded(t, r)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		for _, target := range []string{"/", "/" + asset(t, ".js"), "/activities/" + agentID} {
			r := request(t, method, target)
			require.Equal(t, http.StatusMethodNotAllowed, r.status, method)
			require.Equal(t, "GET, HEAD", r.header.Get("Allow"))
			require.NotContains(t, r.body, "<", method)
			requireGuarded(t, r)
		}
	}
}

func requireGuarded(t *testing.T, r answer) {
	t.Helper()
	policy := r.header.Get("Content-Security-Policy")
	for _, rule := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'", "base-uri 'none'",
		"form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	} {
		require.Contains(t, strings.Split(policy, "; "), rule)
	}
	require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-referrer", r.header.Get("Referrer-Policy"))
	require.Equal(t, "same-origin", r.header.Get("Cross-Origin-Opener-Policy"))
}

func TestCaching(t *testing.T) {
	t.Parallel()
	etags := make(map[string]bool)
	for target, caching := range map[string]string{
		"/":                    "no-cache", // an upgrade shows at the next load
		"/favicon.svg":         "no-cache",
		"/" + asset(t, ".js"):  "public, max-age=31536000, immutable",
		"/" + asset(t, ".css"): "public, max-age=31536000, immutable",
	} {
		for _, coding := range []string{"", "gzip"} {
			r := request(t, http.MethodGet, target, "Accept-Encoding", coding)
			require.Equal(t, caching, r.header.Get("Cache-Control"), target)
			require.Equal(t, "Accept-Encoding", r.header.Get("Vary"))
			requireGuarded(t, r)
			etag := r.header.Get("ETag")
			require.Regexp(t, `^"[0-9a-f]{24}"$`, etag)
			require.False(t, etags[etag], "each content has an ETag of its own")
			etags[etag] = true

			r = request(t, http.MethodGet, target, "Accept-Encoding", coding, "If-None-Match", etag)
			require.Equal(t, http.StatusNotModified, r.status)
			require.Equal(t, etag, r.header.Get("ETag"))
			require.Empty(t, r.body)
			r = request(t, http.MethodGet, target, "Accept-Encoding", coding, "If-None-Match", `"older"`)
			require.Equal(t, http.StatusOK, r.status)
		}
	}
	require.Empty(t, request(t, http.MethodGet, "/assets/index-AAAAAAAA.js").header.Get("Cache-Control"), "that of another version may come")
	require.Equal(t, "no-cache", request(t, http.MethodGet, "/activities/"+agentID).header.Get("Cache-Control"))
}

func TestCompression(t *testing.T) {
	t.Parallel()
	target := "/" + asset(t, ".css")
	want := source(t, asset(t, ".css"))
	for accept, compressed := range map[string]bool{
		"": false, "identity": false, "br": false, "gzip;q=0": false, "gzip": true, "br, gzip": true, "deflate, gzip;q=0.5, br": true,
	} {
		r := request(t, http.MethodGet, target, "Accept-Encoding", accept)
		require.Equal(t, compressed, r.header.Get("Content-Encoding") == "gzip", accept)
		if compressed {
			r.body = unzip(t, r.body)
		}
		require.Equal(t, want, r.body, accept)
	}
	r := request(t, http.MethodGet, target, "Accept-Encoding", "gzip", "Range", "bytes=0-4")
	require.Equal(t, http.StatusPartialContent, r.status)
	require.Empty(t, r.header.Get("Content-Encoding"))
	require.Equal(t, want[:5], r.body)
}

func unzip(t *testing.T, body string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(b)
}

// The page is one that loads at once: what a browser receives of it.
func TestSize(t *testing.T) {
	t.Parallel()
	for target, most := range map[string]int{"/" + asset(t, ".js"): 120_000, "/" + asset(t, ".css"): 12_000, "/": 1_000} {
		size := len(request(t, http.MethodGet, target, "Accept-Encoding", "gzip").body)
		require.LessOrEqual(t, size, most, target)
		t.Logf("%s: %d bytes", target, size)
	}
}

// Every file that the page loads exists, on this host and at a relative address. No other file is embedded.
func TestReferences(t *testing.T) {
	t.Parallel()
	index := source(t, "index.html")
	loaded := map[string]bool{"/index.html": true}
	for page, up := range map[string]string{"/": "./", "/activities": "./", "/activities/" + agentID: "../"} {
		addresses := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(request(t, http.MethodGet, page).body, -1)
		require.NotEmpty(t, addresses)
		for _, match := range addresses {
			require.True(t, strings.HasPrefix(match[1], up), "%s is relative, on %s", match[1], page)
			target := path.Join(path.Dir(page), match[1])
			if !strings.HasPrefix(target, "/v1/") {
				require.Equal(t, http.StatusOK, request(t, http.MethodGet, target).status, target)
				loaded[target] = true
			}
		}
	}
	require.NotContains(t, index, "://")
	require.NotRegexp(t, `<script(?:>| [^>]*[^/]>[^<])`, index, "the policy takes no script that stands in the page")
	require.NotContains(t, source(t, asset(t, ".css")), "url(")
	scripts, err := fs.Glob(os.DirFS(dist), "assets/*.js")
	require.NoError(t, err)
	require.NoError(t, fs.WalkDir(os.DirFS(dist), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			byScript := slices.ContainsFunc(scripts, func(script string) bool {
				return script != name && strings.Contains(source(t, script), path.Base(name))
			})
			require.True(t, loaded["/"+name] || byScript, "%s is loaded by the page or a script", name)
		}
		return err
	}))
}
