package sidecar_test

import (
	"context"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestBacklog: while the tail's connection is silent, 400,000 lines are written. Then the tail sees all of them at
// once, sockets that waited want theirs, and others come that want everything from the start. Each gets exactly its
// lines, and at no time is much of it in memory.
//
// It is not parallel: it weighs the heap.
func TestBacklog(t *testing.T) { //nolint:paralleltest // it weighs the heap
	const activities, watched, bound = 20, 10, 32 << 20
	lines := 400_000 / activities
	if raceEnabled {
		lines /= 2
	}
	s, p := far(t)
	ids := s.createMany(t, activities)
	var sockets []*socket
	for _, id := range ids[:watched] {
		so := s.open(t)
		so.sub(t, "a", id, 0)
		so.skim(t, 0, 1)
		sockets = append(sockets, so)
	}
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	thaw := p.freeze(s.port(t, "agentexec tail"))
	began := time.Now()
	s.backlog(t, ids, lines)
	t.Logf("%d lines written in %s", lines*activities, time.Since(began))

	ctx, stop := context.WithCancel(t.Context())
	runtime.GC()
	before := liveHeap()
	var weighing, readers sync.WaitGroup
	most := before
	weighing.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			if n%10 == 0 {
				runtime.GC() // what is alive is known after one
			}
			most = max(most, liveHeap())
			<-pace.C
		}
	})
	began = time.Now()
	thaw()
	for n, id := range ids[:watched] {
		readers.Go(func() { sockets[n].glance(t, 1, 1+lines) })
		if n%2 == 0 {
			late := s.open(t)
			late.sub(t, "a", id, 0)
			readers.Go(func() { late.glance(t, 0, 1+lines) })
		}
	}
	readers.Wait()
	took := time.Since(began)
	stop()
	weighing.Wait()
	t.Logf("caught up in %s, at most %d KiB more were alive", took, (most-before)>>10)
	require.Less(t, most-before, bound, "the backlog is kept somewhere")

	s.append(t, ids[0], "and one more")
	sockets[0].skim(t, 1+lines, 1)
	s.awaitReadiness(t, 200, "healthy")
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// backlog writes lines the way a restore does: as the owner, with their numbers, and without the triggers. It sends
// the wake-up itself.
func (s *service) backlog(t testing.TB, ids []uuid.UUID, lines int) {
	t.Helper()
	conn := s.db.Conn(t)
	_, err := conn.Exec(t.Context(), "set session_replication_role = replica")
	require.NoError(t, err)
	for _, id := range ids {
		_, err := conn.Exec(t.Context(), `
			with a as (
				update agentexec.activity a set last_seq = a.last_seq + $2, updated_at = clock_timestamp()
				where a.agent_id = $1
				returning a.id, a.last_seq - $2 as last_seq, a.status
			)
			insert into agentexec.activity_log (id, activity_id, seq, message, status, created_at)
			select nextval('agentexec.activity_log_id_seq'), a.id, a.last_seq + n, repeat('x', 200), a.status, clock_timestamp()
			from a, generate_series(1, $2) n`, id, lines)
		require.NoError(t, err)
	}
	_, err = conn.Exec(t.Context(), "select pg_notify('agentexec', '')")
	require.NoError(t, err)
}

var seqOfLine = regexp.MustCompile(`"seq": (\d+),`)

// glance is skim for hundreds of thousands of lines: it looks at their seqs, and fails the test from any goroutine.
func (s *socket) glance(t testing.TB, after, until int) {
	for after < until {
		_ = s.ws.SetReadDeadline(time.Now().Add(2 * time.Minute))
		_, data, err := s.ws.ReadMessage()
		if err != nil {
			t.Errorf("after line %d of %d: %v", after, until, err)
			return
		}
		for _, m := range seqOfLine.FindAllSubmatch(data, -1) {
			after++
			if seq, _ := strconv.Atoi(string(m[1])); seq != after {
				t.Errorf("line %d came where %d was due", seq, after)
				return
			}
		}
	}
}

// liveHeap is what the last collection left.
func liveHeap() int {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
