package wsfeed

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/google/uuid"
)

// A database may lose lines that it has shown: by a crash with asynchronous commit, a failover, a restored backup. New
// lines then take the seqs of the lost ones. So whatever is read is compared with what was known before: a last seq
// below it, or another line in a line's place, is a loss. Of one activity's lines a loss always takes the last ones.

// loss is one time that the database was found to have lost lines.
type loss struct {
	kept    int    // the lines up to here are what they were
	settled bool   // kept has been found out
	ring    []Line // what was known
}

// Known is what the feed knows of an activity before Postgres is asked for more.
type Known struct {
	AgentID uuid.UUID
	// LineSeq is a line that was sent; whoever confirms the activity looks whether it is still the same. 0 where there is
	// none.
	LineSeq int

	topic   *topic
	line    json.RawMessage // the line of LineSeq
	lastSeq int             // the highest last seq that was ever read
	losses  int
}

// known is called with mu held.
func (t *topic) known() Known {
	k := Known{AgentID: t.agentID, topic: t, lastSeq: max(t.hi, t.state.LastSeq), losses: len(t.losses)}
	if k.LineSeq = t.ringEnd(); k.LineSeq > 0 {
		k.line = t.ring[len(t.ring)-1].JSON
	}
	return k
}

// confirm takes the activity's state as read after the tail took up a new position: what is missing up to it is in
// Postgres. line is what Postgres has at k.LineSeq, nil where it has no such line.
func (t *topic) confirm(k Known, s State, line json.RawMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lost := t.replacedBy(s) || s.LastSeq < k.lastSeq || (len(line) > 0 && len(k.line) > 0 && !sameLine(k.line, line))
	if lost && k.losses == len(t.losses) {
		t.lose(s)
		return
	}
	t.advance(s)
}

// accept takes what was read after k was known; false when it contradicts that, or when that has changed meanwhile.
// Called with mu held.
func (t *topic) accept(k Known, b Batch) bool {
	if k.losses != len(t.losses) {
		return false
	}
	if t.replacedBy(b.State) || b.State.LastSeq < k.lastSeq || t.contradicts(b.Lines) {
		t.lose(b.State)
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

// lose notes that the database has lost lines, and goes back to what it has. Called with mu held.
func (t *topic) lose(s State) {
	next := loss{ring: t.ring}
	if t.replacedBy(s) {
		t.hub.cfg.Logger.Info("an activity was deleted and made again under its agent_id", "agent_id", t.agentID, "last_seq", s.LastSeq)
		next = loss{settled: true} // none of the lines is good
	} else {
		t.hub.cfg.Logger.Warn("the database has lost lines that were shown", "agent_id", t.agentID, "last_seq", s.LastSeq)
	}
	if n := len(t.losses); n > 0 && !t.losses[n-1].settled {
		// It happened again before anybody could look: nothing is known to be good.
		t.losses[n-1], next = loss{settled: true}, loss{settled: true}
	}
	t.losses = append(t.losses, next)
	t.ring, t.size = nil, 0
	t.hi, t.state, t.snapshot, t.shown = s.LastSeq, s, nil, nil
	t.frames = [4]cachedFrame{}
	t.wakeAll()
}

// keptSince is up to where the lines are good for somebody who knows of the first n losses; false while that is not
// found out. Called with mu held.
func (t *topic) keptSince(n int) (kept int, ok bool) {
	kept = math.MaxInt
	for _, l := range t.losses[n:] {
		if !l.settled {
			return 0, false
		}
		kept = min(kept, l.kept)
	}
	return kept, true
}

// settle finds out what the last loss has left, once for all who ask.
func (t *topic) settle(ctx context.Context) error {
	t.mu.Lock()
	n := len(t.losses) - 1
	if t.losses[n].settled {
		t.mu.Unlock()
		return nil
	}
	if f := t.settling; f != nil {
		t.mu.Unlock()
		return f.wait(ctx)
	}
	f, ring := newFlight(), t.losses[n].ring
	t.settling = f
	t.mu.Unlock()

	kept, err := t.stillThere(ring)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && !t.losses[n].settled {
		t.losses[n] = loss{kept: kept, settled: true}
	}
	t.settling, f.err = nil, err
	close(f.done)
	return err
}

// stillThere reads again what the ring held, and returns up to where it is the same. One read is about as large as a
// ring; where it is not, less is known to be good, and more is sent again.
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

// sameLine tells a line from another one of the same seq. Its message is no part of that: the owner may redact it.
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
