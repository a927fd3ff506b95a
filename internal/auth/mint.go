package auth

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MintConfig configures how a token is signed: with a secret, or with a private key.
type MintConfig struct {
	Secret string
	// PrivateKeyFile is a PEM file.
	PrivateKeyFile string
	// KeyID names the key in the token's header, for a verifier with several keys.
	KeyID string
	// Algorithm signs the token. Default HS256 with a secret, else the algorithm of the key.
	Algorithm string
	// Issuer and Audience are put into the token where they are set.
	Issuer, Audience string
}

// Mint makes a token that grants g until g.Expires.
func Mint(cfg MintConfig, g Grant) (string, error) {
	key, algorithm, err := cfg.signer()
	if err != nil {
		return "", err
	}
	claim, err := g.claim()
	if err != nil {
		return "", err
	}
	body := jwt.MapClaims{"exp": g.Expires.Unix(), "iat": time.Now().Unix(), Claim: claim}
	for name, value := range map[string]string{"sub": g.Subject, "iss": cfg.Issuer, "aud": cfg.Audience} {
		if value != "" {
			body[name] = value
		}
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), body)
	if cfg.KeyID != "" {
		token.Header["kid"] = cfg.KeyID
	}
	text, err := token.SignedString(key)
	if err == nil && len(text) > MaxToken {
		err = fmt.Errorf("the token has %d bytes, and none over %d is accepted", len(text), MaxToken)
	}
	return text, err
}

// claim returns the claim that grants g. It omits verbs that are not granted.
func (g Grant) claim() (map[string]any, error) {
	claim := map[string]any{}
	scope, err := json.Marshal(g.Scope)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(scope))
	d.UseNumber() // keeps long numbers exact
	if err := d.Decode(&claim); err != nil {
		return nil, err
	}
	for name, granted := range map[string]bool{
		"read": g.Read, "write": g.Write, "cancel": g.Cancel, "answer": g.Answer, "include_metadata": g.IncludeMetadata,
	} {
		if granted {
			claim[name] = true
		}
	}
	return claim, nil
}

func (c MintConfig) signer() (key any, algorithm string, err error) {
	switch {
	case c.Secret == "" && c.PrivateKeyFile == "":
		return nil, "", errors.New("a token needs a key: set AGENTEXEC_JWT_SECRET, or name a private key with --private-key-file")
	case c.Secret != "" && c.PrivateKeyFile != "":
		return nil, "", errors.New("a token needs one key: a secret, or a private key")
	case c.Secret != "":
		key, algorithm = []byte(c.Secret), "HS256"
	default:
		if key, algorithm, err = c.privateKey(); err != nil {
			return nil, "", err
		}
	}
	if c.Algorithm == "" || c.Algorithm == algorithm {
		return key, algorithm, nil
	}
	if takes, usual := algorithms[c.Algorithm], algorithms[algorithm]; takes != usual {
		if takes == "" {
			return nil, "", fmt.Errorf("the algorithm %.20q is not known", c.Algorithm)
		}
		return nil, "", fmt.Errorf("%s takes %s, and the key is %s", c.Algorithm, takes, usual)
	}
	return key, c.Algorithm, nil
}

// privateKey reads the key, and returns it with the first algorithm that accepts it.
func (c MintConfig) privateKey() (crypto.Signer, string, error) {
	data, err := readKeyFile(c.PrivateKeyFile)
	if err != nil {
		return nil, "", err
	}
	key, err := parsePrivateKey(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s %w", c.PrivateKeyFile, err)
	}
	for _, algorithm := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		if algorithms[algorithm] == kindOf(key.Public()) {
			return key, algorithm, nil
		}
	}
	return nil, "", fmt.Errorf("%s holds a key that no algorithm takes", c.PrivateKeyFile)
}
