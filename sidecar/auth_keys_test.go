package sidecar_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/sidecar"
)

// TestKeysOfAURL: while the issuer is down no token is accepted and none is called invalid, nothing else is disturbed, and
// it is over when the issuer is back.
func TestKeysOfAURL(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	var up atomic.Bool
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "x": base64.RawURLEncoding.EncodeToString(public),
		}}})
	}))
	t.Cleanup(issuer.Close)
	s := setup(t, func(c *sidecar.Config) { c.Auth = sidecar.Auth{JWKSURL: issuer.URL, Algorithm: "EdDSA"} })
	signed := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"exp": time.Now().Add(time.Hour).Unix(), "agentexec": map[string]any{"read": true},
	})
	signed.Header["kid"] = "a"
	good, err := signed.SignedString(private)
	require.NoError(t, err)

	bearer := []string{"Authorization", "Bearer " + good}
	for range 5 {
		status, header, body := s.ask(t, "GET", "/v1/stats", bearer...)
		require.Equal(t, 503, status, body)
		require.NotEmpty(t, header.Get("Retry-After"))
	}
	_, resp, err := dial(s.url, "/v1/feed", http.Header{"Authorization": {"Bearer " + good}})
	require.Error(t, err)
	_ = resp.Body.Close()
	require.Equal(t, 503, resp.StatusCode)
	require.Eventually(t, func() bool {
		status, _, _ := s.ask(t, "GET", "/readyz")
		return status == 200
	}, patience, 20*time.Millisecond)
	status, _, _ := s.ask(t, "GET", "/v1/stats")
	require.Equal(t, 401, status, "without a token there is nothing to wait for")

	up.Store(true)
	require.Eventually(t, func() bool {
		status, _, _ := s.ask(t, "GET", "/v1/stats", bearer...)
		return status == 200
	}, patience, 50*time.Millisecond)
	up.Store(false)
	status, _, _ = s.ask(t, "GET", "/v1/stats", bearer...)
	require.Equal(t, 200, status, "what was fetched is kept")
	require.NotNil(t, s.dialWith(t, "/v1/feed", good))
}

// TestHugeTokens: they are refused before they cost anything, and a socket that is open does not notice.
func TestHugeTokens(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	so := s.dialWith(t, "/v1/feed", reader(t))
	require.Equal(t, "welcome", so.next(t).Type)
	claims := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()}
	for i := range 10_000 {
		claims["claim"+strconv.Itoa(i)] = i
	}
	many, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(jwtSecret))
	require.NoError(t, err)
	for _, huge := range []string{strings.Repeat("x", auth.MaxToken+1), strings.Repeat("a.b.", 10_000), many} {
		for _, path := range []string{"/v1/stats", "/v1/feed"} {
			status, _, _ := s.ask(t, "GET", path, "Authorization", "Bearer "+huge)
			require.Contains(t, []int{401, 431}, status) // 431: so long a header is not even read
		}
		status, _, _ := s.ask(t, "GET", "/v1/feed", "Sec-WebSocket-Protocol", "agentexec.v1, bearer."+huge, "Connection", "Upgrade",
			"Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		require.Contains(t, []int{401, 431}, status)
	}
	so.send(t, `{"type":"auth","token":"`+many[:50_000]+`"}`)
	require.Contains(t, so.next(t).Message, "too long")
	so.send(t, `{"type":"ping"}`)
	require.Equal(t, "pong", so.next(t).Type)
}
