package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/wsfeed"
)

// DefaultAddr is the default listen address: on loopback, where no authentication is needed.
const DefaultAddr = "127.0.0.1:8484"

// Auth configures which tokens are valid. The zero value turns authentication off.
type Auth struct {
	// Secret is the key of HS256, HS384 and HS512. It should be as long as the hash: 32, 48 or 64 bytes.
	Secret string
	// KeyFile is a PEM file with the public key, or its certificate, for the other algorithms.
	KeyFile string
	// JWKSURL is the URL of a JSON Web Key Set with the public keys for the other algorithms.
	JWKSURL string
	// Algorithm is the only accepted algorithm. Default HS256 with a Secret; required without one.
	Algorithm string
	// Issuer and Audience, where set, must match those of the token.
	Issuer, Audience string
}

// Enabled reports whether authentication is wanted. It is also wanted where only the key is missing; New then returns an
// error. A service with an issuer set must not serve every client.
func (a Auth) Enabled() bool { return a != Auth{} }

// String says whether tokens are required. It omits the keys.
func (a Auth) String() string {
	if a.Enabled() {
		return "tokens required"
	}
	return "no tokens"
}

// GoString is String.
func (a Auth) GoString() string { return a.String() }

// MarshalText is String, so that a log in JSON has no secret either.
func (a Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// config returns a as an auth.Config.
func (a Auth) config(log *slog.Logger) auth.Config {
	return auth.Config{
		Secret: a.Secret, KeyFile: a.KeyFile, JWKSURL: a.JWKSURL, Algorithm: a.Algorithm, Issuer: a.Issuer, Audience: a.Audience, Logger: log,
	}
}

// Config configures a sidecar. Zero values take the defaults named.
type Config struct {
	// DatabaseURL is the URL of the Postgres to serve, in any form that libpq accepts. Required.
	DatabaseURL string
	// ListenURL is a direct connection for LISTEN and the tail, for a DatabaseURL that goes through a pooler in transaction
	// mode. Default: DatabaseURL.
	ListenURL string
	// PollOnly reads on a timer and never LISTENs.
	PollOnly bool
	// Schema is the schema's name. Default "agentexec".
	Schema string
	// Addr is the address to listen on, host:port; port 0 takes any. Default DefaultAddr.
	Addr string
	// NoListener makes Run open no port: the program serves Handler itself, with its own connection limits, time limits and
	// TLS. Addr, TLSCert and TLSKey are then not used.
	NoListener bool
	// Auth configures which tokens are valid, and turns authentication on where it names a key. Default: off.
	Auth Auth
	// AllowOrigins are the origins, beside the service's own, whose pages may use the service from a browser:
	// scheme://host[:port]. The scheme may be an application's own (tauri://localhost). The first label may be a wildcard
	// (https://*.example.com); with an application's scheme, the host may (vscode-webview://*). With authentication, "*" allows
	// any origin.
	AllowOrigins []string
	// AllowLocalOrigins allows pages of web servers on this machine: http and https at localhost, on any port.
	AllowLocalOrigins bool
	// Insecure allows an address that is not loopback without authentication. A request for a host name is then answered only
	// where the name is localhost or its origin is allowed.
	Insecure bool
	// Pprof serves Go's profiles under /debug/pprof/. They reveal internals of the program, memory included.
	Pprof bool
	// PoolSize is the most connections to Postgres for requests and the feed's reads. One half, rounded up, is for reads and
	// the feed; the other is for writes, which may wait for row locks. Each half has at least one. Three more connections are
	// for probes, LISTEN and the tail. Default: the pool_max_conns of DatabaseURL, else 16.
	PoolSize int
	// PollInterval is the longest time between two reads of the tail while something is watched, with or without wake-ups.
	// Default 2 s.
	PollInterval time.Duration
	// Limits bound the resources that clients may use.
	Limits Limits
	// TrustedProxies are the addresses and networks of trusted proxies. Their ProxyHeader names the client's address:
	// X-Forwarded-For (the default) or Forwarded. Name the one that the proxies append to, since a client can send both.
	TrustedProxies []string
	ProxyHeader    string
	// BasePath is the path prefix under which a proxy shows the service, such as "/agentexec". The service answers there and at
	// the root, so the proxy may remove the prefix or leave it. Links use it, unless the X-Forwarded-Prefix of a trusted proxy
	// names another. Leave it out where http.StripPrefix mounts Handler. Default "", the root.
	BasePath string
	// TLSCert and TLSKey are PEM files to serve TLS with. They are read again when they change, and on Reload. A pair that does
	// not match leaves the previous one in place.
	TLSCert, TLSKey string
	Reload          <-chan os.Signal
	// Feed bounds the live feed. The sidecar sets the fields that both share: the limits, the ring, Problem and Logger. Auth
	// decides which clients may connect; Authorize and Renew must be nil.
	Feed wsfeed.Config
	// Logger receives the messages for operators. Default slog.Default().
	Logger *slog.Logger
	// OnReady is called once, when the service answers requests, with its URL; "" with NoListener.
	OnReady func(url string)
}

func (c Config) withDefaults() (Config, error) {
	if c.DatabaseURL == "" {
		return c, errors.New("no database: set AGENTEXEC_DATABASE_URL or --database-url")
	}
	if c.ListenURL == "" {
		c.ListenURL = c.DatabaseURL
	}
	if c.Schema == "" {
		c.Schema = migrate.DefaultSchema
	}
	if !migrate.ValidName(c.Schema) {
		return c, fmt.Errorf("schema name %q is not a lower-case identifier", c.Schema)
	}
	if c.Addr == "" {
		c.Addr = DefaultAddr
	}
	if c.PoolSize < 0 || c.PollInterval < 0 {
		return c, errors.New("PoolSize and PollInterval must not be negative")
	}
	c.PoolSize = cmp.Or(c.PoolSize, pgurl.PoolSize(c.DatabaseURL), 16)
	if c.PollInterval == 0 {
		c.PollInterval = 2 * time.Second
	}
	var err error
	if c.BasePath, err = CleanBasePath(c.BasePath); err != nil {
		return c, err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if !c.NoListener && (c.TLSCert == "") != (c.TLSKey == "") {
		return c, errors.New("TLS needs both a certificate and its key: --tls-cert and --tls-key")
	}
	if c.Feed.Authorize != nil || c.Feed.Renew != nil {
		return c, errors.New("Feed.Authorize and Feed.Renew must be nil: Auth decides which clients may connect to the feed")
	}
	if c.Limits.Connections, err = edge.ConnectionsWithin(edge.MaxFiles(), c.Limits.Connections, c.PoolSize, c.Logger); err != nil {
		return c, err
	}
	if c.Limits, err = c.Limits.withDefaults(c.reads()); err != nil {
		return c, err
	}
	if c.NoListener {
		return c, c.checkSecret("the program's server")
	}
	return c, c.CheckAddr()
}

// reads and writes are the sizes of the two pools.
func (c Config) reads() int  { return max(1, (c.PoolSize+1)/2) }
func (c Config) writes() int { return max(1, c.PoolSize/2) }

// ownPaths are the first segments of the paths that the service itself uses.
var ownPaths = []string{"v1", "activities", "assets", "healthz", "readyz", "metrics", "openapi.json", "debug", "index.html", "favicon.svg"}

// CleanBasePath returns a Config.BasePath without a slash at the end. It rejects a text that is no path of letters, digits and
// -._~, and one that hides a path of the service.
func CleanBasePath(text string) (string, error) {
	base, ok := edge.ParsePrefix(text)
	if !ok {
		return "", fmt.Errorf("base path %q must be a path such as /agentexec: segments of letters, digits and -._~, none of which begins with a dot", text)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(base, "/"), "/")
	if slices.Contains(ownPaths, first) {
		return "", fmt.Errorf("base path %q hides /%s of the service itself: choose another", text, first)
	}
	return base, nil
}

// ValidProxy reports whether a text is an address or a network, in the syntax of Config.TrustedProxies.
func ValidProxy(text string) bool { return access.ValidProxy(text) }

// String describes the configuration. It omits the URLs and keys, which hold secrets.
func (c Config) String() string {
	return fmt.Sprintf("sidecar of schema %q at %q", c.Schema, c.Addr)
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// MarshalText is String, so that a log in JSON has no secret either.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// CheckAddr rejects an invalid address. It also rejects an address that other machines can reach where no token is needed, or
// where the secret can be guessed. New does the same; a program that starts a database first can call CheckAddr before.
func (c Config) CheckAddr() error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("address %q: want host:port, such as %s", c.Addr, DefaultAddr)
	}
	if !c.Insecure && !c.Auth.Enabled() && !isLoopback(host) {
		return fmt.Errorf("address %q can be reached from other machines and no authentication is configured; "+
			"set AGENTEXEC_JWT_SECRET, AGENTEXEC_JWT_KEY_FILE or AGENTEXEC_JWKS_URL, listen on %s, or say --insecure", c.Addr, DefaultAddr)
	}
	if isLoopback(host) {
		return nil
	}
	return c.checkSecret(fmt.Sprintf("address %q", c.Addr))
}

// checkSecret rejects a secret that can be guessed, where other machines reach the service.
func (c Config) checkSecret(where string) error {
	if n := len(c.Auth.Secret); n > 0 && n < auth.MinSecret {
		return fmt.Errorf("%s can be reached from other machines, and AGENTEXEC_JWT_SECRET has %d bytes, which can be guessed: "+
			"use at least %d random ones, such as those of: openssl rand -base64 48", where, n, auth.MinSecret)
	}
	return nil
}

// CheckOrigins rejects invalid origins, and patterns that would allow too many. New does the same.
func (c Config) CheckOrigins() error {
	return access.CheckOrigins(c.AllowOrigins, c.Auth.Enabled())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
