package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// TestNewRefuses: what cannot work is said at the start, on one line.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	rsaFile, ecFile := publicPEM(t, keys()["RS256"]), publicPEM(t, keys()["ES256"])
	odd := filepath.Join(t.TempDir(), "odd")
	require.NoError(t, os.WriteFile(odd, []byte("secretive"), 0o600))
	huge := filepath.Join(t.TempDir(), "huge")
	require.NoError(t, os.WriteFile(huge, make([]byte, maxKeyFile+1), 0o600))
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		cfg  Config
		says string
	}{
		"NoSource":          {Config{Algorithm: "HS256"}, "set AGENTEXEC_JWT_SECRET"},
		"TwoSources":        {Config{Secret: secret, KeyFile: rsaFile}, "only one of"},
		"SecretAndURL":      {Config{Secret: secret, JWKSURL: "https://x"}, "only one of"},
		"NoAlgorithm":       {Config{KeyFile: rsaFile}, "AGENTEXEC_JWT_ALGORITHM"},
		"NoAlgorithmOfJWKS": {Config{JWKSURL: "https://x"}, "AGENTEXEC_JWT_ALGORITHM"},
		"NoneIsNone":        {Config{Secret: secret, Algorithm: "none"}, `"none" is not known`},
		"OddAlgorithm":      {Config{Secret: secret, Algorithm: "hs256"}, "not known"},
		"SecretForRSA":      {Config{Secret: secret, Algorithm: "RS256"}, "takes an RSA key"},
		"KeyForHMAC":        {Config{KeyFile: rsaFile, Algorithm: "HS256"}, "takes a secret"},
		"JWKSForHMAC":       {Config{JWKSURL: "https://x", Algorithm: "HS256"}, "takes a secret"},
		"ECForRSA":          {Config{KeyFile: ecFile, Algorithm: "RS256"}, "holds an ECDSA key on the curve P-256, and RS256 takes an RSA key"},
		"P256ForP384":       {Config{KeyFile: ecFile, Algorithm: "ES384"}, "P-384"},
		"RSAForEd25519":     {Config{KeyFile: rsaFile, Algorithm: "EdDSA"}, "Ed25519"},
		"NoFile":            {Config{KeyFile: "/nonexistent/key", Algorithm: "RS256"}, "no such file"},
		"Folder":            {Config{KeyFile: t.TempDir(), Algorithm: "RS256"}, "no file with a key"},
		"Huge":              {Config{KeyFile: huge, Algorithm: "RS256"}, "no file with a key"},
		"Odd":               {Config{KeyFile: odd, Algorithm: "RS256"}, "no PEM block"},
		"Private":           {Config{KeyFile: privatePEM(t, keys()["RS256"]), Algorithm: "RS256"}, "private key"},
		"BrokenPEM":         {Config{KeyFile: writePEM(t, "PUBLIC KEY", []byte{1}), Algorithm: "RS256"}, "asn1"},
		"OtherPEM":          {Config{KeyFile: writePEM(t, "NEW CERTIFICATE REQUEST", []byte{1}), Algorithm: "RS256"}, "NEW CERTIFICATE REQUEST"},
		"ShortRSA":          {Config{KeyFile: publicPEM(t, short), Algorithm: "RS256"}, "1024 bits; use one of at least 2048"},
		"NoURL":             {Config{JWKSURL: "issuer.example/keys", Algorithm: "RS256"}, "AGENTEXEC_JWKS_URL"},
		"FileURL":           {Config{JWKSURL: "file:///etc/passwd", Algorithm: "RS256"}, "AGENTEXEC_JWKS_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(test.cfg)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "secretive")
		})
	}
}

