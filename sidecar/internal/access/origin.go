package access

import (
	"net/http"
	"slices"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
	"github.com/agentexec/agentexec/wsfeed"
)

// anyOrigin allows all of them.
const anyOrigin = "*"

// origins are the pages of other origins that may use the service from a browser, beside those of its own.
type origins struct {
	allowed  []originPattern
	any      bool
	local    bool            // those of localhost, whatever the port
	refusals *originRefusals // nil where refusals are not logged
}

// names reports whether an origin, as a browser sends it, is allowed beside the service's own.
func (o *origins) names(origin string) bool {
	switch {
	case origin == "":
		return false
	case o.any:
		return true
	}
	parsed, err := parseOrigin(origin)
	if err != nil {
		return false
	}
	return o.local && parsed.isLocal() || slices.ContainsFunc(o.allowed, func(p originPattern) bool { return p.matches(parsed) })
}

// allow reports whether a browser's page may connect. It is wsfeed.Config.CheckOrigin.
func (o *origins) allow(r *http.Request) bool {
	return wsfeed.SameOrigin(r) || o.names(r.Header.Get("Origin"))
}

// protected rejects requests that a page of a foreign origin has a browser send. A browser sends a POST without a body to
// any address, for any page, and on loopback there may be no authentication that stops it. Programs that are no browsers
// are not affected.
func (o *origins) protected(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, http.StatusForbidden, "", "a page of another origin may not do this; --allow-origin lets it in")
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
// ask before they send a token. There are no cookies, so there are no credentials to allow. Requests from a page of
// another origin are logged: the page itself is not told why it may not read the answer.
func (o *origins) shared(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		if o.any || o.local || len(o.allowed) > 0 {
			h.Add("Vary", "Origin")
		}
		switch {
		case o.names(origin):
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Location, Retry-After")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		case !wsfeed.SameOrigin(r):
			o.refusals.origin(r)
		}
		next.ServeHTTP(w, r)
	})
}
