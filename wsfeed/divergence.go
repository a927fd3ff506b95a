package wsfeed

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/google/uuid"
)

// A database may lose lines that it has shown: by a crash with asynchronous commit, a failover, a restored backup. New lines
// then take the seqs of the lost ones. So the feed compares every read with its earlier knowledge: a lower last seq, or
// another line in the place of a known one, is a divergence. A divergence affects only the last lines of an activity.

// divergence records one loss, by the database, of lines that were sent.
type divergence struct {
	kept       int    // the lines up to this seq are the same as before
	reconciled bool   // kept is known
	ring       []Line // the lines that were known
}

// Known is what the feed knows of an activity before it reads Postgres again.
type Known struct {
	AgentID uuid.UUID
	// LineSeq is a line that was sent; Confirm checks that it is still the same. 0 where there is none.
	LineSeq int

	topic       *topic
	line        json.RawMessage // the line of LineSeq
	lastSeq     int             // the highest last seq that was ever read
	divergences int
}

// known is called with mu held.
func (t *topic) known() Known {
	k := Known{AgentID: t.agentID, topic: t, lastSeq: max(t.hi, t.state.LastSeq), divergences: len(t.divergences)}
	if k.LineSeq = t.ringEnd(); k.LineSeq > 0 {
		k.line = t.ring[len(t.ring)-1].JSON
	}
	return k
}

// confirm takes the activity's state, read after the tail took up a new position: missing lines up to it are in Postgres.
// line is the line that Postgres has at k.LineSeq, nil where it has none.
func (t *topic) confirm(k Known, s State, line json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lost := t.replacedBy(s) || s.LastSeq < k.lastSeq || (len(line) > 0 && len(k.line) > 0 && !sameLine(k.line, line))
	if lost && k.divergences == len(t.divergences) {
		t.diverge(s)
		return
	}
	t.advance(s)
}

// accept takes a batch that was read after k was known. It returns false when the batch contradicts k, or when a divergence
// was found meanwhile. Called with mu held.
func (t *topic) accept(k Known, b Batch) bool {
	if k.divergences != len(t.divergences) {
		return false
	}
	if t.replacedBy(b.State) || b.State.LastSeq < k.lastSeq || t.contradicts(b.Lines) {
		t.diverge(b.State)
		return false
	}
	t.learn(b.State)
	return true
}

// contradicts compares the last line that is both in the ring and among lines.
func (t *topic) contradicts(lines []Line) bool {
	if len(lines) == 0 || lines[0].Seq > t.ringEnd() {
		return false
	}
	for _, l := range slices.Backward(lines) {
		if l.Seq <= t.ringEnd() {
			return l.Seq >= t.ring[0].Seq && !sameLine(l.JSON, t.ring[l.Seq-t.ring[0].Seq].JSON)
		}
	}
	return false
}

// replacedBy reports whether a state is of another activity with the same agent_id. Called with mu held.
func (t *topic) replacedBy(s State) bool {
	return s.Activity != t.state.Activity && s.Activity != uuid.Nil && t.state.Activity != uuid.Nil
}

// diverge notes that the database has lost lines, and adopts the database's state. Called with mu held.
func (t *topic) diverge(s State) {
	next := divergence{ring: t.ring}
	if t.replacedBy(s) {
		t.hub.cfg.Logger.Info("an activity was deleted and made again under its agent_id", "agent_id", t.agentID, "last_seq", s.LastSeq)
		next = divergence{reconciled: true} // no line is valid any more
	} else {
		t.hub.cfg.Logger.Warn("the database has lost lines that were shown", "agent_id", t.agentID, "last_seq", s.LastSeq)
	}
	if n := len(t.divergences); n > 0 && !t.divergences[n-1].reconciled {
		// A second divergence before the first was reconciled: no line is known to be valid.
		t.divergences[n-1], next = divergence{reconciled: true}, divergence{reconciled: true}
	}
	t.divergences = append(t.divergences, next)
	t.ring, t.size = nil, 0
	t.hi, t.state, t.snapshot, t.shown = s.LastSeq, s, nil, nil
	t.frames = [4]cachedFrame{}
	t.wakeAll()
}

// keptSince returns the last seq that is still valid for a subscription that knows the first n divergences; false while that
// seq is unknown. Called with mu held.
func (t *topic) keptSince(n int) (kept int, ok bool) {
	kept = math.MaxInt
	for _, l := range t.divergences[n:] {
		if !l.reconciled {
			return 0, false
		}
		kept = min(kept, l.kept)
	}
	return kept, true
}

// reconcile reads which lines remain after the last divergence, once for all concurrent callers.
func (t *topic) reconcile(ctx context.Context) error {
	t.mu.Lock()
	n := len(t.divergences) - 1
	if t.divergences[n].reconciled {
		t.mu.Unlock()
		return nil
	}
	if f := t.reconciling; f != nil {
		t.mu.Unlock()
		return f.wait(ctx)
	}
	f, ring := newFlight(), t.divergences[n].ring
	t.reconciling = f
	t.mu.Unlock()

	kept, err := t.stillThere(ring)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && !t.divergences[n].reconciled {
		t.divergences[n] = divergence{kept: kept, reconciled: true}
	}
	t.reconciling, f.err = nil, err
	close(f.done)
	return err
}

// stillThere reads the ring's lines again, and returns the last seq up to which they are the same. One read is about as large
// as a ring. After a smaller one, fewer lines are known to be valid, and more are sent again.
func (t *topic) stillThere(ring []Line) (kept int, err error) {
	if len(ring) == 0 {
		return 0, nil
	}
	b, err := t.hub.replay(t.hub.ctx, t.agentID, ring[0].Seq-1, t.hub.cfg.RingBytes, nil, t, nil)
	for _, l := range b.Lines {
		at := l.Seq - ring[0].Seq
		if at >= len(ring) || !sameLine(l.JSON, ring[at].JSON) {
			break
		}
		kept = l.Seq
	}
	return kept, err
}

// sameLine reports whether two lines of one seq are the same line. It ignores the message, which the owner may redact.
func sameLine(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	type identity struct {
		ID        json.Number `json:"id"`
		CreatedAt string      `json:"created_at"`
	}
	var x, y identity
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}
