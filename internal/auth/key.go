package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
)

const (
	// maxKeyFile is far above the size of any key; a larger file is no key.
	maxKeyFile = 64 << 10
	// minRSABits is the minimum of RFC 7518.
	minRSABits = 2048
)

// secretKey returns the key of HS256, HS384 and HS512. A PEM file in its place is refused: with a public key as the secret,
// every holder of that key could sign.
func secretKey(c Config) ([]byte, error) {
	if strings.Contains(c.Secret, "-----BEGIN ") {
		return nil, errors.New("AGENTEXEC_JWT_SECRET holds a PEM key, which others may know: name its file in AGENTEXEC_JWT_KEY_FILE, " +
			"with the algorithm in AGENTEXEC_JWT_ALGORITHM, or choose a secret")
	}
	if want := secretBytes[c.Algorithm]; len(c.Secret) < want {
		c.Logger.Warn("AGENTEXEC_JWT_SECRET is short: a guess of it makes valid tokens. Use random bytes, "+
			"such as those of: openssl rand -base64 48", "bytes", len(c.Secret), "algorithm", c.Algorithm, "at_least", want)
	}
	return []byte(c.Secret), nil
}

// publicKeyFile reads the key of the other algorithms.
func publicKeyFile(c Config) (crypto.PublicKey, error) {
	data, err := readKeyFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("AGENTEXEC_JWT_KEY_FILE: %w", err)
	}
	key, err := parsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("AGENTEXEC_JWT_KEY_FILE: %s: %w", c.KeyFile, err)
	}
	if want := algorithms[c.Algorithm]; kindOf(key) != want {
		return nil, fmt.Errorf("AGENTEXEC_JWT_KEY_FILE: %s holds %s, and %s takes %s", c.KeyFile, kindOf(key), c.Algorithm, want)
	}
	if key, ok := key.(*rsa.PublicKey); ok {
		if err := checkRSA(key); err != nil {
			return nil, fmt.Errorf("AGENTEXEC_JWT_KEY_FILE: %s holds %w", c.KeyFile, err)
		}
	}
	return key, nil
}

// checkRSA refuses an invalid key, and one that can be broken.
func checkRSA(key *rsa.PublicKey) error {
	switch {
	case key.N.BitLen() < minRSABits:
		return fmt.Errorf("an RSA key of %d bits; use one of at least %d", key.N.BitLen(), minRSABits)
	case key.E < 3 || key.E%2 == 0 || int64(key.E) > math.MaxInt32:
		return fmt.Errorf("an RSA key with the exponent %d; the usual one is 65537", key.E)
	}
	return nil
}

func readKeyFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxKeyFile:
		return nil, fmt.Errorf("%s is no file with a key", name)
	}
	return os.ReadFile(name)
}

// parsePublicKey reads a public key, or the key of a certificate, from PEM.
func parsePublicKey(data []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	switch {
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("holds a private key, and only the public one belongs here: openssl pkey -pubout makes it")
	}
	return nil, fmt.Errorf("holds %.40q, and not PUBLIC KEY or CERTIFICATE", block.Type)
}

// parsePrivateKey reads a private key from PEM.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(data)
	for block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam puts it before the key
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	var (
		key any
		err error
	)
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("holds %.40q; a token is signed with a PRIVATE KEY without a password", block.Type)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("holds a key that cannot sign")
	}
	return signer, nil
}

// kindOf returns the kind of a public key.
func kindOf(key crypto.PublicKey) kind {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return kindRSA
	case ed25519.PublicKey:
		return kindEd25519
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256:
			return kindP256
		case 384:
			return kindP384
		case 521:
			return kindP521
		}
	}
	return kind(fmt.Sprintf("a %T", key))
}
