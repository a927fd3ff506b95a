// Package ui holds the dashboard, the page that shows activities live, and serves it.
//
// dashboard/dist is the output of `make ui` from dashboard/. It is committed, so that building the program needs no Node.
//
// May import: the standard library.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed dashboard/dist
var dist embed.FS

// policy allows the page its own scripts and styles, and connections to its own host only. Text from the server is shown
// through textContent; trusted-types makes the browser enforce that.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is one file of the page, ready to be served.
type file struct {
	contentType string
	caching     string
	plain, gzip content
}

type content struct {
	body []byte
	etag string
}

// Handler serves the page at / and /activities, its files beside it, and the page again at /activities/{agent_id}, where the
// script shows that activity. A slash after these paths is redirected. Any other path is not found: a missing script must never be answered with HTML. All addresses in the page are
// relative, so that a proxy may serve it under a prefix that it strips.
func Handler() http.Handler {
	files := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")

		f, ok := files[fileOf(r.URL.Path)]
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case reads && isPageWithSlash(r.URL.Path):
			redirect(w, strings.TrimSuffix(r.URL.EscapedPath(), "/"), r.URL.RawQuery)
		case !ok:
			http.NotFound(w, r)
		case !reads:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			c := f.plain
			if takesGzip(r) {
				c = f.gzip
				h.Set("Content-Encoding", "gzip")
			}
			h.Set("Content-Type", f.contentType)
			h.Set("Cache-Control", f.caching)
			h.Set("ETag", c.etag)
			h.Set("Vary", "Accept-Encoding")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.body))
		}
	})
}

func isPageWithSlash(urlPath string) bool {
	page, ok := strings.CutSuffix(urlPath, "/")
	return ok && (page == "/activities" || fileOf(page) == deepPage)
}

// redirect leads to the page whose path was asked for with a slash at its end. The address is relative, because a proxy may have
// stripped a prefix, which http.Redirect does not allow.
func redirect(w http.ResponseWriter, page, query string) {
	to := "../" + path.Base(page)
	if query != "" {
		to += "?" + query
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusPermanentRedirect)
}

// deepPage is the key of the page as served at /activities/{agent_id}: one folder below its files.
const deepPage = "/activities/"

// fileOf returns the key in load for the file at a path.
func fileOf(urlPath string) string {
	if urlPath == "/" || urlPath == "/activities" {
		return "/index.html"
	}
	if id, ok := strings.CutPrefix(urlPath, deepPage); ok {
		if id == "" || strings.ContainsAny(id, "/.") {
			return ""
		}
		return deepPage
	}
	return urlPath
}

// takesGzip reports whether the answer may be compressed. Ranges apply to the uncompressed file.
func takesGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";")
		if name == "gzip" {
			return q != "q=0"
		}
	}
	return false
}

// load reads the files, by their URL path, and adds deepPage.
var load = sync.OnceValue(func() map[string]file {
	files := make(map[string]file)
	_ = fs.WalkDir(dist, "dashboard/dist", func(name string, d fs.DirEntry, _ error) error { // the embedded files exist
		if d.IsDir() {
			return nil
		}
		body, _ := dist.ReadFile(name)
		at := strings.TrimPrefix(name, "dashboard/dist")
		files[at] = newFile(at, body)
		if at == "/index.html" {
			files[deepPage] = newFile(at, bytes.ReplaceAll(body, []byte(`="./`), []byte(`="../`)))
		}
		return nil
	})
	return files
})

func newFile(at string, body []byte) file {
	f := file{contentType: contentType(at), caching: "no-cache", plain: newContent(body), gzip: newContent(compress(body))}
	if strings.HasPrefix(at, "/assets/") { // named after their content; browsers ask for the others again, so that an upgrade shows
		f.caching = "public, max-age=31536000, immutable"
	}
	return f
}

func newContent(body []byte) content {
	sum := sha256.Sum256(body)
	return content{body: body, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a valid level
	_, _ = w.Write(body)                                  // writes to memory do not fail
	_ = w.Close()
	return b.Bytes()
}

// contentType uses a table of its own: package mime asks the machine, and machines differ.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
