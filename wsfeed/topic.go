package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/wsfeed/internal/turns"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// topic is one watched activity: its recent lines, encoded as Postgres wrote them, and its subscriptions.
type topic struct {
	hub     *Hub
	agentID uuid.UUID
	gen     uint64 // the hub's generation at registration

	mu   sync.Mutex
	ring []Line // contiguous; the last is at hi, or below it where hi was confirmed without its line
	size int    // bytes in ring
	idle int    // bytes that have gone through the ring since it last served a subscription
	// hi is the highest seq known to exist; unknown until the first read. Nothing above it is sent.
	hi          int
	state       State        // the newest state read, its LastSeq may be above hi
	divergences []divergence // the times the database was found to have lost lines (divergence.go)
	gone        bool         // the activity was deleted
	subs        map[*activitySub]struct{}
	frames      [4]cachedFrame // the last frames encoded, shared by subscriptions at the same position
	frame       int            // the index of the newest

	snapshot    *Snapshot
	snapshotAt  time.Time           // when it was read
	snapshotIn  string              // the key of the scope it was read in
	loading     map[string]*flight  // by the scope's key
	shown       map[string]struct{} // the keys of scopes known to contain it; an activity never moves between scopes
	reconciling *flight
	coalescer   turns.Coalescer
}

const unknown = -1

type cachedFrame struct {
	frame *wire.Frame
	sub   string
	from  int
}

// flight is a read that several subscriptions wait for.
type flight struct {
	done     chan struct{}
	err      error
	snapshot *Snapshot // nil where it is out of date already
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish takes lines from the tail, in seq order. It drops a line already known. A line that does not follow the last one
// begins the ring anew; a subscription that lacks the lines between reads them from Postgres.
func (t *topic) publish(b Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replacedBy(b.State) || t.contradicts(b.Lines) {
		t.diverge(b.State)
		return
	}
	t.learn(b.State)
	t.take(b.Lines)
}

// take puts lines into the ring. Called with mu held.
func (t *topic) take(lines []Line) {
	before := t.hi
	for _, l := range lines {
		if l.Seq <= t.hi {
			continue
		}
		if l.Seq != t.ringEnd()+1 {
			t.ring, t.size = nil, 0
		}
		t.ring = append(t.ring, l)
		t.size += len(l.JSON)
		t.idle += len(l.JSON)
		t.hi = l.Seq
	}
	t.trimRing()
	if t.hi != before {
		t.wakeAll()
	}
}

// advance notes that the lines up to a state exist. Called with mu held.
func (t *topic) advance(s State) {
	t.learn(s)
	if s.LastSeq > t.hi {
		t.hi = s.LastSeq
		t.wakeAll()
	}
}

func (t *topic) markGone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = true
	t.wakeAll()
}

func (t *topic) isGone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// exists reports whether the activity is known to exist in the scope.
func (t *topic) exists(v *feedScope) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hi != unknown && !t.gone && t.shows(v)
}

// shows reports whether a scope is known to contain the activity. Called with mu held.
func (t *topic) shows(v *feedScope) bool {
	_, known := t.shown[v.key()]
	return v == nil || known
}

// maxShown bounds the remembered scopes that contain one activity. A forgotten one costs one read.
const maxShown = 1000

// show notes that a scope contains the activity. A scope that does not contain it is not noted: each request from it takes a
// read, as for an activity that does not exist. Called with mu held.
func (t *topic) show(v *feedScope) {
	if v == nil {
		return
	}
	if t.shown == nil || len(t.shown) >= maxShown {
		t.shown = make(map[string]struct{})
	}
	t.shown[v.key()] = struct{}{}
}

// learn takes a state unless a newer one is known. If stale has changed, it wakes all subscriptions, also when the read was for
// only one of them. Called with mu held.
func (t *topic) learn(s State) {
	if s.LastSeq < t.state.LastSeq {
		return
	}
	changed := s.Stale != t.state.Stale
	t.state = s
	if changed {
		t.wakeAll()
	}
}

