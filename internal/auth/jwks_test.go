package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
)

// issuer answers with a key set that a test may change, or with a fault.
type issuer struct {
	server *httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	answer http.HandlerFunc
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		i.mu.Lock()
		answer := i.answer
		i.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) answers(f http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = f
}

// has the set consist of these keys by kid.
func (i *issuer) has(t *testing.T, algorithm string, keys map[string]crypto.Signer) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for kid, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{ALG: jwkset.ALG(algorithm), KID: kid, USE: jwkset.UseSig},
		})
		require.NoError(t, err)
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(set)
	require.NoError(t, err)
	i.says(string(text))
}

func (i *issuer) says(text string) {
	i.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

// follow returns a Verifier that runs until the test ends.
func (i *issuer) follow(t *testing.T, algorithm string, logger *slog.Logger) *Verifier {
	t.Helper()
	v := verifier(t, Config{JWKSURL: i.server.URL, Algorithm: algorithm, Logger: logger})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = v.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return v
}

// TestJWKSTokenFirst: a token that came before the first fetch waits for it; there is no second fetch.
func TestJWKSTokenFirst(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.has(t, "EdDSA", map[string]crypto.Signer{"a": keys()["EdDSA"]})
	v := verifier(t, Config{JWKSURL: i.server.URL, Algorithm: "EdDSA"})
	_, err := v.Verify(t.Context(), sign(t, "EdDSA", keys()["EdDSA"], good(), "kid", "a"))
	require.NoError(t, err)
	<-v.jwks.first()
	require.EqualValues(t, 1, i.asked.Load())
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.has(t, algorithm, map[string]crypto.Signer{"a": keys()[algorithm]})
			v := i.follow(t, algorithm, nil)
			for _, header := range [][]string{{"kid", "a"}, nil} {
				_, err := v.Verify(t.Context(), sign(t, algorithm, keys()[algorithm], good(), header...))
				require.NoError(t, err)
			}
			require.EqualValues(t, 1, i.asked.Load())
		})
	}
}

// TestJWKSNewKey: a key that the set got meanwhile is found by the first token that names it, whose key is gone is
// refused, though it was known; and tokens that name unknown keys cause no more than one fetch in a while.
func TestJWKSNewKey(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.has(t, "RS256", map[string]crypto.Signer{"a": keys()["RS256"]})
	v := i.follow(t, "RS256", nil)
	old := sign(t, "RS256", keys()["RS256"], good(), "kid", "a")
	_, err := v.Verify(t.Context(), old)
	require.NoError(t, err)

	i.has(t, "RS256", map[string]crypto.Signer{"b": keys()["other RS256"]})
	fresh := sign(t, "RS256", keys()["other RS256"], good(), "kid", "b")
	_, err = v.Verify(t.Context(), fresh)
	require.ErrorContains(t, err, "not known", "the set was read a moment ago")
	v.jwks.mu.Lock()
	v.jwks.started = v.jwks.started.Add(-jwksCooldown)
	v.jwks.mu.Unlock()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := v.Verify(t.Context(), fresh); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	_, err = v.Verify(t.Context(), old)
	require.ErrorContains(t, err, "not known")
	for n := range 200 {
		_, err = v.Verify(t.Context(), sign(t, "RS256", keys()["RS256"], good(), "kid", fmt.Sprint(n)))
		require.ErrorContains(t, err, "not known")
	}
	require.EqualValues(t, 2, i.asked.Load())
}

// TestJWKSKeyOfAnotherKind: in a set there may be keys for anything.
func TestJWKSKeyOfAnotherKind(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.has(t, "", map[string]crypto.Signer{"rsa": keys()["RS256"], "ec": keys()["ES384"], "p256": keys()["ES256"], "ed": keys()["EdDSA"]})
	v := i.follow(t, "ES256", nil)
	_, err := v.Verify(t.Context(), sign(t, "ES256", keys()["ES256"], good(), "kid", "p256"))
	require.NoError(t, err)
	for kid, refused := range map[string]string{"rsa": "not known", "ed": "not known", "ec": "not known"} {
		_, err := v.Verify(t.Context(), sign(t, "ES256", keys()["ES256"], good(), "kid", kid))
		require.ErrorContains(t, err, refused, kid)
	}
	secret := `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"},{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"b"},{"kty":"what"},{}]}`
	i.says(secret)
	<-v.jwks.fetch()
	require.True(t, v.jwks.hasFailed(), "none of these is for ES256")
	_, err = v.Verify(t.Context(), sign(t, "ES256", keys()["ES256"], good(), "kid", "p256"))
	require.NoError(t, err, "the keys that were had are kept")
}

