package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/auth"
)

func newToken() *cobra.Command {
	var (
		grant    auth.Grant
		lifetime = argument.Duration{Value: time.Hour}
		ids      uuids
		types    []string
		metadata argument.Pairs
		keyID    string
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token for the sidecar, for testing and for scripts",
		Long: "Print a token for the sidecar, for testing and for scripts, signed with AGENTEXEC_JWT_SECRET or a private key.\n" +
			"It grants what the flags say and nothing else.",
		Example: "  agentexec token --read --metadata org=1 --expires-in 15m\n" +
			"  curl -H \"Authorization: Bearer $(agentexec token --read)\" http://127.0.0.1:8484/v1/activities",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			mint, err := mint(settings.New(cmd.Flags()))
			if err != nil {
				return err
			}
			if lifetime.Value == 0 {
				return exit.UsageError(cmd, "--expires-in must be more than 0")
			}
			mint.KeyID = keyID
			grant.Expires = time.Now().Add(lifetime.Value)
			grant.Scope.AgentIDs, grant.Scope.AgentTypes, grant.Scope.Metadata = ids, types, metadata
			token, err := auth.Mint(mint, grant)
			if err != nil {
				return exit.UsageError(cmd, "%s", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&grant.Subject, "subject", "", "`WHO` it is for, its sub")
	flags.Var(&lifetime, "expires-in", "how long it holds (default 1h)")
	flags.BoolVar(&grant.Read, "read", false, "grant to read and to watch")
	flags.BoolVar(&grant.Write, "write", false, "grant to create and to log")
	flags.BoolVar(&grant.Cancel, "cancel", false, "grant to cancel")
	flags.BoolVar(&grant.Answer, "answer", false, "grant to answer and to decline questions")
	flags.BoolVar(&grant.IncludeMetadata, "include-metadata", false, "grant to read metadata")
	flags.Var(&ids, "agent-id", "narrow it to this activity; may be repeated")
	flags.StringArrayVar(&types, "agent-type", nil, "narrow it to activities of this `TYPE`; may be repeated")
	flags.Var(&metadata, "metadata", "narrow it to activities whose metadata has this value; may be repeated")
	flags.String("jwt-secret", "", "`SECRET` to sign with; others see it in the list of processes, so prefer the variable (AGENTEXEC_JWT_SECRET)")
	flags.String("private-key-file", "", "PEM `FILE` with the private key to sign with (AGENTEXEC_JWT_PRIVATE_KEY_FILE)")
	flags.StringVar(&keyID, "key-id", "", "`ID` of the key, its kid, where there are several")
	settings.TokenFlags(flags)
	return cmd
}

// mint returns how tokens are signed. A flag's key takes precedence over one of the environment.
func mint(s *settings.Reader) (auth.MintConfig, error) {
	var c auth.MintConfig
	for name, field := range map[string]*string{
		"jwt-algorithm": &c.Algorithm, "jwt-issuer": &c.Issuer, "jwt-audience": &c.Audience,
	} {
		*field, _ = s.Get(name)
	}
	secret, secretFrom := s.Get("jwt-secret")
	file, fileFrom := s.Get("private-key-file")
	switch {
	case secret != "" && file != "" && strings.HasPrefix(secretFrom, "--") == strings.HasPrefix(fileFrom, "--"):
		return c, exit.UsageError(nil, "%s and %s do not go together", secretFrom, fileFrom)
	case file == "" || strings.HasPrefix(secretFrom, "--"):
		c.Secret = secret
	default:
		c.PrivateKeyFile = file
	}
	return c, nil
}

// uuids is a flag that takes a UUID and may be repeated.
type uuids []uuid.UUID

func (u *uuids) String() string { return "" }
func (u *uuids) Type() string   { return "UUID" }

func (u *uuids) Set(text string) error {
	id, err := argument.ParseUUID(text)
	*u = append(*u, id)
	return err
}
