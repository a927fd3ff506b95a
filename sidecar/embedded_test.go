package sidecar_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// TestHandlerUnderAPrefix mounts the whole service in a server of the test's own: the feed as a WebSocket and as an event
// stream, the API, and the dashboard with its files.
func TestHandlerUnderAPrefix(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ready := make(chan string, 1)
	server, err := sidecar.New(sidecar.Config{DatabaseURL: db.URL, NoListener: true, OnReady: func(url string) { ready <- url }})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/agentexec/", http.StripPrefix("/agentexec", server.Handler()))
	web := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		web.Close()
	})
	require.Empty(t, <-ready)

	s := &service{url: web.URL + "/agentexec", db: db, c: client.New(db.Pool(t))}
	id := s.create(t, "two")
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 2)
	s.append(t, id, "three")
	so.lines(t, 2, 1)
	events := s.events(t, "/v1/feed/"+id.String())
	for _, want := range []string{"snapshot", "logs"} {
		e, err := events.next()
		require.NoError(t, err)
		require.Equal(t, want, e.Type)
	}

	for _, page := range []string{"/", "/activities/" + id.String(), "/v1/activities/" + id.String(), "/readyz", "/openapi.json"} {
		response, err := http.Get(s.url + page)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, page)
	}
	response, err := http.Get(web.URL + "/v1/activities/" + id.String())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNotFound, response.StatusCode, "outside of the prefix the server is the program's")

	cancel()
	require.NoError(t, <-ended)
	ended <- nil // for the cleanup
	response, err = http.Get(s.url + "/v1/stats")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "Run has ended")
}

// TestNoListenerIgnoresTheAddress: without a port of its own the service asks for no address and no certificate, but for a secret
// that cannot be guessed.
func TestNoListenerIgnoresTheAddress(t *testing.T) {
	t.Parallel()
	server, err := sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", NoListener: true, Addr: "nonsense", TLSCert: "none"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, server.Run(ctx))
	_, err = sidecar.New(sidecar.Config{DatabaseURL: "postgres://x", NoListener: true, Auth: sidecar.Auth{Secret: "short"}})
	require.ErrorContains(t, err, "use at least 32 random ones")
}

// TestProfilesStayPrivate: the package puts nothing into the mux that every program has.
func TestProfilesStayPrivate(t *testing.T) {
	t.Parallel()
	_, pattern := http.DefaultServeMux.Handler(httptest.NewRequest(http.MethodGet, "/debug/pprof/heap", nil))
	require.Empty(t, pattern)
}
