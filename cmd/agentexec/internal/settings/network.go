package settings

import (
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/sidecar"
)

// BasePathFlag registers the flag that BasePath reads.
func BasePathFlag(cmd *cobra.Command) {
	cmd.Flags().String("base-path", "",
		"`PATH` below which a proxy shows the service, such as /agentexec; links have it in front, and the service answers below it as well (AGENTEXEC_BASE_PATH)")
}

// BasePath returns the path prefix of the service, "" where it is not set.
func (s *Reader) BasePath() (string, error) {
	text, source := s.Get("base-path")
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
func (s *Reader) outside(c *sidecar.Config) error {
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
	header, source := s.Get("proxy-header")
	switch {
	case header == "":
	case strings.EqualFold(header, "X-Forwarded-For"), strings.EqualFold(header, "Forwarded"):
		c.ProxyHeader = header
	default:
		return exit.UsageError(nil, "%s: %q must be X-Forwarded-For or Forwarded", source, header)
	}
	proxies, source := s.Get("trusted-proxy")
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
