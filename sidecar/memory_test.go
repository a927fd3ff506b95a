package sidecar_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// slowly asks for an activity's page and takes nothing of the answer.
func (s *service) slowly(t testing.TB, id uuid.UUID) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	if tcp, ok := conn.(*net.TCPConn); ok {
		require.NoError(t, tcp.SetReadBuffer(16<<10))
	}
	_, err = fmt.Fprintf(conn, "GET /v1/activities/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", id)
	require.NoError(t, err)
	return conn
}

// TestASlowReaderCostsABoundedAmount: many clients that ask for large pages and take nothing of them hold no more memory than
// the budget for answers. A request beyond it is answered 503 with Retry-After; small answers go on, and large ones again
// when the slow clients are gone.
//
// It is not parallel: it weighs the heap.
func TestASlowReaderCostsABoundedAmount(t *testing.T) { //nolint:paralleltest // it weighs the heap
	const budget = 16 << 20
	s := setup(t, func(cfg *sidecar.Config) {
		cfg.Limits.HeldBytes, cfg.Feed.WriteTimeout = budget, 5*time.Minute
	})
	id := s.create(t)
	s.bulk(t, id, 32<<20)
	s.call(t, http.MethodGet, "/v1/activities/"+id.String(), "", 200)
	before := heap()
	var slow []net.Conn
	for range 40 {
		slow = append(slow, s.slowly(t, id))
	}
	s.awaitAtLeast(t, "agentexec_held_bytes", 11<<20)
	s.awaitAtLeast(t, `agentexec_over_limit_total{limit="held_bytes"}`, 30)
	grown := heap() - before
	t.Logf("the heap grew by %d MiB", grown>>20)
	// A connection keeps the bytes of its last read until the next one, so each may hold a page too.
	require.Less(t, grown, budget+8*(8<<20))

	status, text, err := s.tryCall(http.MethodGet, "/v1/activities/"+id.String(), "")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status, text)
	for _, path := range []string{"/v1/stats", "/healthz"} {
		s.call(t, http.MethodGet, path, "", 200)
	}
	s.call(t, http.MethodPost, "/v1/activities/"+id.String()+"/logs", `{"message":"x"}`, 201)
	s.awaitProblem(t, "memory: ")

	refused := 0
	for _, conn := range slow {
		resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 4096), nil)
		require.NoError(t, err)
		if resp.StatusCode == http.StatusServiceUnavailable {
			refused++
			require.NotEmpty(t, resp.Header.Get("Retry-After"))
		}
		_ = conn.Close() // first: closing the body reads the rest of it
		_ = resp.Body.Close()
	}
	require.GreaterOrEqual(t, refused, 30)
	s.await(t, "agentexec_held_bytes", 0)
	s.call(t, http.MethodGet, "/v1/activities/"+id.String(), "", 200)
	s.awaitProblem(t, "")
}

// TestBodiesCountAsHeld: what clients send slowly is bounded like what they take slowly.
func TestBodiesCountAsHeld(t *testing.T) {
	t.Parallel()
	s := setup(t, func(cfg *sidecar.Config) { cfg.Limits.HeldBytes = 4 << 20 })
	path := "/v1/activities/" + s.create(t).String() + "/logs"
	for range 10 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", path)
		require.NoError(t, err)
	}
	s.awaitAtLeast(t, `agentexec_over_limit_total{limit="held_bytes"}`, 6)
	require.LessOrEqual(t, s.metric(t, "agentexec_held_bytes"), float64(4<<20))
	s.call(t, http.MethodPost, path, `{"message":"small"}`, 201)
}

func (s *service) awaitAtLeast(t testing.TB, name string, value float64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.metric(t, name) >= value }, patience, 10*time.Millisecond, name)
}
