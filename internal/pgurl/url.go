package pgurl

import (
	"net"
	"net/url"
	"strings"
)

// foreignSchemes are the schemes that an error may name. Any other could be the beginning of a password.
var foreignSchemes = []string{
	"jdbc", "mysql", "mariadb", "sqlite", "sqlite3", "mssql", "sqlserver", "oracle", "mongodb", "redis", "rediss", "http", "https",
	"file", "prisma", "prisma+postgres", "prisma+postgresql", "cockroachdb", "pgsql", "psql", "pg", "ecto", "r2dbc", "odbc",
}

// readURL reads SCHEME://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?NAME=VALUE&...
func readURL(text string) (*given, error) {
	rest, err := cutScheme(text)
	if err != nil {
		return nil, err
	}
	authority, path, query := split(rest)
	if strings.Contains(rest, "#") || strings.Contains(path, "@") || strings.Contains(query, "@") && strings.Contains(authority, ":") {
		return nil, problem("a character in it must be percent-encoded: " + encodeHint)
	}
	g := &given{nameable: !strings.Contains(query, "@")}
	if err := g.readAuthority(authority); err != nil {
		return nil, err
	}
	database, err := url.PathUnescape(path)
	if err != nil {
		return nil, badEncoding()
	}
	if database != "" {
		g.set("database", database)
	}
	return g, g.readQuery(query)
}

// cutScheme returns the text after the scheme and "://". postgresql+DRIVER counts as postgresql.
func cutScheme(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	dialect, _, _ := strings.Cut(scheme, "+")
	if found && (dialect == "postgres" || dialect == "postgresql") && strings.IndexFunc(scheme, notInScheme) < 0 {
		return rest, nil
	}
	for _, foreign := range foreignSchemes {
		if scheme == foreign || strings.HasPrefix(scheme, foreign+":") {
			return "", problem("its scheme is " + foreign)
		}
	}
	if found {
		return "", problem("its scheme is neither postgres nor postgresql")
	}
	return "", problem("it is neither a URL nor keyword=value")
}

func notInScheme(r rune) bool { return !isNameRune(r) && r != '+' && r != '-' }

// split cuts the text after the scheme into its parts. path has no leading slash.
func split(rest string) (authority, path, query string) {
	rest, query, _ = strings.Cut(rest, "?")
	authority, path, _ = strings.Cut(rest, "/")
	return authority, path, query
}

func (g *given) readAuthority(authority string) error {
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		hosts = authority[at+1:]
		for _, part := range []struct{ name, text string }{{"user", user}, {"password", password}} {
			value, err := url.PathUnescape(part.text)
			if err != nil {
				return badEncoding()
			}
			if value != "" {
				g.set(part.name, value)
			}
		}
	}
	if hosts == "" {
		return nil
	}
	var names, ports []string
	for address := range strings.SplitSeq(hosts, ",") {
		host, port, ok := cutPort(address)
		if !ok {
			return problem("its host or port cannot be read: " + encodeHint)
		}
		names, ports = append(names, host), append(ports, port)
	}
	if host := strings.Join(names, ","); host != "" {
		g.set("host", host)
	}
	if port := strings.Join(ports, ","); strings.Trim(port, ",") != "" {
		g.set("port", port)
	}
	return nil
}

// cutPort splits HOST:PORT, both optional. A host may be an IPv6 address in brackets, or percent-encoded.
func cutPort(address string) (host, port string, ok bool) {
	host, port = address, ""
	if strings.HasPrefix(address, "[") {
		end := strings.IndexByte(address, ']')
		if end < 0 || address[end+1:] != "" && address[end+1] != ':' {
			return "", "", false
		}
		host, port = address[1:end], strings.TrimPrefix(address[end+1:], ":")
		name, _, _ := strings.Cut(host, "%")
		return host, port, net.ParseIP(name) != nil && isPort(port)
	}
	if colon := strings.IndexByte(address, ':'); colon >= 0 {
		host, port = address[:colon], address[colon+1:]
	}
	host, err := url.PathUnescape(host)
	return host, port, err == nil && isPort(port)
}

func isPort(text string) bool {
	return len(text) <= 5 && strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func (g *given) readQuery(query string) error {
	if query == "" {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return badEncoding()
		}
		// As in libpq, + is a plus sign and not a space.
		if value, err = url.PathUnescape(value); err != nil {
			return badEncoding()
		}
		if strings.ContainsRune(name+value, 0) {
			return problem("it holds a NUL character")
		}
		if isSecret(name) {
			g.nameable = false
		}
		g.set(name, value)
	}
	return nil
}

func badEncoding() error { return problem("its percent-encoding is broken: " + encodeHint) }
