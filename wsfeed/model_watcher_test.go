package wsfeed

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// watcher is a subscriber of the model: it pulls frames as a connection does, checks each, and now and then leaves
// and comes back with the last seq it has.
type watcher struct {
	w     *world
	id    uuid.UUID
	wakes chan struct{}

	after    int // where it began
	cursor   int
	seen     atomic.Int64 // cursor, for others to read
	lines    []scriptedLine
	missing  []int // announced as pruned
	stale    bool  // of the last frame
	ended    int   // the seq of the last "end"
	finished bool  // the last frame was an "end"
}

// wake implements sink.
func (*watcher) behind(bool) {}

func (*watcher) feedScope() *feedScope { return nil }

func (v *watcher) socket() any { return v }

func (*watcher) holds(int) bool { return true }

func (*watcher) cut() {}

func (v *watcher) wake() {
	select {
	case v.wakes <- struct{}{}:
	default:
	}
}

func (v *watcher) run() {
	if !v.w.writesOn {
		v.after = v.w.n(v.w.src.state(v.id).LastSeq + 3) // also above what there is
	}
	v.cursor, v.ended = v.after, unknown
	for v.w.over.Err() == nil {
		v.subscribe()
		v.w.delay(v.w.over, 500)
	}
}

// subscribe is one subscription's life.
func (v *watcher) subscribe() {
	w := v.w
	s := w.hub.joinTopic(v.id, "", v.cursor, v)
	defer s.leave()
	opened := false
	v.ended = unknown
	w.mu.Lock()
	steps := 1 + w.rand.IntN(100)
	w.mu.Unlock()
	for w.over.Err() == nil {
		f, err := s.next(w.over)
		if err != nil {
			if w.over.Err() == nil {
				w.t.Errorf("next: %v", err)
			}
			return
		}
		if f == nil {
			v.idle(w.over)
			continue
		}
		m, err := decoded(f.Body)
		require.NoError(w.t, err)
		require.Equal(w.t, opened, m.Type != "snapshot", "the snapshot comes first and once: %s", m.raw)
		opened = true
		v.take(m)
		v.seen.Store(int64(v.cursor))
		w.delay(w.over, 10)
		if steps--; steps <= 0 && !w.writesOn && !w.calm() {
			return // and come back
		}
	}
}

// calm reports whether the last divergence was a short while ago.
func (w *world) calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.quiet)
}

func (v *watcher) idle(ctx context.Context) {
	select {
	case <-v.wakes:
	case <-ctx.Done():
	}
}

// take checks a frame against what came before it.
func (v *watcher) take(m message) {
	t := v.w.t
	v.finished = m.Type == "end"
	switch m.Type {
	case "snapshot":
		state, err := decoded(m.Activity)
		require.NoError(t, err)
		v.stale = state.Stale
	case "state":
		state, err := decoded(m.Activity)
		require.NoError(t, err)
		require.NotEqual(t, v.stale, state.Stale, "it is known: %s", m.raw)
		require.Equal(t, v.cursor, state.LastSeq, "a state of other lines: %s", m.raw)
		v.stale = state.Stale
	case "logs":
		require.NotEmpty(t, m.Logs)
		for _, l := range m.Logs {
			v.cursor++
			require.Equal(t, v.cursor, l.Seq, "seq order, no gap, no repeat: %s", m.raw)
			v.lines = append(v.lines, l)
		}
		state, err := decoded(m.Activity)
		require.NoError(t, err)
		require.GreaterOrEqual(t, state.LastSeq, v.cursor, "a state older than the lines it comes with: %s", m.raw)
		v.stale = state.Stale
	case "gap":
		require.Equal(t, v.cursor, m.AfterSeq, m.raw)
		if m.Reason == "reset" {
			require.LessOrEqual(t, m.NextSeq, v.cursor, "nothing is void: %s", m.raw)
			v.lines = slices.DeleteFunc(v.lines, func(l scriptedLine) bool { return l.Seq >= m.NextSeq })
			v.missing = slices.DeleteFunc(v.missing, func(seq int) bool { return seq >= m.NextSeq })
			v.after = min(v.after, m.NextSeq-1)
			v.ended = unknown
		} else {
			require.Equal(t, "pruned", m.Reason)
			require.Greater(t, m.NextSeq, v.cursor+1, "nothing is missing: %s", m.raw)
			for seq := v.cursor + 1; seq < m.NextSeq; seq++ {
				v.missing = append(v.missing, seq)
			}
		}
		v.cursor = m.NextSeq - 1
	case "end":
		require.Equal(t, v.cursor, m.LastSeq, "the end of something else: %s", m.raw)
		require.NotEqual(t, v.ended, m.LastSeq, "the same end twice: %s", m.raw)
		v.ended = m.LastSeq
	default:
		t.Errorf("unexpected frame %s", m.raw)
	}
}

// check compares what the watcher has with the database, when nothing happens any more.
func (v *watcher) check() {
	w, t := v.w, v.w.t
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.src.state(v.id)
	require.Equal(t, state.LastSeq, v.cursor, "lines did not arrive")
	require.Equal(t, state.Stale, v.stale, "whether it is stale was not told")
	require.Equal(t, state.Final, v.finished, "whether the last frame is an end")

	have := make(map[int]scriptedLine)
	for _, l := range v.lines {
		have[l.Seq] = l
	}
	for _, l := range w.src.activities[v.id].lines {
		if l.Seq > v.after {
			require.Equal(t, l, have[l.Seq], "line %d", l.Seq)
		}
	}
	for _, seq := range v.missing {
		require.True(t, w.pruned[v.id][seq], "line %d was announced as pruned", seq)
		_, got := have[seq]
		require.False(t, got, "line %d came and was announced as pruned", seq)
	}
	for seq := v.after + 1; seq <= v.cursor; seq++ {
		_, ok := have[seq]
		require.True(t, ok || slices.Contains(v.missing, seq), "line %d is neither there nor announced as missing", seq)
	}
}
