package sidecar

import (
	"fmt"
	"net"
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

// onThisMachine refuses requests for another host than this machine, or one whose origin is allowed by name (a proxy may pass
// the Host on). Without it a page could have its own name lead to loopback (DNS rebinding), and would be of the same
// origin as we are; where nobody needs a token it could then do everything.
func (o origins) onThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if r.Host == "" || isLoopback(strings.ToLower(strings.Trim(host, "[]"))) || o.names("http://"+r.Host) || o.names("https://"+r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		writeProblem(w, http.StatusForbidden, "", "without authentication this serves only its own machine, as 127.0.0.1 or "+
			"localhost; for a proxy in front of it, name its origin with --allow-origin, and better turn authentication on")
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