// TestNewWarns: what works and is weak is said loudly, without the secret.
func TestNewWarns(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Secret: "geheim"}, {Secret: secret[:63], Algorithm: "HS512"}, {JWKSURL: "http://issuer.example/keys", Algorithm: "RS256"},
	} {
		logged := &logtest.Buffer{}
		cfg.Logger = logged.Logger()
		_, err := New(cfg)
		require.NoError(t, err)
		require.Contains(t, logged.String(), "level=WARN")
		require.True(t, cfg.Secret == "" || !strings.Contains(logged.String(), cfg.Secret))
	}
	for _, cfg := range []Config{
		{Secret: secret[:32]}, {Secret: secret, Algorithm: "HS512"}, {JWKSURL: "https://issuer.example/keys", Algorithm: "RS256"},
		{JWKSURL: "http://127.0.0.1:1/keys", Algorithm: "RS256"}, {JWKSURL: "http://localhost/keys", Algorithm: "RS256"},
	} {
		logged := &logtest.Buffer{}
		cfg.Logger = logged.Logger()
		_, err := New(cfg)
		require.NoError(t, err)
		require.Empty(t, logged.String())
	}
}

// TestKeyFiles: a public key comes in several wrappings.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	key, ok := keys()["RS256"].(*rsa.PrivateKey)
	require.True(t, ok)
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "issuer"}}, key.Public(), key)
	require.NoError(t, err)
	for _, file := range []string{
		publicPEM(t, key), writePEM(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)), writePEM(t, "CERTIFICATE", certificate),
	} {
		_, err := verifier(t, Config{KeyFile: file, Algorithm: "RS256"}).Verify(t.Context(), sign(t, "RS256", key, good()))
		require.NoError(t, err)
	}
}

// TestMint: what is minted holds, and grants what was asked for and no more.
func TestMint(t *testing.T) {
	t.Parallel()
	full := Everything()
	full.Subject, full.Expires = "ada", time.Unix(time.Now().Add(time.Hour).Unix(), 0)
	narrow := Grant{Expires: full.Expires, Read: true, Scope: client.Scope{
		AgentIDs: []uuid.UUID{uuid.New()}, AgentTypes: []string{"research"}, Metadata: map[string]any{"org": "1"},
	}}
	nothing := Grant{Expires: full.Expires, Read: true, Scope: client.Scope{AgentIDs: []uuid.UUID{}}}
	for algorithm, takes := range algorithms {
		for _, g := range []Grant{full, narrow, nothing} {
			mint, check := MintConfig{Algorithm: algorithm, Issuer: "me", Audience: "us"}, Config{Algorithm: algorithm, Issuer: "me", Audience: "us"}
			if takes == kindSecret {
				mint.Secret, check.Secret = secret, secret
			}
			for name, key := range keys() {
				if kindOf(key.Public()) == takes && name != "other RS256" {
					mint.PrivateKeyFile, check.KeyFile = privatePEM(t, key), publicPEM(t, key)
				}
			}
			token, err := Mint(mint, g)
			require.NoError(t, err, algorithm)
			got, err := verifier(t, check).Verify(t.Context(), token)
			require.NoError(t, err, algorithm)
			require.Equal(t, g, got)
			require.Equal(t, g.Subject == "ada", got.IsEverything())
		}
	}
	for says, cfg := range map[string]MintConfig{
		"needs a key":            {},
		"needs one key":          {Secret: secret, PrivateKeyFile: "x"},
		"no such file":           {PrivateKeyFile: "/nonexistent/key"},
		"PRIVATE KEY":            {PrivateKeyFile: publicPEM(t, keys()["RS256"])},
		"RS256 takes an RSA key": {Secret: secret, Algorithm: "RS256"},
		"HS256 takes a secret":   {PrivateKeyFile: privatePEM(t, keys()["ES256"]), Algorithm: "HS256"},
		`"none" is not known`:    {Secret: secret, Algorithm: "none"},
	} {
		_, err := Mint(cfg, full)
		require.ErrorContains(t, err, says)
	}
	_, err := Mint(MintConfig{Secret: secret}, Grant{Scope: client.Scope{AgentTypes: []string{strings.Repeat("x", MaxToken)}}})
	require.ErrorContains(t, err, "bytes")
}
