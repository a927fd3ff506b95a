package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/process"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/sidecar"
)

func newServe(s *settings) *cobra.Command {
	var insecure bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar: the live feed, the HTTP API and the dashboard",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := s.logger(cmd.ErrOrStderr(), slog.LevelInfo)
			if err != nil {
				return err
			}
			if _, err := s.poolConfig(); err != nil {
				return err
			}
			config, err := s.service(logger)
			if err != nil {
				return err
			}
			config.Insecure = insecure
			own := &settings{flags: cmd.Flags()}
			if config.Feed.InFlightBytes, err = own.inFlightBytes(); err != nil {
				return err
			}
			if config.Pprof, err = own.pprof(); err != nil {
				return err
			}
			if config.Auth, err = own.auth(); err != nil {
				return err
			}
			if config.BasePath, err = own.basePath(); err != nil {
				return err
			}
			config.AllowOrigins = own.allowOrigins()
			if err := config.CheckOrigins(); err != nil {
				return exit.UsageError(nil, "%s", err)
			}
			if config.Limits, err = own.limits(); err != nil {
				return err
			}
			if err := own.outside(&config); err != nil {
				return err
			}
			server, err := sidecar.New(config)
			if err != nil {
				return err
			}
			var others []os.Signal
			if config.Reload != nil {
				others = append(others, syscall.SIGHUP)
			}
			ctx, stop := process.UntilStopped(cmd.Context(), cmd.ErrOrStderr(), others...)
			defer stop()
			return addressError(config.Addr, server.Run(ctx))
		},
	}
	insecureFlag(cmd, &insecure)
	authFlags(cmd.Flags())
	originFlag(cmd)
	basePathFlag(cmd)
	registerOutside(cmd.Flags())
	registerLimits(cmd.Flags())
	cmd.Flags().String("in-flight-bytes", "",
		"what one socket holds in memory, half of it in the kernel, in `BYTES` (AGENTEXEC_IN_FLIGHT_BYTES; default 262144)")
	cmd.Flags().Bool("pprof", false, "serve Go's profiles under /debug/pprof/, to every client that reaches the address (AGENTEXEC_PPROF=true)")
	return cmd
}

func insecureFlag(cmd *cobra.Command, insecure *bool) {
	cmd.Flags().BoolVar(insecure, "insecure", false, "serve without authentication on an address that is not loopback")
}

// minInFlightBytes is room for a few lines, and a send buffer that a kernel does not enlarge by itself.
const minInFlightBytes = 32 << 10

// inFlightBytes returns how many bytes one socket may hold, 0 where it is not set.
func (s *settings) inFlightBytes() (int, error) {
	text, source := s.get("in-flight-bytes")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < minInFlightBytes {
		return 0, exit.UsageError(nil, "%s: %q must be a whole number of bytes, at least %d", source, text, minInFlightBytes)
	}
	return int(n), nil
}

// pprof reports whether profiles are enabled.
func (s *settings) pprof() (bool, error) {
	text, source := s.get("pprof")
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, exit.UsageError(nil, "%s: %q is neither true nor false", source, text)
	}
	return on, nil
}

// service returns the sidecar's configuration from the settings.
func (s *settings) service(logger *slog.Logger) (sidecar.Config, error) {
	schema, err := s.schema()
	if err != nil {
		return sidecar.Config{}, err
	}
	addr, _, err := s.addr()
	if err != nil {
		return sidecar.Config{}, err
	}
	if url, source := s.get("listen-url"); url != "" {
		if err := pgurl.Check(url); err != nil {
			return sidecar.Config{}, exit.UsageError(nil, "%s: %w", source, err)
		}
	}
	pollOnly, err := s.pollOnly()
	if err != nil {
		return sidecar.Config{}, err
	}
	return sidecar.Config{
		DatabaseURL: s.databaseURL(), ListenURL: s.listenURL(), PollOnly: pollOnly, Schema: schema, Addr: addr, Logger: logger,
	}, nil
}

// addressError adds what to do where another program uses the address.
func addressError(addr string, err error) error {
	if !inUse(err) {
		return err
	}
	return fmt.Errorf("the address %s is in use, perhaps by another agentexec: stop that, or choose another with --addr or AGENTEXEC_ADDR", addr)
}

func newHealthcheck(s *settings) *cobra.Command {
	var secure bool
	cmd := &cobra.Command{
		Use:    "healthcheck",
		Short:  "Ask the sidecar whether it is ready, for containers that have no other program to ask with",
		Args:   arguments,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addr, _, err := s.addr()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 4*time.Second)
			defer cancel()
			scheme := "http"
			if os.Getenv("AGENTEXEC_TLS_CERT") != "" || secure {
				scheme = "https"
			}
			return ready(ctx, scheme+"://"+reachable(addr)+"/readyz")
		},
	}
	cmd.Flags().BoolVar(&secure, "tls", false, "ask with TLS; the default where AGENTEXEC_TLS_CERT is set")
	return cmd
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// The sidecar is on this machine, whatever proxy the environment names.
	// And so is its certificate, which may be for another name than this address; nothing secret is asked or told.
	unchecked := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	client := http.Client{Transport: &http.Transport{TLSClientConfig: unchecked}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("not ready: no answer from %s: %s", url, exit.Reason(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answers %s", url, response.Status)
	}
	return nil
}

// reachable returns the address to connect to for a listen address: "everywhere" is no address to connect to.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// inUse reports whether err says that another program listens on the address.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
