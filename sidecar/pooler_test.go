package sidecar_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// TestNoPreparedStatements runs as behind a pooler that knows no prepared statements.
func TestNoPreparedStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := setup(t, func(cfg *sidecar.Config) { cfg.DatabaseURL += "&default_query_exec_mode=" + mode })
			works(t, s)
		})
	}
}

// works takes a line through snapshot, replay and live, and a list.
func works(t *testing.T, s *service) {
	t.Helper()
	id := s.create(t, "two")
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 2)
	s.append(t, id, "three")
	so.lines(t, 2, 1)
	so.send(t, `{"type":"subscribe","sub":"l","list":{"agent_type":"research","metadata":{},"statuses":["QUEUED"]}}`)
	require.NotEmpty(t, so.next(t).Items)
}

// readiness is what /readyz says.
func (s *service) readiness(t testing.TB) (status int, listen string) {
	t.Helper()
	resp, err := http.Get(s.url + "/readyz")
	require.NoError(t, err)
	defer resp.Body.Close()
	var body struct {
		Listen string `json:"listen"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	return resp.StatusCode, body.Listen
}

func (s *service) awaitReadiness(t testing.TB, status int, listen string) {
	t.Helper()
	require.Eventually(t, func() bool {
		code, state := s.readiness(t)
		return code == status && state == listen
	}, patience, 20*time.Millisecond)
}

func TestPollOnly(t *testing.T) {
	t.Parallel()
	s := setup(t, func(cfg *sidecar.Config) { cfg.PollOnly = true })
	works(t, s)
	s.awaitReadiness(t, http.StatusOK, "off")
	require.Zero(t, listen(t, s.db).received(t), "no sidecar listens, so no writer notifies")
}

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pooled := pgtest.PgBouncer(t, db.URL)

	t.Run("WithListenURL", func(t *testing.T) {
		t.Parallel()
		s := start(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL, cfg.ListenURL = pooled, db.URL })
		works(t, s)
		s.awaitReadiness(t, http.StatusOK, "healthy")
	})
	t.Run("WithoutListenURL", func(t *testing.T) {
		t.Parallel()
		s := start(t, db, func(cfg *sidecar.Config) { cfg.DatabaseURL = pooled })
		works(t, s)
		s.awaitReadiness(t, http.StatusOK, "polling")
		works(t, s)
		require.Zero(t, s.metric(t, "agentexec_wakeup_lock_taken_total"), "a lock of a pooled session belongs to another client")
	})
}