// jwk is the JWK of a key, with changes.
func jwk(t *testing.T, key crypto.Signer, changes map[string]any) map[string]any {
	t.Helper()
	made, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{})
	require.NoError(t, err)
	text, err := json.Marshal(made.Marshal())
	require.NoError(t, err)
	members := map[string]any{}
	require.NoError(t, json.Unmarshal(text, &members))
	maps.Copy(members, changes)
	return members
}

func keySetOf(t *testing.T, all ...map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": all})
	require.NoError(t, err)
	return string(text)
}

// TestJWKSWeakKeys: a key that can be broken, or that is for something else, signs no token.
func TestJWKSWeakKeys(t *testing.T) {
	t.Parallel()
	weak := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		require.NoError(t, err)
		return key
	}
	rsaKey := keys()["RS256"]
	for name, test := range map[string]struct {
		algorithm string
		key       crypto.Signer
		jwk       map[string]any
		holds     bool
	}{
		"RSA1024":          {"RS256", weak(1024), nil, false},
		"RSA2047":          {"RS256", weak(2047), nil, false},
		"RSA2048":          {"RS256", rsaKey, nil, true},
		"Encryption":       {"RS256", rsaKey, map[string]any{"use": "enc"}, false},
		"Signatures":       {"RS256", rsaKey, map[string]any{"use": "sig", "alg": "RS256", "key_ops": []string{"verify"}}, true},
		"Encrypts":         {"RS256", rsaKey, map[string]any{"key_ops": []string{"encrypt", "wrapKey"}}, false},
		"SignsOnly":        {"RS256", rsaKey, map[string]any{"key_ops": []string{"sign"}}, false},
		"VerifiesToo":      {"RS256", rsaKey, map[string]any{"key_ops": []string{"sign", "verify"}}, true},
		"OtherAlgorithm":   {"RS256", rsaKey, map[string]any{"alg": "RS512"}, false},
		"KeyOfEncryption":  {"RS256", rsaKey, map[string]any{"alg": "RSA-OAEP-256"}, false},
		"OtherCurve":       {"ES256", keys()["ES256"], map[string]any{"alg": "ES384"}, false},
		"NamedRight":       {"EdDSA", keys()["EdDSA"], map[string]any{"alg": "EdDSA"}, true},
		"ExponentOfOne":    {"RS256", rsaKey, map[string]any{"e": "AQ"}, false},
		"ExponentIsEven":   {"RS256", rsaKey, map[string]any{"e": "AQAA"}, false},
		"ExponentIsHuge":   {"RS256", rsaKey, map[string]any{"e": "AQAAAAAAAAAB"}, false},
		"PrivateParameter": {"RS256", rsaKey, map[string]any{"d": "AQAB"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.says(keySetOf(t, jwk(t, keys()["other RS256"], map[string]any{"kid": "other"}), jwk(t, keys()["ES384"], map[string]any{"kid": "ec"}),
				jwk(t, test.key, test.jwk)))
			v := i.follow(t, test.algorithm, nil)
			_, err := v.Verify(t.Context(), sign(t, test.algorithm, test.key, good()))
			require.Equal(t, test.holds, err == nil, err)
		})
	}
}

