package sidecar_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// TestRestartUnderneath: Postgres is restarted and killed while lines are written. Sockets that stay connected all the
// while neither miss a line nor get one twice.
func TestRestartUnderneath(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	ids := []uuid.UUID{s.create(t), s.create(t)}
	var sockets []*socket
	for n := range 10 {
		so := s.open(t)
		so.sub(t, "a", ids[n%2], 0)
		sockets = append(sockets, so)
	}
	list := s.list(t, `{}`)

	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				// After an error, the table shows whether the line was written.
				_, _ = s.c.Update(ctx, ids[w%2], fmt.Sprintf("writer %d, line %d", w, n))
			}
		})
	}
	for n := range 4 {
		s.grow(t, ids[0], 20)
		if n%2 == 0 {
			require.NoError(t, server.Restart(t.Context()))
		} else {
			require.NoError(t, server.Kill())
			require.NoError(t, server.Restart(t.Context()))
		}
	}
	s.grow(t, ids[1], 20)
	stop()
	writers.Wait()
	for _, id := range ids {
		_, err := s.c.Complete(t.Context(), id, "done")
		require.NoError(t, err)
	}
	for n, so := range sockets {
		s.has(t, so, ids[n%2])
	}
	list.shows(t, s, `select (agentexec.list_activities()->'items')::text, agentexec.count_by_status()::text`)
}

// grow waits until an activity has that many lines more.
func (s *service) grow(t testing.TB, id uuid.UUID, lines int) {
	t.Helper()
	from := -1
	require.Eventually(t, func() bool {
		zero := 0
		detail, err := s.c.Detail(t.Context(), id, client.DetailParams{LogLimit: &zero})
		if err == nil && from < 0 {
			from = detail.LastSeq
		}
		return err == nil && detail.LastSeq >= from+lines
	}, patience, 5*time.Millisecond)
}

// has reads a socket to the end of an activity, applies what frames say of lost lines, and compares the lines with the
// table's.
func (s *service) has(t testing.TB, so *socket, id uuid.UUID) (resets int) {
	t.Helper()
	var got []client.Log
	want := s.table(t, id)
	for m := so.next(t); m.Type != "end" || m.LastSeq != len(want); m = so.next(t) {
		switch m.Type {
		case "snapshot", "end":
		case "gap":
			require.Equal(t, "reset", m.Reason, m.raw)
			require.Equal(t, len(got), m.AfterSeq, m.raw)
			got = got[:m.NextSeq-1]
			resets++
		case "logs":
			for _, l := range m.Logs {
				require.Equal(t, len(got)+1, l.Seq, m.raw)
				got = append(got, l)
			}
		default:
			t.Fatalf("unexpected frame: %s", m.raw)
		}
	}
	sameLines(t, want, got)
	return resets
}

func sameLines(t testing.TB, want, got []client.Log) {
	t.Helper()
	brief := func(l client.Log) string { return fmt.Sprint(l.Seq, l.ID, l.Message, l.CreatedAt) }
	for i := range want {
		require.Less(t, i, len(got))
		require.Equal(t, brief(want[i]), brief(got[i]))
	}
	require.Len(t, got, len(want))
}

// TestLostLines: after a crash the database lacks lines that subscribers have seen, as with asynchronous commit or a
// restored backup. They are told which, and get those that come in their place, also when these were written before
// the next read.
func TestLostLines(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	type activity struct {
		before int // lines that survive, beside the first
		lost   int
		after  int // lines written at once after the crash
		id     uuid.UUID
		early  *socket // has seen all of them
		late   *socket // has seen those from the last that survives
	}
	all := []*activity{
		{before: 5, lost: 3, after: 0},
		{before: 5, lost: 3, after: 2},
		{before: 5, lost: 3, after: 3},
		{before: 5, lost: 3, after: 6},
		{before: 0, lost: 4, after: 2},
		{before: 3, lost: 700, after: 900},
		{before: 5, lost: 0, after: 3},
	}
	for _, a := range all {
		a.id, a.early, a.late = s.create(t), s.open(t), s.open(t)
		a.early.sub(t, "a", a.id, 0)
		s.bulkLines(t, a.id, a.before, "kept")
		a.early.skim(t, 0, 1+a.before)
	}
	restore := backup(t, server)
	require.NoError(t, server.Restart(t.Context()))
	for _, a := range all {
		s.bulkLines(t, a.id, a.lost, "lost")
		a.early.skim(t, 1+a.before, a.lost)
		a.late.sub(t, "a", a.id, a.before)
		a.late.skim(t, a.before, 1+a.lost)
	}
	restore()
	var writers sync.WaitGroup
	for _, a := range all {
		writers.Go(func() { s.bulkLines(t, a.id, a.after, "in their place") })
	}
	writers.Wait()
	for _, a := range all {
		_, err := s.c.Complete(t.Context(), a.id, "done")
		require.NoError(t, err)
		want := s.table(t, a.id)
		require.Len(t, want, 2+a.before+a.after)
		for _, so := range []*socket{a.early, a.late} {
			seen := 1 + a.before
			if a.lost > 0 {
				seen = recovers(t, so, seen+a.lost, seen)
			}
			var got []client.Log
			m := so.next(t)
			for ; m.Type == "logs"; m = so.next(t) {
				got = append(got, m.Logs...)
			}
			require.Equal(t, "end", m.Type, m.raw)
			require.Equal(t, len(want), m.LastSeq)
			sameLines(t, want[seen:], got)
		}
	}
}

