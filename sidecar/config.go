package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/wsfeed"
)

// DefaultAddr is where the sidecar listens unless told otherwise: on loopback, where no authentication is needed.
const DefaultAddr = "127.0.0.1:8484"

// Auth says which tokens hold. The zero value turns authentication off.
type Auth struct {
	// Secret is the key of HS256, HS384 and HS512. Should be as long as the hash, 32, 48 or 64 bytes.
	Secret string
	// KeyFile is a PEM file with the public key, or its certificate, of the other algorithms.
	KeyFile string
	// JWKSURL answers with the public keys of the other algorithms as a JSON Web Key Set.
	JWKSURL string
	// Algorithm is the only one that is accepted. Default HS256 with a Secret; required with the others.
	Algorithm string
	// Issuer and Audience must be those of the token, where they are set.
	Issuer, Audience string
}

// Enabled reports whether authentication is wanted. Without a key it is, and New says what is missing: a service with an
// issuer set must not serve every client.
func (a Auth) Enabled() bool { return a != Auth{} }

// config returns a as an auth.Config.
func (a Auth) config(log *slog.Logger) auth.Config {
	return auth.Config{
		Secret: a.Secret, KeyFile: a.KeyFile, JWKSURL: a.JWKSURL, Algorithm: a.Algorithm, Issuer: a.Issuer, Audience: a.Audience, Logger: log,
	}
}

// Config is what a sidecar needs to know. Zero values take the defaults named.
type Config struct {
	// DatabaseURL is the Postgres to serve, in any form libpq takes. Required.
	DatabaseURL string
	// ListenURL is a direct connection for LISTEN and the tail, where DatabaseURL goes through a pooler in
	// transaction mode. Default: DatabaseURL.
	ListenURL string
	// PollOnly reads on a timer and never LISTENs.
	PollOnly bool
	// Schema is the schema's name. Default "agentexec".
	Schema string
	// Addr is the address to listen on, host:port; port 0 takes any. Default DefaultAddr.
	Addr string
	// NoListener has Run open no port: the program serves Handler itself, with limits of connections, time limits and TLS of its
	// own. Addr, TLSCert and TLSKey are then not used.
	NoListener bool
	// Auth says which tokens hold, and turns authentication on where it names a key. Default: off.
	Auth Auth
	// AllowOrigins are the origins, beside its own, whose pages may use the service from a browser: scheme://host[:port],
	// also of an application's own scheme (tauri://localhost). One label in front may be left open
	// (https://*.example.com), of an own scheme the host (vscode-webview://*). With authentication "*" is any.
	AllowOrigins []string
	// AllowLocalOrigins lets pages of this machine's web servers in: http and https at localhost, whatever the port.
	AllowLocalOrigins bool
	// Insecure allows an address that is not loopback without authentication. Requests for a name are then answered
	// only where that is localhost, or its origin is allowed.
	Insecure bool
	// Pprof serves Go's profiles under /debug/pprof/. They tell of the program's inside, memory included.
	Pprof bool
	// PoolSize is the most connections to Postgres for requests and the feed's reads: one half, rounded up, for reads and the
	// feed, the other for writes, which may wait for row locks; each at least one. Beside them there is one for probes, one
	// for LISTEN and one for the tail. Default: the pool_max_conns of DatabaseURL, else 16.
	PoolSize int
	// PollInterval is the longest time between two reads of the tail while something is watched, with or
	// without a wake-up. Default 2 s.
	PollInterval time.Duration
	// Limits bound what clients may take.
	Limits Limits
	// TrustedProxies are the addresses and networks of proxies whose ProxyHeader says where a request comes from. That
	// header is X-Forwarded-For (the default) or Forwarded: the one the proxies add to, for a client can send both.
	TrustedProxies []string
	ProxyHeader    string
	// TLSCert and TLSKey are files of PEM to serve TLS with. They are read again when they change, and when Reload says
	// so; a pair that does not fit leaves the one before in place.
	TLSCert, TLSKey string
	Reload          <-chan os.Signal
	// Feed bounds the live feed. The sidecar sets the fields that it shares with it: the limits, the ring, Problem and
	// Logger. Auth decides which clients may connect; Authorize and Renew must be nil.
	Feed wsfeed.Config
	// Logger receives what an operator should know. Default slog.Default().
	Logger *slog.Logger
	// OnReady is called once, when requests are answered, with the service's URL; "" with NoListener.
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
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if !c.NoListener && (c.TLSCert == "") != (c.TLSKey == "") {
		return c, errors.New("TLS needs both a certificate and its key: --tls-cert and --tls-key")
	}
	if c.Feed.Authorize != nil || c.Feed.Renew != nil {
		return c, errors.New("Feed.Authorize and Feed.Renew must be nil: Auth decides which clients may connect to the feed")
	}
	var err error
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

// ValidProxy reports whether a text is an address or a network, as Config.TrustedProxies takes them.
func ValidProxy(text string) bool { return access.ValidProxy(text) }

// String names what a configuration serves, and where. It leaves the URLs and keys out: they hold secrets.
func (c Config) String() string {
	return fmt.Sprintf("sidecar of schema %q at %q", c.Schema, c.Addr)
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// CheckAddr refuses an address that is none, and one that other machines can reach where they would need no token, or
// could make one by guessing the secret. New does the same; who starts a database for it may want to know earlier.
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

// checkSecret refuses a secret that can be guessed, where other machines reach the service.
func (c Config) checkSecret(where string) error {
	if n := len(c.Auth.Secret); n > 0 && n < auth.MinSecret {
		return fmt.Errorf("%s can be reached from other machines, and AGENTEXEC_JWT_SECRET has %d bytes, which can be guessed: "+
			"use at least %d random ones, such as those of: openssl rand -base64 48", where, n, auth.MinSecret)
	}
	return nil
}

// CheckOrigins refuses allowed origins that are none, or that would let in too many. New does the same.
func (c Config) CheckOrigins() error {
	return access.CheckOrigins(c.AllowOrigins, c.Auth.Enabled())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
