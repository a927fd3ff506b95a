package main

import (
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/sidecar"
)

// authFlags registers the flags of a command that checks tokens. Secrets come from the environment.
func authFlags(flags *pflag.FlagSet) {
	flags.String("jwt-secret", "", "`SECRET` that tokens are signed with; others see it in the list of processes, so prefer the variable (AGENTEXEC_JWT_SECRET)")
	flags.String("jwt-key-file", "", "PEM `FILE` with the public key that tokens are checked with (AGENTEXEC_JWT_KEY_FILE)")
	flags.String("jwks-url", "", "`URL` of the public keys that tokens are checked with (AGENTEXEC_JWKS_URL)")
	tokenFlags(flags)
}

// tokenFlags registers the flags of every command that makes or checks tokens.
func tokenFlags(flags *pflag.FlagSet) {
	flags.String("jwt-algorithm", "", "the one `ALGORITHM` of tokens, such as RS256, ES256 or EdDSA (AGENTEXEC_JWT_ALGORITHM; default HS256 with a secret)")
	flags.String("jwt-issuer", "", "`ISSUER` of tokens, their iss (AGENTEXEC_JWT_ISSUER; default any)")
	flags.String("jwt-audience", "", "`AUDIENCE` of tokens, their aud (AGENTEXEC_JWT_AUDIENCE; default any)")
}

// auth returns how tokens are checked; it is zero where authentication is off.
func (s *settings) auth() (sidecar.Auth, error) {
	var c sidecar.Auth
	for _, setting := range []struct {
		name  string
		field *string
	}{
		{"jwt-secret", &c.Secret}, {"jwt-key-file", &c.KeyFile}, {"jwks-url", &c.JWKSURL},
		{"jwt-algorithm", &c.Algorithm}, {"jwt-issuer", &c.Issuer}, {"jwt-audience", &c.Audience},
	} {
		var err error
		if *setting.field, _, err = s.guard(setting.name, "authentication"); err != nil {
			return c, err
		}
	}
	return c, nil
}

func originFlag(cmd *cobra.Command) {
	cmd.Flags().StringArray("allow-origin", nil,
		"let pages of this `ORIGIN` use the service from a browser: https://app.example.com, https://*.example.com, tauri://localhost; may be repeated, and with authentication be * (AGENTEXEC_ALLOW_ORIGIN, separated by commas)")
}

// allowOrigins returns the origins of the flag, or else of the variable.
func (s *settings) allowOrigins() []string {
	if flag := s.flags.Lookup("allow-origin"); flag != nil && flag.Changed {
		values, _ := s.flags.GetStringArray("allow-origin") // it was registered as one
		return values
	}
	text, _ := s.get("allow-origin")
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func basePathFlag(cmd *cobra.Command) {
	cmd.Flags().String("base-path", "",
		"`PATH` below which a proxy shows the service, such as /agentexec; links have it in front, and the service answers below it as well (AGENTEXEC_BASE_PATH)")
}

// basePath returns the path prefix of the service, "" where it is not set.
func (s *settings) basePath() (string, error) {
	text, source := s.get("base-path")
	base, err := sidecar.CleanBasePath(text)
	if err != nil {
		return "", exit.UsageError(nil, "%s: %w", source, err)
	}
	return base, nil
}

// registerOutside registers what the sidecar must know of the network in front of it.
func registerOutside(flags *pflag.FlagSet) {
	flags.String("tls-cert", "", "serve TLS with the certificate in `FILE`, chain included; read again when it changes, and on SIGHUP (AGENTEXEC_TLS_CERT)")
	flags.String("tls-key", "", "`FILE` of its key (AGENTEXEC_TLS_KEY)")
	flags.String("trusted-proxy", "", "proxies that say where a request comes from: `ADDRESS`es and networks, separated by commas (AGENTEXEC_TRUSTED_PROXY)")
	flags.String("proxy-header", "", "the `HEADER` they add to, X-Forwarded-For or Forwarded (AGENTEXEC_PROXY_HEADER; default X-Forwarded-For)")
}

// outside reads these settings. The sidecar checks the contents of the files and the networks.
func (s *settings) outside(c *sidecar.Config) error {
	var (
		source string
		err    error
	)
	if c.TLSCert, source, err = s.guard("tls-cert", "TLS"); err != nil {
		return err
	}
	if c.TLSKey, _, err = s.guard("tls-key", "TLS"); err != nil {
		return err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return exit.UsageError(nil, "TLS needs both a certificate and its key: --tls-cert and --tls-key")
	}
	if source != "" {
		c.Reload = hangups()
	}
	header, source := s.get("proxy-header")
	switch {
	case header == "":
	case strings.EqualFold(header, "X-Forwarded-For"), strings.EqualFold(header, "Forwarded"):
		c.ProxyHeader = header
	default:
		return exit.UsageError(nil, "%s: %q must be X-Forwarded-For or Forwarded", source, header)
	}
	proxies, source := s.get("trusted-proxy")
	for proxy := range strings.SplitSeq(proxies, ",") {
		if proxy = strings.TrimSpace(proxy); proxy == "" {
			continue
		}
		if !sidecar.ValidProxy(proxy) {
			return exit.UsageError(nil, "%s: %q must be an IP address or a network, such as 10.0.0.0/8", source, proxy)
		}
		c.TrustedProxies = append(c.TrustedProxies, proxy)
	}
	return nil
}

// hangups returns a channel of SIGHUPs. As for a daemon, SIGHUP means to read the files again, not to end.
func hangups() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals
}