// recovers checks that a subscriber that has seen lines up to seen is told that those after kept are void, or some
// more, and returns up to where they are good.
func recovers(t testing.TB, so *socket, seen, kept int) int {
	t.Helper()
	m := so.expect(t, "gap", "a")
	require.Equal(t, "reset", m.Reason, m.raw)
	require.Equal(t, seen, m.AfterSeq, m.raw)
	require.LessOrEqual(t, m.NextSeq, kept+1, m.raw)
	return m.NextSeq - 1
}

// table is the lines of an activity, whether the first connection tried still stands or not.
func (s *service) table(t testing.TB, id uuid.UUID) (lines []client.Log) {
	t.Helper()
	require.Eventually(t, func() bool {
		lines = nil
		for l, err := range s.c.Logs(t.Context(), id, 0) {
			if err != nil {
				return false
			}
			lines = append(lines, l)
		}
		return true
	}, patience, 10*time.Millisecond)
	return lines
}

func (s *service) bulkLines(t testing.TB, id uuid.UUID, n int, message string) {
	t.Helper()
	if n == 0 {
		return
	}
	entries := make([]client.Entry, n)
	for i := range entries {
		entries[i] = client.Entry{AgentID: id, Message: message}
	}
	require.Eventually(t, func() bool {
		_, err := s.c.AppendLogs(t.Context(), entries)
		return err == nil
	}, patience, 10*time.Millisecond)
}

// backup stops the server and copies its data. The function it returns crashes the server and has it come back with
// the copy.
func backup(t testing.TB, server *pgtest.Server) (restore func()) {
	t.Helper()
	require.NoError(t, server.Stop())
	folder := filepath.Join(filepath.Dir(server.DataDir), "backup")
	copied := exec.Command("cp", "-a", server.DataDir, folder) // with the owner: postgres insists on it
	output, err := copied.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return func() {
		require.NoError(t, server.Kill())
		require.NoError(t, os.RemoveAll(server.DataDir))
		require.NoError(t, os.Rename(folder, server.DataDir))
		require.NoError(t, server.Restart(t.Context()))
	}
}

// TestUnreachable: what is asked for while Postgres is away comes when it is back.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	id, watched := s.create(t, "two"), s.create(t, "two")
	so, before := s.open(t), s.open(t)
	before.sub(t, "a", watched, 2)
	require.NoError(t, server.Stop())

	so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"a","agent_id":%q}`, id))
	so.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	so.alive(t)
	_, r := s.shake(t, "/v1/feed/"+id.String(), nil)
	require.Contains(t, r.problem(t, 503, "unavailable"), "database")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	r = s.get(t, "/v1/feed/"+id.String(), "Accept", "text/event-stream")
	r.problem(t, 503, "unavailable")
	so.alive(t)
	// A watched one is in memory: its state, and the lines in the ring.
	third := s.dial(t, "/v1/feed/"+watched.String()+"?after_seq=2")
	third.expect(t, "snapshot", "")

	require.NoError(t, server.Restart(t.Context()))
	snapshots := make(map[string]bool)
	for len(snapshots) < 2 {
		if m := so.next(t); m.Type == "snapshot" {
			snapshots[m.sub()] = true
		} else {
			require.Equal(t, "logs", m.Type, m.raw)
		}
	}
	s.bulkLines(t, watched, 1, "three")
	before.lines(t, 2, 1)
	third.lines(t, 2, 1)

	// The database is away again, and the service stops as quickly as ever.
	require.NoError(t, server.Kill())
	so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"b","agent_id":%q}`, uuid.New()))
	so.send(t, `{"type":"subscribe","sub":"k","list":{"limit":1}}`)
	so.pong(t)
	began := time.Now()
	var wait sync.WaitGroup
	wait.Go(s.stop)
	require.Equal(t, 1001, so.closed(t))
	require.NoError(t, before.ws.Close())
	require.NoError(t, third.ws.Close())
	wait.Wait()
	require.Less(t, time.Since(began), 4*time.Second)
}
