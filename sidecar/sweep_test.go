package sidecar_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// runs makes an activity RUNNING.
func (s *service) runs(t *testing.T) uuid.UUID {
	t.Helper()
	id := s.create(t)
	_, err := s.c.Update(t.Context(), id, "started", client.WithStatus(client.StatusRunning))
	require.NoError(t, err)
	return id
}

// TestSweepForcesEachDueCancelOnce: of three sidecars, only one forces each due cancel, with one line, and a client that watches
// gets that line.
func TestSweepForcesEachDueCancelOnce(t *testing.T) {
	t.Parallel()
	const activities = 40
	db := pgtest.New(t)
	all := []*service{start(t, db), start(t, db), start(t, db)}
	s := all[0]
	var ids []uuid.UUID
	for range activities {
		ids = append(ids, s.runs(t))
	}
	so := s.open(t)
	so.subscribe(t, ids[0], 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 2)
	for _, id := range ids {
		_, err := s.c.Cancel(t.Context(), id, "", client.WithGrace(time.Second))
		require.NoError(t, err)
	}
	requested := so.lines(t, 2, 1)[0]
	require.Equal(t, client.StatusRunning, requested.Status)
	require.True(t, requested.CancelRequested)
	m := so.next(t)
	require.Equal(t, "logs", m.Type, m.raw)
	require.Equal(t, client.StatusCanceled, m.Logs[0].Status)
	require.JSONEq(t, `{"forced":true}`, string(m.Logs[0].Data))
	request, _ := m.Activity["cancel"].(map[string]any)
	require.Equal(t, true, request["forced"], m.raw)
	require.Equal(t, "end", so.next(t).Type)

	forced := func() (n float64) {
		for _, each := range all {
			n += each.metric(t, "agentexec_forced_cancels_total")
		}
		return n
	}
	require.Eventually(t, func() bool { return forced() == activities }, patience, 100*time.Millisecond)
	for _, each := range all { // each has swept since
		before := each.metric(t, "agentexec_sweep_seconds_count")
		require.Eventually(t, func() bool { return each.metric(t, "agentexec_sweep_seconds_count") > before+1 }, patience, 100*time.Millisecond)
	}
	require.Equal(t, float64(activities), forced()) //nolint:testifylint // a count
	var lines, canceled int
	require.NoError(t, db.Conn(t).QueryRow(t.Context(), `select count(*), count(distinct activity_id) from agentexec.activity_log where status = 'CANCELED'`).Scan(&lines, &canceled))
	require.Equal(t, []int{activities, activities}, []int{lines, canceled})
}

// TestSweepAfterDowntime: a sidecar that did not run for ten minutes forces each cancel that became due in that time, once.
func TestSweepAfterDowntime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.runs(t)
	s.stop()
	_, err := s.c.Cancel(t.Context(), id, "", client.WithGrace(time.Hour))
	require.NoError(t, err)
	s.db.Exec(t, "update agentexec.activity set cancel_force_at = now() - interval '10 minutes'")
	for range 2 {
		again := start(t, s.db)
		require.Eventually(t, func() bool { return again.metric(t, "agentexec_sweep_seconds_count") > 1 }, patience, 100*time.Millisecond)
		again.stop()
	}
	detail, err := s.c.Detail(t.Context(), id, client.DetailParams{})
	require.NoError(t, err)
	require.Equal(t, client.StatusCanceled, detail.Status)
	require.True(t, detail.Cancel.Forced)
	require.Equal(t, 4, detail.LastSeq)
}

// TestSweepWithoutTheRight: a sidecar whose role may not sweep logs one warning, and serves requests.
func TestSweepWithoutTheRight(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "alter function agentexec.sweep(int) rename to swept")
	logged := &logtest.Buffer{}
	s := start(t, db, func(c *sidecar.Config) { c.Logger = slog.New(slog.NewTextHandler(logged, nil)) })
	s.await(t, "agentexec_sweep_errors_total", 1)
	require.Equal(t, 1, strings.Count(logged.String(), "cannot sweep"))
	require.Equal(t, "snapshot", func() string { so := s.open(t); so.subscribe(t, s.create(t), 0); return so.next(t).Type }())
}