// ringEnd is the seq of the last line in the ring, 0 where it is empty.
func (t *topic) ringEnd() int {
	if len(t.ring) == 0 {
		return 0
	}
	return t.ring[len(t.ring)-1].Seq
}

// trimRing keeps the ring within its bounds. A ring that was filled anew without serving a subscription is kept small: its
// subscriptions have fallen behind it, and return to it through Postgres.
func (t *topic) trimRing() {
	drop, size, bytes := 0, t.size, t.hub.cfg.RingBytes
	if t.idle > bytes {
		bytes /= 8
	}
	for len(t.ring)-drop > 1 && (len(t.ring)-drop > t.hub.cfg.RingLines || size > bytes) {
		size -= len(t.ring[drop].JSON)
		t.ring[drop] = Line{} // let its bytes go before the slice moves
		drop++
	}
	t.ring, t.size = t.ring[drop:], size
}

// takeRead puts lines read from Postgres into the ring: those that the tail has not reached yet, and older ones. So when a
// thousand clients reconnect at once, one of them reads Postgres for all. Called with mu held.
func (t *topic) takeRead(lines []Line) {
	t.take(lines)
	first := len(lines) - 1
	if first < 0 || lines[first].Seq != t.hi {
		return
	}
	for first > 0 && lines[first-1].Seq == lines[first].Seq-1 {
		first--
	}
	if t.ringEnd() == t.hi && t.ring[0].Seq <= lines[first].Seq {
		return
	}
	t.ring = append([]Line(nil), lines[first:]...)
	t.size = bytesOf(t.ring)
	t.trimRing()
}

// follows reports whether the ring has the line that follows cursor. Called with mu held.
func (t *topic) follows(cursor int) bool {
	return len(t.ring) > 0 && cursor+1 >= t.ring[0].Seq && cursor < t.ringEnd()
}

// logs returns the frame that follows cursor, of about limit bytes, nil where the ring does not have it. Called with mu held
// and cursor < hi. Subscriptions at the same position under the same name get the same frame.
func (t *topic) logs(sub string, cursor, limit int) *wire.Frame {
	if !t.follows(cursor) {
		return nil
	}
	t.idle = 0
	for _, c := range t.frames {
		if c.frame != nil && c.from == cursor && c.sub == sub && (limit >= t.hub.cfg.FrameBytes || len(c.frame.Raw) <= limit) {
			return c.frame
		}
	}
	lines := t.ring[cursor+1-t.ring[0].Seq:]
	n := fitting(lines, limit)
	f := logsFrame(sub, t.state, lines[:n])
	// No other client uses a name that a client chose: caching it would push out the shared ones.
	if n == len(lines) && len(t.subs) > 1 && (sub == "" || sub == t.agentID.String()) {
		t.cache(cachedFrame{frame: f, sub: sub, from: cursor})
	}
	return f
}

// cache keeps a frame, and older ones as long as all together have at most FrameBytes. They stay after all subscriptions have
// sent them.
func (t *topic) cache(newest cachedFrame) {
	t.frame = (t.frame + 1) % len(t.frames)
	t.frames[t.frame] = newest
	size := len(newest.frame.Raw)
	for age := 1; age < len(t.frames); age++ {
		c := &t.frames[(t.frame+len(t.frames)-age)%len(t.frames)]
		if c.frame == nil {
			continue
		}
		if size += len(c.frame.Raw); size > t.hub.cfg.FrameBytes {
			*c = cachedFrame{}
		}
	}
}

// logsFrame carries lines in seq order, at least one, and the activity's state as last read.
func logsFrame(sub string, state State, lines []Line) *wire.Frame {
	newest := lines[len(lines)-1]
	f := wire.Logs(sub, state.JSON, lines, func(l Line) json.RawMessage { return l.JSON }, newest.Seq)
	f.CommittedAt, f.Stale = newest.CommittedAt, state.Stale
	return f
}

