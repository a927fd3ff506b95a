package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

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
		return fmt.Errorf("not ready: no answer from %s: %s", url, reason(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answers %s", url, response.Status)
	}
	return nil
}

// reachable returns the address to call for one to listen on: "everywhere" is no place to call.
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
