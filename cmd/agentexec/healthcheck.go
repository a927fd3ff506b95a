package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck(s *settings) *cobra.Command {
	return &cobra.Command{
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
			return ready(ctx, "http://"+reachable(addr)+"/readyz")
		},
	}
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// The sidecar is on this machine, whatever proxy the environment names.
	client := http.Client{Transport: &http.Transport{}}
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
