package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// origin is an origin as a browser sends it, in lower case.
type origin struct {
	scheme, host, port string // port "" for the scheme's own
}

// originPattern is an allowed origin. With anyLabel, one more label stands before the host; without a host, that label is the
// whole host.
type originPattern struct {
	origin
	anyLabel bool
}

var (
	schemeSyntax = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	hostSyntax   = regexp.MustCompile(`^[a-z0-9_~-]+(\.[a-z0-9_~-]+)*\.?$`)
	// usualPorts are the default ports, which browsers leave out of an origin.
	usualPorts = map[string]string{"http": "80", "https": "443"}
	// noOrigins are schemes whose pages have no origin to name, or that no page has.
	noOrigins = []string{"about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"}
)

// parseOrigin reads scheme://host[:port]. The scheme is one of the web, or an application's own, such as tauri://localhost.
func parseOrigin(text string) (origin, error) {
	scheme, rest, found := strings.Cut(strings.ToLower(text), "://")
	switch {
	case !found || !schemeSyntax.MatchString(scheme):
		return origin{}, errors.New("want scheme://host or scheme://host:port, such as https://app.example.com or tauri://localhost")
	case slices.Contains(noOrigins, scheme):
		return origin{}, fmt.Errorf("a page of %s:// has no origin that can be named; those of the web begin with https:// or http://", scheme)
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return origin{}, err
	}
	if port == usualPorts[scheme] {
		port = ""
	}
	if bare, isIPv6 := strings.CutPrefix(host, "["); isIPv6 {
		ip, err := netip.ParseAddr(strings.TrimSuffix(bare, "]"))
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return origin{}, errors.New("the host is no IPv6 address")
		}
		host = "[" + ip.String() + "]"
	} else if !hostSyntax.MatchString(host) {
		return origin{}, errors.New("want scheme://host or scheme://host:port and nothing behind it, " +
			"the host as browsers write it (letters of other scripts as xn--...)")
	}
	return origin{scheme, host, port}, nil
}

func splitPort(hostport string) (host, port string, err error) {
	if at := strings.LastIndexByte(hostport, ':'); at > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:at], hostport[at+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", "", errors.New("the port must be a number from 1 to 65535")
		}
		return host, port, nil
	}
	return hostport, "", nil
}

// parsePattern reads an allowed origin: one origin, or one with a wildcard for the first label (https://*.example.com).
func parsePattern(text string) (originPattern, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	host, isOpen := strings.CutPrefix(rest, "*")
	if !isOpen {
		if strings.Contains(text, "*") {
			return originPattern{}, errWildcard
		}
		o, err := parseOrigin(text)
		return originPattern{origin: o}, err
	}
	isWeb := usualPorts[strings.ToLower(scheme)] != ""
	if host == "" && !isWeb { // vscode-webview://*: the host is a number that is not known beforehand
		o, err := parseOrigin(scheme + "://host")
		o.host = ""
		return originPattern{o, true}, err
	}
	host, isLabel := strings.CutPrefix(host, ".")
	if !isLabel || strings.Contains(host, "*") {
		return originPattern{}, errWildcard
	}
	o, err := parseOrigin(scheme + "://" + host)
	if err != nil {
		return originPattern{}, err
	}
	labels := strings.Split(strings.TrimSuffix(o.host, "."), ".")
	last := labels[len(labels)-1]
	if _, err := strconv.Atoi(last); err == nil || strings.HasPrefix(o.host, "[") || isWeb && len(labels) < 2 && last != "localhost" {
		return originPattern{}, errors.New("too much would match: behind *. must stand a domain of your own, such as example.com")
	}
	return originPattern{o, true}, nil
}

var errWildcard = errors.New("a * may only stand for the first label of the host, as in https://*.example.com")

// matches reports whether an origin matches the pattern: https://*.example.com matches https://a.example.com, but neither
// https://example.com nor https://a.b.example.com.
func (p originPattern) matches(o origin) bool {
	if !p.anyLabel {
		return p.origin == o
	}
	label, rest, _ := strings.Cut(o.host, ".")
	return label != "" && !strings.HasPrefix(label, "[") && p.origin == origin{o.scheme, rest, o.port}
}

// isLocal reports whether the origin is of a web server on this machine.
func (o origin) isLocal() bool {
	ip := net.ParseIP(strings.Trim(o.host, "[]"))
	return usualPorts[o.scheme] != "" && (o.host == "localhost" || ip.IsLoopback())
}

// CheckOrigins returns an error where configured origins are invalid.
func CheckOrigins(texts []string, authenticated bool) error {
	_, err := readOrigins(texts, authenticated)
	return err
}

// readOrigins checks the configured origins. Any origin is safe where a token is needed, since a page does not have one by
// itself. Without authentication, any page in a browser could read and cancel everything.
func readOrigins(texts []string, authenticated bool) (*origins, error) {
	o := &origins{}
	for _, text := range texts {
		if text == anyOrigin {
			if !authenticated {
				return nil, fmt.Errorf("allowed origin %s: only where authentication is on; else name the origins", anyOrigin)
			}
			o.any = true
			continue
		}
		pattern, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("allowed origin %q: %w", text, err)
		}
		o.allowed = append(o.allowed, pattern)
	}
	return o, nil
}
