package sidecar

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/agentexec/agentexec/wsfeed"
)

// anyOrigin allows all of them.
const anyOrigin = "*"

// origins are the pages of other origins that may use the service from a browser, beside those of its own.
type origins []string

// readOrigins checks what was configured. Any origin is fine where a token is needed, for a page does not have it by
// itself; without authentication any page somebody opens could read and cancel everything.
func readOrigins(texts []string, authenticated bool) (origins, error) {
	var o origins
	for _, text := range texts {
		u, err := url.Parse(text)
		switch {
		case text == anyOrigin && authenticated:
		case text == anyOrigin:
			return nil, fmt.Errorf("allowed origin %s: only where authentication is on; else name the origins", anyOrigin)
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || text != u.Scheme+"://"+u.Host:
			return nil, fmt.Errorf("allowed origin %q: want scheme://host or scheme://host:port, such as https://app.example.com", text)
		}
		o = append(o, strings.ToLower(text))
	}
	return o, nil
}

// names reports whether an origin is allowed by name.
func (o origins) names(origin string) bool {
	return origin != "" && (slices.Contains(o, anyOrigin) || slices.Contains(o, strings.ToLower(origin)))
}

// allow reports whether a browser's page may connect. It is wsfeed.Config.CheckOrigin.
func (o origins) allow(r *http.Request) bool {
	return wsfeed.SameOrigin(r) || o.names(r.Header.Get("Origin"))
}

// protected refuses what a page of a foreign origin has a browser send: a POST without a body goes to any address,
// whoever's page asks for it, and on loopback there may be no authentication that stops it. Programs that are no
// browsers are not concerned.
func (o origins) protected(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "", "a page of another origin may not do this")
	}))
	guarded := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.names(r.Header.Get("Origin")) {
			next.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// shared tells browsers that pages of allowed origins may read the answers (CORS), and answers the question that they
// ask before they send a token. There are no cookies, so there are no credentials to allow.
func (o origins) shared(next http.Handler) http.Handler {
	if len(o) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); o.names(origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Location, Retry-After")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
