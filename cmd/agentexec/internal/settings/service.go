package settings

import (
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/sidecar"
)

// RegisterService registers the flags that CompleteService reads.
func RegisterService(cmd *cobra.Command) {
	authFlags(cmd.Flags())
	OriginFlag(cmd)
	BasePathFlag(cmd)
	registerOutside(cmd.Flags())
	registerLimits(cmd.Flags())
	cmd.Flags().String("in-flight-bytes", "",
		"what one socket holds in memory, half of it in the kernel, in `BYTES` (AGENTEXEC_IN_FLIGHT_BYTES; default 262144)")
	cmd.Flags().Bool("pprof", false, "serve Go's profiles under /debug/pprof/, to every client that reaches the address (AGENTEXEC_PPROF=true)")
}

// CompleteService reads the settings of serve alone into c. The Reader must have the flags of the command.
func (s *Reader) CompleteService(c *sidecar.Config) error {
	var err error
	if c.Feed.InFlightBytes, err = s.inFlightBytes(); err != nil {
		return err
	}
	if c.Pprof, err = s.pprof(); err != nil {
		return err
	}
	if c.Auth, err = s.Auth(); err != nil {
		return err
	}
	if c.BasePath, err = s.BasePath(); err != nil {
		return err
	}
	c.AllowOrigins = s.AllowOrigins()
	if err := c.CheckOrigins(); err != nil {
		return exit.UsageError(nil, "%s", err)
	}
	if c.Limits, err = s.limits(); err != nil {
		return err
	}
	return s.outside(c)
}

// minInFlightBytes is room for a few lines, and a send buffer that a kernel does not enlarge by itself.
const minInFlightBytes = 32 << 10

// inFlightBytes returns how many bytes one socket may hold, 0 where it is not set.
func (s *Reader) inFlightBytes() (int, error) {
	text, source := s.Get("in-flight-bytes")
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
func (s *Reader) pprof() (bool, error) {
	text, source := s.Get("pprof")
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, exit.UsageError(nil, "%s: %q is neither true nor false", source, text)
	}
	return on, nil
}

// Service returns the sidecar's configuration from the settings that all commands share.
func (s *Reader) Service(logger *slog.Logger) (sidecar.Config, error) {
	schema, err := s.Schema()
	if err != nil {
		return sidecar.Config{}, err
	}
	addr, _, err := s.Addr()
	if err != nil {
		return sidecar.Config{}, err
	}
	if url, source := s.Get("listen-url"); url != "" {
		if err := pgurl.Check(url); err != nil {
			return sidecar.Config{}, exit.UsageError(nil, "%s: %w", source, err)
		}
	}
	pollOnly, err := s.pollOnly()
	if err != nil {
		return sidecar.Config{}, err
	}
	return sidecar.Config{
		DatabaseURL: s.DatabaseURL(), ListenURL: s.ListenURL(), PollOnly: pollOnly, Schema: schema, Addr: addr, Logger: logger,
	}, nil
}
