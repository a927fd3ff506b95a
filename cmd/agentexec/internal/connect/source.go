package connect

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// SourceFlags registers the flags of a command that works against a sidecar too.
func SourceFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.String("url", "", "ask the sidecar at this `URL`, such as https://example.com/agentexec, and no database (AGENTEXEC_URL)")
	flags.String("token", "", "`TOKEN` for the sidecar; others see it in the list of processes, so prefer the variable or a file (AGENTEXEC_TOKEN)")
	flags.String("token-file", "", "`FILE` with the token, read for each request, so that it can be renewed (AGENTEXEC_TOKEN_FILE)")
}

// WithSource runs do with the source that the flags and variables choose, on one connection where that is a database.
func WithSource(ctx context.Context, s *settings.Reader, cmd *cobra.Command, do func(src source.Source) error) error {
	sidecar, err := sidecarOf(cmd, nil)
	switch {
	case err != nil:
		return err
	case sidecar != nil:
		defer sidecar.Close()
		return do(sidecar)
	}
	return WithClient(ctx, s, func(c *client.Client) error {
		return do(source.NewDatabase(c, func() {}))
	})
}

// Source opens the source for a command that runs for long: it may be used from several goroutines, and reports outages.
func Source(ctx context.Context, s *settings.Reader, cmd *cobra.Command, outages *source.Outages) (source.Source, error) {
	if sidecar, err := sidecarOf(cmd, outages); err != nil || sidecar != nil {
		return sidecar, err
	}
	schema, err := s.Schema()
	if err != nil {
		return nil, err
	}
	pool, err := Pool(ctx, s, outages)
	if err != nil {
		return nil, err
	}
	return source.NewDatabase(NewClient(s, pool, schema), pool.Close), nil
}

// sidecarOf returns the sidecar that the flags and variables choose, nil where they choose a database. A flag takes precedence
// over a variable, and AGENTEXEC_URL over the variables of a database.
func sidecarOf(cmd *cobra.Command, outages *source.Outages) (*source.Sidecar, error) {
	if cmd.Flags().Lookup("url") == nil {
		return nil, nil //nolint:nilnil // the command works with a database only
	}
	own := settings.New(cmd.Flags())
	address, from := own.Get("url")
	_, databaseFrom := own.Get("database-url")
	switch {
	case address == "" && from == "--url":
		return nil, exit.UsageError(cmd, "--url must not be empty")
	case address == "" || from != "--url" && databaseFrom == "--database-url":
		return nil, nil //nolint:nilnil // nil means a database
	case from == "--url" && databaseFrom == "--database-url":
		return nil, exit.UsageError(cmd, "--url and --database-url do not go together")
	}
	token, err := sidecarToken(own, cmd)
	if err != nil {
		return nil, err
	}
	sidecar, err := source.NewSidecar(source.SidecarConfig{URL: address, Token: token, Outages: outages})
	if err != nil {
		return nil, exit.UsageError(cmd, "%s: %w", from, err)
	}
	if token != nil && exposed(address) {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "agentexec: warning: the token goes over the network without encryption: use https")
	}
	return sidecar, nil
}

// sidecarToken returns a function that reads the token for a sidecar, nil where there is none.
func sidecarToken(s *settings.Reader, cmd *cobra.Command) (func() (string, error), error) {
	token, tokenFrom := s.Get("token")
	file, fileFrom := s.Get("token-file")
	switch {
	case token != "" && file != "" && strings.HasPrefix(tokenFrom, "--") == strings.HasPrefix(fileFrom, "--"):
		return nil, exit.UsageError(cmd, "%s and %s do not go together", tokenFrom, fileFrom)
	case token == "" && file == "":
		return nil, nil //nolint:nilnil // nil means no token
	case token != "" && (file == "" || strings.HasPrefix(tokenFrom, "--")):
		return func() (string, error) { return checkToken(tokenFrom, token) }, nil
	}
	return func() (string, error) {
		text, err := os.ReadFile(file) //nolint:gosec // the user names the file
		if err != nil {
			return "", fmt.Errorf("%s: cannot read the token: %w", fileFrom, err)
		}
		return checkToken(fileFrom, string(bytes.TrimSpace(text)))
	}, nil
}

// checkToken refuses what cannot be a token, without quoting it.
func checkToken(from, token string) (string, error) {
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", exit.UsageError(nil, "%s holds no token: a token is one word of ASCII", from)
	}
	return token, nil
}

// exposed reports whether others can read what is sent to an address: it is not https, and not this machine.
func exposed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

// Place returns a short name for what the commands read from.
func Place(s *settings.Reader, src source.Source) string {
	if sidecar, ok := src.(*source.Sidecar); ok {
		return sidecar.Place()
	}
	config, err := Config(s)
	if err != nil {
		return ""
	}
	return config.ConnConfig.Database + " at " + config.ConnConfig.Host
}
