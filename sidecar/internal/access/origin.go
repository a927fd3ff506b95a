package access

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
	"github.com/agentexec/agentexec/wsfeed"
)

// anyOrigin allows all origins.
const anyOrigin = "*"

// origins are the other origins, beside the service's own, whose pages may use it from a browser.
type origins struct {
	allowed  []originPattern
	any      bool
	local    bool            // origins of localhost, on any port
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

// protected rejects requests that a page of a foreign origin makes a browser send. A browser sends a POST without a body to
// any address, for any page; on loopback there may be no authentication that prevents it. Clients other than browsers are not
// affected.
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

// shared tells browsers that pages of allowed origins may read the answers (CORS), and answers the preflight request that they
// send before a token. There are no cookies, so there are no credentials to allow. Requests from a page of another origin are
// logged, because the page does not learn why it may not read the answer.
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

// While no token is needed, a request is answered only for some Hosts. A page can make its own name resolve to any address
// (DNS rebinding): it is then of the same origin as the service, and could see and change everything. It cannot do that with
// an IP address, with localhost, or with a name that is not its own.
const (
	refusedHostOfMachine = "without authentication this serves only its own machine, as 127.0.0.1 or localhost; " +
		"for a proxy in front of it, name its origin with --allow-origin, and better turn authentication on"
	refusedHostOfNetwork = "without authentication this answers only to an IP address or localhost; " +
		"for a name that leads here, give its origin with --allow-origin, and better turn authentication on"
)

// guardHost rejects requests for a host that is not this machine's, on every path. With anyAddress (--insecure) each IP
// address is this machine's. A host whose origin is allowed passes, since a proxy may forward the Host.
func (o *origins) guardHost(next http.Handler, anyAddress bool) http.Handler {
	refused := refusedHostOfMachine
	if anyAddress {
		refused = refusedHostOfNetwork
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isOwnHost(r.Host, anyAddress) || o.names("http://"+r.Host) || o.names("https://"+r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		o.refusals.host(r)
		problem.Write(w, http.StatusForbidden, "", refused)
	})
}

// isOwnHost reports whether a Host header is localhost, an address of this machine, or with anyAddress any IP address. A
// request without a Host comes from no browser.
func isOwnHost(host string, anyAddress bool) bool {
	if host == "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = bracketed(name)
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	bare, isBracketed := strings.CutPrefix(strings.TrimSuffix(host, "]"), "[")
	ip, err := netip.ParseAddr(bare)
	return err == nil && ip.Is4() != isBracketed && (anyAddress || ip.Unmap().IsLoopback())
}

// bracketed returns a host as it stands in a URL: net.SplitHostPort removes the brackets of an IPv6 address.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
