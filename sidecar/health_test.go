package sidecar_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))

	t.Run("OnlyGet", func(t *testing.T) {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			resp, err := http.Post(s.url+path, "text/plain", nil)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, path)
			require.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))
		}
	})

	// Every connection of the pool is used, so each of them fails once after the restart.
	t.Run("BackAfterARestart", func(t *testing.T) {
		s.awaitReadiness(t, http.StatusOK, "healthy")
		id := s.create(t)
		for range 50 {
			so := s.open(t)
			so.subscribe(t, id, 0)
			require.Equal(t, "snapshot", so.next(t).Type)
		}
		require.NoError(t, server.Stop())
		s.awaitReadiness(t, http.StatusServiceUnavailable, "unhealthy")
		<-time.After(6 * time.Second) // a probe is due meanwhile, every 5 s, and must not disturb the recovery
		require.NoError(t, server.Restart(t.Context()))
		s.awaitReadiness(t, http.StatusOK, "healthy")
	})
}
