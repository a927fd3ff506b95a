package sidecar_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// ready is the answer of /readyz.
type ready struct {
	status   int
	took     time.Duration
	Ready    bool
	Tail     bool
	Parts    map[string]bool
	Problems []string
}

func (s *service) askReady(t testing.TB) (r ready) {
	t.Helper()
	began := time.Now()
	resp, err := http.Get(s.url + "/readyz")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&r))
	r.status, r.took = resp.StatusCode, time.Since(began)
	require.Equal(t, r.status == http.StatusOK, r.Ready)
	require.Equal(t, r.Ready, len(r.Problems) == 0, r.Problems)
	return r
}

// awaitProblem waits until /readyz names a problem that begins so, or with "" none.
func (s *service) awaitProblem(t testing.TB, begins string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r := s.askReady(t)
		if begins == "" {
			return r.Ready
		}
		for _, problem := range r.Problems {
			if strings.HasPrefix(problem, begins) {
				return true
			}
		}
		return false
	}, 2*patience, 100*time.Millisecond)
}

// TestReadinessOfWrites: where callers go on canceling a locked activity, no write gets a connection. Readiness fails and says
// so, reads go on, and it is ready again when the row is free.
func TestReadinessOfWrites(t *testing.T) {
	t.Parallel()
	s := setup(t, func(cfg *sidecar.Config) { cfg.PoolSize = 4 })
	s.awaitProblem(t, "")
	id, release := s.locked(t)
	defer release()
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _, _ = s.tryCall(http.MethodPost, "/v1/activities/"+id.String()+"/logs", `{"message":"x"}`)
				}
			}
		})
	}
	s.awaitProblem(t, "writes: ")
	r := s.askReady(t)
	require.Equal(t, map[string]bool{"reads": true, "writes": false, "memory": true}, r.Parts)
	require.True(t, r.Tail)
	s.call(t, http.MethodGet, "/v1/activities", "", 200)
	close(stop)
	release()
	callers.Wait()
	s.awaitProblem(t, "")
}

// TestReadinessOfReads: a session holds the tables, so that nothing can be read.
func TestReadinessOfReads(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.awaitProblem(t, "")
	tx, err := s.db.Conn(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table agentexec.activity in access exclusive mode")
	require.NoError(t, err)
	text := s.call(t, http.MethodGet, "/v1/stats", "", 503)
	require.Contains(t, text, `"code":"55P03"`)
	s.awaitProblem(t, "reads: ")
	require.NoError(t, tx.Rollback(t.Context()))
	s.awaitProblem(t, "")
	s.call(t, http.MethodGet, "/v1/stats", "", 200)
}

// TestReadinessWithoutPostgres: every part is named, and there again with the server.
func TestReadinessWithoutPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	s.awaitProblem(t, "")
	require.NoError(t, server.Stop())
	s.awaitProblem(t, "tail: ")
	for _, part := range []string{"reads: ", "writes: "} {
		s.awaitProblem(t, part)
	}
	require.Equal(t, http.StatusOK, s.get(t, "/healthz").status)
	require.NoError(t, server.Restart(t.Context()))
	s.awaitProblem(t, "")
}