// limit is one limit of the sidecar: a flag, or the variable of the same name. docs/limits.md has a row for each.
type limit struct {
	name, about, usual string
	number             func(*sidecar.Limits) *int
	span               func(*sidecar.Limits) *time.Duration
	optional           bool // "off" turns it off
}

var limits = []limit{
	{name: "max-connections", about: "connections open at once", usual: "the process's file limit less 256, or less a quarter", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.Connections }},
	{name: "max-sockets", about: "WebSockets and event streams open at once", usual: "20000, and at most 9/10 of the connections", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.Sockets }},
	{name: "max-sockets-per-subject", about: "of them of one token's subject", usual: "2000", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.SocketsPerSubject }},
	{name: "max-sockets-per-address", about: "of them from one address, loopback not counted", usual: "2000", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.SocketsPerAddress }},
	{name: "max-subscriptions", about: "subscriptions of one socket", usual: "1000",
		number: func(l *sidecar.Limits) *int { return &l.Subscriptions }},
	{name: "max-messages-per-second", about: "messages a second from one socket", usual: "100", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.MessagesPerSecond }},
	{name: "max-message-bytes", about: "bytes of one message from a socket", usual: "65536",
		number: func(l *sidecar.Limits) *int { return &l.MessageBytes }},
	{name: "max-requests-per-second", about: "requests a second of one token's subject or, without one, one address, loopback not counted", usual: "500",
		optional: true, number: func(l *sidecar.Limits) *int { return &l.RequestsPerSecond }},
	{name: "max-body-bytes", about: "bytes of a request's body", usual: "2097152",
		number: func(l *sidecar.Limits) *int { return &l.BodyBytes }},
	{name: "max-header-bytes", about: "bytes of a request's header", usual: "65536",
		number: func(l *sidecar.Limits) *int { return &l.HeaderBytes }},
	{name: "header-timeout", about: "for a header, and a TLS handshake, to arrive", usual: "10s",
		span: func(l *sidecar.Limits) *time.Duration { return &l.HeaderTimeout }},
	{name: "body-timeout", about: "for a body to arrive", usual: "30s",
		span: func(l *sidecar.Limits) *time.Duration { return &l.BodyTimeout }},
	{name: "max-page-size", about: "items of a page and of a live list, 50 to 1000", usual: "1000",
		number: func(l *sidecar.Limits) *int { return &l.PageSize }},
	{name: "max-held-bytes", about: "bytes of request bodies and answers held in memory at once", usual: "67108864",
		number: func(l *sidecar.Limits) *int { return &l.HeldBytes }},
	{name: "max-catch-up-reads", about: "reads of Postgres for sockets at once", usual: "half the connections for reads",
		number: func(l *sidecar.Limits) *int { return &l.CatchUpReads }},
	{name: "max-filter-bytes", about: "bytes of the filters of one socket's live lists", usual: "65536",
		number: func(l *sidecar.Limits) *int { return &l.FilterBytes }},
	{name: "max-lists-per-subject", about: "live lists of one token's subject", usual: "10000", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.ListsPerSubject }},
	{name: "max-filter-bytes-per-subject", about: "bytes of the filters of these", usual: "1048576", optional: true,
		number: func(l *sidecar.Limits) *int { return &l.FilterBytesPerSubject }},
	{name: "max-list-bytes", about: "bytes of the items of all live lists", usual: "268435456",
		number: func(l *sidecar.Limits) *int { return &l.ListBytes }},
	{name: "max-list-bytes-per-socket", about: "bytes of the items of one socket's live lists", usual: "33554432",
		number: func(l *sidecar.Limits) *int { return &l.ListBytesPerSocket }},
	{name: "max-frame-bytes", about: "bytes of large frames that wait for slow sockets, of all sockets", usual: "268435456",
		number: func(l *sidecar.Limits) *int { return &l.FrameBytes }},
}

func registerLimits(flags *pflag.FlagSet) {
	for _, l := range limits {
		value, off := "`N`", ""
		if l.span != nil {
			value = "`DURATION`"
		}
		if l.optional {
			off = "; off for none"
		}
		flags.String(l.name, "", fmt.Sprintf("at most %s %s (%s; default %s%s)", value, l.about, variablesOf(l.name)[0], l.usual, off))
	}
}

// limits returns the limits that were set; the others stay zero.
func (s *settings) limits() (sidecar.Limits, error) {
	var chosen sidecar.Limits
	for _, l := range limits {
		text, source := s.get(l.name)
		switch {
		case text == "":
		case l.optional && text == "off":
			*l.number(&chosen) = -1
		case l.span != nil:
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				return chosen, exit.UsageError(nil, "%s: %q must be a duration above zero, such as 10s", source, text)
			}
			*l.span(&chosen) = d
		default:
			n, err := strconv.ParseInt(text, 10, 32)
			least, most := int64(1), int64(math.MaxInt32)
			if l.name == "max-page-size" {
				least, most = 50, 1000
			}
			if err != nil || n < least || n > most {
				return chosen, exit.UsageError(nil, "%s: %q must be a whole number from %d to %d%s", source, text, least, most,
					map[bool]string{true: ", or off"}[l.optional])
			}
			*l.number(&chosen) = int(n)
		}
	}
	return chosen, nil
}
