package access

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// The requests that are answered by their Host while no token is needed. A page can make a name of its own lead to any
// address (DNS rebinding): it is then of the same origin as the service, and could see and change everything. It cannot
// do that with an IP address, with localhost, or with a name that is not its own.
const (
	refusedHostOfMachine = "without authentication this serves only its own machine, as 127.0.0.1 or localhost; " +
		"for a proxy in front of it, name its origin with --allow-origin, and better turn authentication on"
	refusedHostOfNetwork = "without authentication this answers only to an IP address or localhost; " +
		"for a name that leads here, give its origin with --allow-origin, and better turn authentication on"
)

// guardHost refuses requests for a host that is not this machine's, whatever they ask for. With anyAddress (--insecure)
// each IP address is this machine's. A host whose origin is allowed passes: a proxy may pass the Host on.
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

// isOwnHost reports whether a Host header is localhost, an address of this machine, or with anyAddress any IP address.
// No Host at all is no browser's.
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

// bracketed is a host as it stands in a URL: net.SplitHostPort takes the brackets of an IPv6 address away.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