// bytesOf returns the length of lines as JSON.
func bytesOf(lines []Line) (size int) {
	for _, l := range lines {
		size += len(l.JSON)
	}
	return size
}

// fitting returns how many lines, at least one, make a frame of about limit bytes.
func fitting(lines []Line, limit int) int {
	size := 0
	for i, l := range lines {
		if size += len(l.JSON); size > limit && i > 0 {
			return i
		}
	}
	return len(lines)
}

// snapshotLife is how long a snapshot of an unfinished activity serves new subscribers. It is short, because heartbeats change
// last_seen_at.
const snapshotLife = time.Second

// held returns the snapshot, and whether it is recent. It returns nil where a line follows the snapshot, the scope is not known to contain
// the activity, or the snapshot depends on another scope. Called with mu held.
func (t *topic) held(v *feedScope) (s *Snapshot, recent bool) {
	if t.snapshot == nil || t.snapshot.State.LastSeq < t.hi || !t.shows(v) || t.snapshot.InTree && t.snapshotIn != v.key() {
		return nil, false
	}
	return t.snapshot, t.snapshot.State.Final && !t.snapshot.InTree || time.Since(t.snapshotAt) < snapshotLife
}

// load returns a snapshot read after the topic was registered. Concurrent subscribers with the same scope share one read. A
// snapshot serves all of them until a line follows it or it is no longer recent. An old one is used when the read fails.
// ErrNotFound where there is no such activity in the scope, whatever others watch.
func (t *topic) load(ctx context.Context, v *feedScope, owner any) (Snapshot, error) {
	for {
		t.mu.Lock()
		old, recent := t.held(v)
		if recent {
			t.mu.Unlock()
			return *old, nil
		}
		f, known := t.loading[v.key()], t.known()
		if mine := f == nil; mine {
			f = newFlight()
			if t.loading == nil {
				t.loading = make(map[string]*flight)
			}
			t.loading[v.key()] = f
			t.mu.Unlock()
			t.readSnapshot(f, known, v, owner)
		} else {
			t.mu.Unlock()
		}
		if err := f.wait(ctx); err != nil {
			if old != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
				return *old, nil // the database cannot be reached
			}
			return Snapshot{}, err
		}
		if f.snapshot != nil {
			return *f.snapshot, nil
		}
	}
}

// readSnapshot uses the hub's context, not the caller's, because others wait for the read too.
func (t *topic) readSnapshot(f *flight, known Known, v *feedScope, owner any) {
	snapshot, err := t.hub.readSnapshot(t.hub.ctx, t.agentID, v, owner)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.loading, v.key())
	if len(t.loading) == 0 {
		t.loading = nil
	}
	f.err = err
	defer close(f.done)
	if err != nil || !t.accept(known, Batch{State: snapshot.State}) {
		return
	}
	t.show(v)
	if t.hi == unknown {
		t.hi = snapshot.State.LastSeq
	}
	t.snapshot, f.snapshot, t.snapshotAt, t.snapshotIn = &snapshot, &snapshot, time.Now(), v.key()
}

const (
	// wakeCost is about the time that one socket's writer needs to wake up and write.
	wakeCost = 20 * time.Microsecond
	// wakeMax bounds the latency that coalescing adds.
	wakeMax = 25 * time.Millisecond
)

// wakeAll tells every subscription that there is something to pull. Called with mu held. Waking a thousand writers for every
// line costs more than the lines. So a topic is woken at most every wakeCost times its subscriptions; lines that come
// meanwhile leave as one frame.
func (t *topic) wakeAll() {
	t.coalescer.Schedule(min(time.Duration(len(t.subs))*wakeCost, wakeMax), func() {
		t.mu.Lock()
		subs := make([]*activitySub, 0, len(t.subs))
		for s := range t.subs {
			subs = append(subs, s)
		}
		t.mu.Unlock()
		for _, s := range subs {
			s.out.wake()
		}
	})
}
