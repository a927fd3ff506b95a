package sidecar_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// post sends JSON to the API.
func (s *service) post(t testing.TB, path, body string) refusal {
	t.Helper()
	resp, err := http.Post(s.url+path, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	return refused(t, resp)
}

// postLine writes a line through HTTP, as soon as it is taken.
func (s *service) postLine(t testing.TB, id uuid.UUID) {
	t.Helper()
	require.Eventually(t, func() bool {
		return s.post(t, "/v1/activities/"+id.String()+"/logs", `{"message":"posted"}`).status == http.StatusCreated
	}, patience, 20*time.Millisecond)
}

// refusesToWrite waits until writes are refused, and checks that they are in a way that a client understands.
func (s *service) refusesToWrite(t testing.TB, id uuid.UUID) {
	t.Helper()
	logs := "/v1/activities/" + id.String() + "/logs"
	require.Eventually(t, func() bool {
		return s.post(t, logs, `{"message":"x"}`).status == http.StatusServiceUnavailable
	}, patience, 20*time.Millisecond)
	for path, body := range map[string]string{
		logs: `{"message":"x"}`, "/v1/activities": `{"task_name":"x"}`, "/v1/activities/cancel-pending": `{"all":true}`,
	} {
		r := s.post(t, path, body)
		require.NotEmpty(t, r.problem(t, http.StatusServiceUnavailable, "unavailable"))
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
}

// reads checks that what only reads goes on, after the first look at connections that a restart has ended.
func (s *service) reads(t testing.TB, id uuid.UUID, lines int) {
	t.Helper()
	for _, path := range []string{"/v1/activities", "/v1/activities/" + id.String(), "/v1/stats"} {
		require.Eventually(t, func() bool { return s.get(t, path).status == http.StatusOK }, patience, 20*time.Millisecond, path)
	}
	so := s.open(t)
	so.sub(t, "a", id, 0)
	so.skim(t, 0, lines)
	so.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	require.NotEmpty(t, so.expect(t, "snapshot", "l").Items)
	require.NoError(t, so.ws.Close())
}

// TestReadOnly: an operator makes the database read-only and takes it back. Only who insists can write meanwhile.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	id := s.create(t, "two")
	so := s.open(t)
	so.sub(t, "a", id, 0)
	so.skim(t, 0, 2)
	s.awaitReadiness(t, http.StatusOK, "healthy")

	s.db.Exec(t, "alter system set default_transaction_read_only = on")
	s.db.Exec(t, "select pg_reload_conf()")
	s.refusesToWrite(t, id)
	s.reads(t, id, 2)
	s.db.Exec(t, "begin read write; select agentexec.append_log('"+id.String()+"', 'three'); commit")
	so.lines(t, 2, 1)
	s.awaitReadiness(t, http.StatusOK, "healthy")

	s.db.Exec(t, "alter system reset default_transaction_read_only")
	s.db.Exec(t, "select pg_reload_conf()")
	s.postLine(t, id)
	so.lines(t, 3, 1)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// TestStandby: the server comes back as a standby, which no feed can be read from, and is promoted after a while.
func TestStandby(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	id := s.create(t, "two")
	so := s.open(t)
	so.sub(t, "a", id, 0)
	so.skim(t, 0, 2)

	require.NoError(t, server.Stop())
	signal := filepath.Join(server.DataDir, "standby.signal")
	require.NoError(t, os.WriteFile(signal, nil, 0o600))
	info, err := os.Stat(server.DataDir)
	require.NoError(t, err)
	require.NoError(t, chownLike(signal, info))
	require.NoError(t, server.Restart(t.Context()))

	s.refusesToWrite(t, id)
	s.reads(t, id, 2)
	s.awaitReadiness(t, http.StatusServiceUnavailable, "unhealthy")
	so.alive(t)

	s.db.Exec(t, "select pg_promote()")
	s.postLine(t, id)
	so.lines(t, 2, 1)
	s.awaitReadiness(t, http.StatusOK, "healthy")
	s.postLine(t, id)
	so.lines(t, 3, 1)
	so.alive(t)
}

// TestOutOfConnections: others take every connection the server has, the sidecar's own too. It says so, and goes on
// when they let go.
func TestOutOfConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{"max_connections": "24"})
	s := start(t, server.New(t), func(cfg *sidecar.Config) { cfg.PoolSize = 4 })
	id := s.create(t, "two")
	so := s.open(t)
	so.sub(t, "a", id, 0)
	so.skim(t, 0, 2)
	s.awaitReadiness(t, http.StatusOK, "healthy")

	var hogs []*pgx.Conn
	defer func() {
		for _, hog := range hogs {
			_ = hog.Close(t.Context())
		}
	}()
	require.Eventually(t, func() bool {
		for {
			hog, err := pgx.Connect(t.Context(), s.db.URL)
			if err != nil {
				require.ErrorContains(t, err, "53300")
				break
			}
			hogs = append(hogs, hog)
		}
		var left int
		err := hogs[0].QueryRow(t.Context(), `
			select count(pg_terminate_backend(a.pid, 1000)) from pg_stat_activity a where a.application_name like 'agentexec%'`).Scan(&left)
		require.NoError(t, err)
		return left == 0
	}, patience, 10*time.Millisecond)

	s.refusesToWrite(t, id)
	r := s.get(t, "/v1/activities")
	r.problem(t, http.StatusServiceUnavailable, "unavailable")
	require.Equal(t, http.StatusOK, s.get(t, "/healthz").status)
	s.awaitReadiness(t, http.StatusServiceUnavailable, "unhealthy")
	waiting := s.open(t)
	unseen := s.created(t, hogs[0])
	waiting.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"b","agent_id":%q}`, unseen))
	waiting.alive(t)
	_, err := hogs[0].Exec(t.Context(), "select agentexec.append_log($1, 'three')", id)
	require.NoError(t, err)
	so.alive(t)

	for _, hog := range hogs {
		require.NoError(t, hog.Close(t.Context()))
	}
	so.lines(t, 2, 1)
	waiting.expect(t, "snapshot", "b")
	waiting.lines(t, 0, 1)
	s.awaitReadiness(t, http.StatusOK, "healthy")
	s.postLine(t, id)
	so.lines(t, 3, 1)
	so.alive(t)
	waiting.alive(t)
}

// created registers an activity over a connection.
func (s *service) created(t testing.TB, conn *pgx.Conn) (id uuid.UUID) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "select agentexec.create_activity('research')").Scan(&id))
	return id
}
