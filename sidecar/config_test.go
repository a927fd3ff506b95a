package sidecar_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// TestConfigPrintsNoSecret: however a program prints its configuration, or logs it, no secret is in the text.
func TestConfigPrintsNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "hush-0123456789"
	url := "postgres://worker:" + secret + "@db/app"
	cfg := sidecar.Config{
		DatabaseURL: url, ListenURL: url, Schema: "app", Addr: "127.0.0.1:8484",
		Auth: sidecar.Auth{Secret: secret, JWKSURL: "https://worker:" + secret + "@keys/jwks", Algorithm: "HS256"},
	}
	for _, value := range []any{cfg, &cfg, cfg.Auth, &cfg.Auth, struct{ Config sidecar.Config }{cfg}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			require.NotContains(t, fmt.Sprintf(verb, value), secret, "%T with %s", value, verb)
		}
		for _, handler := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var out bytes.Buffer
			slog.New(handler(&out)).Info("starting", "config", value)
			require.Contains(t, out.String(), "starting")
			require.NotContains(t, out.String(), secret, "%T", value)
		}
	}
	require.Equal(t, `sidecar of schema "app" at "127.0.0.1:8484"`, cfg.String())
	require.Equal(t, "tokens required", cfg.Auth.String())
	require.Equal(t, "no tokens", sidecar.Auth{}.String())
}
