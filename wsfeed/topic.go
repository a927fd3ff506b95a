package wsfeed

import (
	"encoding/json"
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
