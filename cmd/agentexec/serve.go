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
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/process"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/sidecar"
)

func newServe(s *settings.Reader) *cobra.Command {
	var insecure bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar: the live feed, the HTTP API and the dashboard",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := s.Logger(cmd.ErrOrStderr(), slog.LevelInfo)
			if err != nil {
				return err
			}
			if _, err := connect.Config(s); err != nil {
				return err
			}
			config, err := s.Service(logger)
			if err != nil {
				return err
			}
			config.Insecure = insecure
			own := settings.New(cmd.Flags())
			if err := own.CompleteService(&config); err != nil {
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
	settings.RegisterService(cmd)
	return cmd
}

// addressError adds what to do where another program uses the address.
func addressError(addr string, err error) error {
	if !inUse(err) {
		return err
	}
	return fmt.Errorf("the address %s is in use, perhaps by another agentexec: stop that, or choose another with --addr or AGENTEXEC_ADDR", addr)
}

func newHealthcheck(s *settings.Reader) *cobra.Command {
	var secure bool
	cmd := &cobra.Command{
		Use:    "healthcheck",
		Short:  "Ask the sidecar whether it is ready, for containers that have no other program to ask with",
		Args:   arguments,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addr, _, err := s.Addr()
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

func insecureFlag(cmd *cobra.Command, insecure *bool) {
	cmd.Flags().BoolVar(insecure, "insecure", false, "serve without authentication on an address that is not loopback")
}
