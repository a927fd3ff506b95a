package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Config configures which tokens are valid. With the zero value, authentication is off.
type Config struct {
	// Secret is the key of HS256, HS384 and HS512. It should be as long as the hash: 32, 48 or 64 bytes.
	Secret string
	// KeyFile is a PEM file with the public key, or its certificate, for the other algorithms.
	KeyFile string
	// JWKSURL is the URL of a JSON Web Key Set with the public keys for the other algorithms.
	JWKSURL string
	// Algorithm is the only accepted algorithm. Default HS256 with a Secret; required without one.
	Algorithm string
	// Issuer and Audience, where set, must match those of the token.
	Issuer, Audience string
	// Logger receives the messages for operators. Default slog.Default().
	Logger *slog.Logger
}

// Enabled reports whether authentication is wanted. It is also wanted where only the key is missing; New then returns an
// error. A service with an issuer set must not serve every client.
func (c Config) Enabled() bool { return c != Config{Logger: c.Logger} }

// kind is the kind of key that an algorithm needs.
type kind string

const (
	kindSecret  kind = "a secret"
	kindRSA     kind = "an RSA key"
	kindP256    kind = "an ECDSA key on the curve P-256"
	kindP384    kind = "an ECDSA key on the curve P-384"
	kindP521    kind = "an ECDSA key on the curve P-521"
	kindEd25519 kind = "an Ed25519 key"
)

// algorithms are the supported algorithms. "none" is not one of them.
var algorithms = map[string]kind{
	"HS256": kindSecret, "HS384": kindSecret, "HS512": kindSecret,
	"RS256": kindRSA, "RS384": kindRSA, "RS512": kindRSA,
	"PS256": kindRSA, "PS384": kindRSA, "PS512": kindRSA,
	"ES256": kindP256, "ES384": kindP384, "ES512": kindP521,
	"EdDSA": kindEd25519,
}

// MinSecret is the minimum length of a secret, in bytes, where other machines can try tokens.
const MinSecret = 32

// secretBytes is the recommended minimum length of a secret (RFC 7518, 3.2): the length of the hash.
var secretBytes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	sources := 0
	for _, source := range []string{c.Secret, c.KeyFile, c.JWKSURL} {
		if source != "" {
			sources++
		}
	}
	switch {
	case sources == 0:
		return c, errors.New("tokens need a key: set AGENTEXEC_JWT_SECRET, AGENTEXEC_JWT_KEY_FILE or AGENTEXEC_JWKS_URL")
	case sources > 1:
		return c, errors.New("tokens need one key: set only one of AGENTEXEC_JWT_SECRET, AGENTEXEC_JWT_KEY_FILE and AGENTEXEC_JWKS_URL")
	case c.Algorithm == "" && c.Secret != "":
		c.Algorithm = "HS256"
	case c.Algorithm == "":
		return c, errors.New("set AGENTEXEC_JWT_ALGORITHM: with a public key it must be said which algorithm is accepted, such as RS256")
	}
	takes, known := algorithms[c.Algorithm]
	switch {
	case !known:
		return c, fmt.Errorf("AGENTEXEC_JWT_ALGORITHM: %.20q is not known; use one of %s", c.Algorithm,
			strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
	case c.Secret != "" && takes != kindSecret:
		return c, fmt.Errorf("AGENTEXEC_JWT_ALGORITHM: %s takes %s: set AGENTEXEC_JWT_KEY_FILE or AGENTEXEC_JWKS_URL in place of a secret",
			c.Algorithm, takes)
	case c.Secret == "" && takes == kindSecret:
		return c, fmt.Errorf("AGENTEXEC_JWT_ALGORITHM: %s takes a secret: set AGENTEXEC_JWT_SECRET in place of a public key", c.Algorithm)
	}
	return c, nil
}
