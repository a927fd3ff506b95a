package settings

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/sidecar"
)

// authFlags registers the flags of a command that checks tokens. Secrets come from the environment.
func authFlags(flags *pflag.FlagSet) {
	flags.String("jwt-secret", "", "`SECRET` that tokens are signed with; others see it in the list of processes, so prefer the variable (AGENTEXEC_JWT_SECRET)")
	flags.String("jwt-key-file", "", "PEM `FILE` with the public key that tokens are checked with (AGENTEXEC_JWT_KEY_FILE)")
	flags.String("jwks-url", "", "`URL` of the public keys that tokens are checked with (AGENTEXEC_JWKS_URL)")
	TokenFlags(flags)
}

// TokenFlags registers the flags of every command that makes or checks tokens.
func TokenFlags(flags *pflag.FlagSet) {
	flags.String("jwt-algorithm", "", "the one `ALGORITHM` of tokens, such as RS256, ES256 or EdDSA (AGENTEXEC_JWT_ALGORITHM; default HS256 with a secret)")
	flags.String("jwt-issuer", "", "`ISSUER` of tokens, their iss (AGENTEXEC_JWT_ISSUER; default any)")
	flags.String("jwt-audience", "", "`AUDIENCE` of tokens, their aud (AGENTEXEC_JWT_AUDIENCE; default any)")
}

// Auth returns how tokens are checked; it is zero where authentication is off.
func (s *Reader) Auth() (sidecar.Auth, error) {
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

// OriginFlag registers the flag that AllowOrigins reads.
func OriginFlag(cmd *cobra.Command) {
	cmd.Flags().StringArray("allow-origin", nil,
		"let pages of this `ORIGIN` use the service from a browser: https://app.example.com, https://*.example.com, tauri://localhost; may be repeated, and with authentication be * (AGENTEXEC_ALLOW_ORIGIN, separated by commas)")
}

// AllowOrigins returns the origins of the flag, or else of the variable.
func (s *Reader) AllowOrigins() []string {
	if flag := s.flags.Lookup("allow-origin"); flag != nil && flag.Changed {
		values, _ := s.flags.GetStringArray("allow-origin") // it was registered as one
		return values
	}
	text, _ := s.Get("allow-origin")
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