// TestJWKSOneNameForSeveralKeys: all of them are tried, up to a bound.
func TestJWKSOneNameForSeveralKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	named := map[string]any{"kid": "a"}
	i.says(keySetOf(t, jwk(t, keys()["RS256"], named), jwk(t, keys()["ES256"], named), jwk(t, keys()["other RS256"], named)))
	v := i.follow(t, "RS256", nil)
	for _, key := range []string{"RS256", "other RS256"} {
		_, err := v.Verify(t.Context(), sign(t, "RS256", keys()[key], good(), "kid", "a"))
		require.NoError(t, err, key)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), sign(t, "RS256", stranger, good(), "kid", "a"))
	require.ErrorContains(t, err, "signature")

	many := make([]map[string]any, maxTried+1)
	for n := range many {
		many[n] = jwk(t, keys()["EdDSA"], named)
	}
	i.says(keySetOf(t, many...))
	w := i.follow(t, "EdDSA", nil)
	_, err = w.Verify(t.Context(), sign(t, "EdDSA", keys()["EdDSA"], good(), "kid", "a"))
	require.ErrorContains(t, err, "several")
	_, err = w.Verify(t.Context(), sign(t, "EdDSA", keys()["EdDSA"], good(), "kid", ""))
	require.ErrorContains(t, err, "not known")
}

// TestJWKSDown: while the keys cannot be had, tokens are neither taken nor called bad; it is said once, without the
// token, and is over when the URL answers.
func TestJWKSDown(t *testing.T) {
	t.Parallel()
	large := strings.Repeat(" ", maxJWKS) + `{"keys":[]}`
	for name, answer := range map[string]http.HandlerFunc{
		"Error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) },
		"NoJSON":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"NoKeys":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"Null":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`null`)) },
		"KeysOdd":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":7}`)) },
		"TooLarge": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(large)) },
		"TooMany": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat("{},", maxJWKSKeys) + `{}]}`))
		},
		"CutOff": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, logged := newIssuer(t), &logtest.Buffer{}
			i.answers(answer)
			v := i.follow(t, "RS256", logged.Logger())
			token := sign(t, "RS256", keys()["RS256"], good(), "kid", "a")
			for range 20 {
				_, err := v.Verify(t.Context(), token)
				require.ErrorIs(t, err, ErrUnavailable)
			}
			require.Equal(t, 1, strings.Count(logged.String(), "does not answer with keys"), logged)
			require.NotContains(t, logged.String(), token)

			i.has(t, "RS256", map[string]crypto.Signer{"a": keys()["RS256"]})
			require.Eventually(t, func() bool {
				_, err := v.Verify(t.Context(), token)
				return err == nil
			}, 20*time.Second, 20*time.Millisecond, "it is tried again")

			i.answers(answer)
			<-v.jwks.fetch()
			_, err := v.Verify(t.Context(), token)
			require.NoError(t, err, "the keys that were had are kept")
			_, err = v.Verify(t.Context(), sign(t, "RS256", keys()["RS256"], good(), "kid", "b"))
			require.ErrorIs(t, err, ErrUnavailable, "perhaps it would be known by now")

			set := *v.jwks.keys.Load()
			set.fetched = time.Now().Add(-jwksKeep)
			v.jwks.keys.Store(&set)
			_, err = v.Verify(t.Context(), token)
			require.ErrorIs(t, err, ErrUnavailable, "but not for ever")
		})
	}
}

// TestJWKSSilent: a URL that takes the question and never answers delays no token whose key is known, and not the shutdown.
func TestJWKSSilent(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.has(t, "RS256", map[string]crypto.Signer{"a": keys()["RS256"]})
	v := i.follow(t, "RS256", nil)
	_, err := v.Verify(t.Context(), sign(t, "RS256", keys()["RS256"], good(), "kid", "a"))
	require.NoError(t, err)
	arrived := make(chan struct{})
	i.answers(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	v.jwks.fetch()
	<-arrived
	_, err = v.Verify(t.Context(), sign(t, "RS256", keys()["RS256"], good(map[string]any{"sub": "bob"}), "kid", "a"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.Verify(ctx, sign(t, "RS256", keys()["RS256"], good(), "kid", "b"))
	require.ErrorIs(t, err, ErrUnavailable)
}

// TestJWKSManyKeys: a token that names no key is not tried with all of a large set.
func TestJWKSManyKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	all := map[string]crypto.Signer{}
	for n := range maxTried + 1 {
		all[fmt.Sprint(n)] = keys()["EdDSA"]
	}
	i.has(t, "EdDSA", all)
	v := i.follow(t, "EdDSA", nil)
	_, err := v.Verify(t.Context(), sign(t, "EdDSA", keys()["EdDSA"], good(), "kid", "3"))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), sign(t, "EdDSA", keys()["EdDSA"], good()))
	require.ErrorContains(t, err, "names no key")
}
