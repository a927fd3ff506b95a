package edge

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// prefixHeader names the path that a proxy has removed from the front of a request's path.
const prefixHeader = "X-Forwarded-Prefix"

// maxPrefix is the most bytes of a path prefix.
const maxPrefix = 200

// validPrefix has no empty segment, no segment that begins with a dot, and nothing that needs escaping in a URL, in HTML or in
// JSON.
var validPrefix = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// ParsePrefix returns a path prefix without a slash at the end, "" for the root. It reports false for a text that is not one.
func ParsePrefix(text string) (string, bool) {
	prefix := strings.TrimSuffix(text, "/")
	if prefix == "" {
		return "", true
	}
	return prefix, len(prefix) <= maxPrefix && validPrefix.MatchString(prefix)
}

// prefixKey is the context key of the part of the prefix that was removed before the request came here.
type prefixKey struct{}

// Mount serves next at the root and below base, so that a proxy may remove base from the path or leave it. The path base
// itself is redirected to base with a slash, because the addresses in the page are relative. trusted reports whether a request
// comes from a trusted proxy, whose X-Forwarded-Prefix names the prefix that it has removed.
func Mount(base string, trusted func(*http.Request) bool, next http.Handler) http.Handler {
	next = cleanPaths(next)
	below := http.StripPrefix(base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isBase := base != "" && r.URL.Path == base
		isBelow := base != "" && strings.HasPrefix(r.URL.Path, base+"/")
		removed := ""
		if values := r.Header.Values(prefixHeader); len(values) == 1 && trusted(r) {
			if prefix, ok := ParsePrefix(values[0]); ok {
				removed = prefix
			}
		}
		if removed == "" && !isBase && !isBelow {
			removed = base
		}
		if removed != "" {
			r = r.WithContext(context.WithValue(r.Context(), prefixKey{}, removed))
		}
		switch {
		case isBase:
			redirect(w, r, removed+base+"/")
		case isBelow:
			below.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// Prefix returns the path prefix under which a client reaches the service, "" for the root: what proxies have removed, and
// where http.StripPrefix mounts the service. RequestURI keeps the whole path.
func Prefix(r *http.Request) string {
	removed, _ := r.Context().Value(prefixKey{}).(string)
	whole, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return removed
	}
	mount, ok := strings.CutSuffix(whole.EscapedPath(), r.URL.EscapedPath())
	if !ok {
		return removed
	}
	return removed + mount
}

// cleanPaths redirects a path such as //v1/stats to its clean form. http.ServeMux does the same, but without the prefix.
func cleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		clean := path.Clean("/" + escaped)
		if clean != "/" && strings.HasSuffix(escaped, "/") {
			clean += "/"
		}
		if clean != escaped && r.Method != http.MethodConnect {
			redirect(w, r, Prefix(r)+clean)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// redirect keeps the method and the query.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}
