package wsfeed

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/turns"
)

// listTopic is one live list, shared by all subscriptions to the same filter in the same scope. It holds state, not history:
// the items as last read, each with the revision that changed it. So a subscription at any revision gets the differences to
// the current state.
type listTopic struct {
	hub    *Hub
	key    string
	filter ListFilter
	scope  *feedScope
	gen    uint64

	mu      sync.Mutex
	subs    map[*listSub]struct{}
	items   []listed // in the list's order
	bytes   int      // of the items
	removed map[uuid.UUID]uint64
	counts  json.RawMessage // nil until they are read
	// rev grows with every read that shows a difference; 0 before the first. A subscription behind floor gets a snapshot,
	// because the items removed up to floor are forgotten.
	rev, floor uint64
	failed     bool     // the last read failed
	refusal    *Refusal // why the list cannot be read; then it is not read again

	cooldown  atomic.Int64 // the least time between two reads, in nanoseconds
	countsAt  time.Time    // when the counts may be read again
	reading   bool
	again     bool                     // touched while being read
	meanwhile []map[uuid.UUID]struct{} // the items that changed with their children while the list was being read
	changes   changes                  // since the last read began
	wholeAt   time.Time                // when the last read of the whole list began
	coalescer turns.Coalescer
	refresh   *time.Timer
}

// listed is an item with the revision that changed it.
type listed struct {
	*sharedItem
	changed uint64
}

// maxCooldownFactor bounds a cooldown, as a multiple of the duration of the read.
const maxCooldownFactor = 20

// cooldownAfter returns the cooldown of a list, or of its counts, after a read. After n ms it is n/4 times that duration, at most
// maxCooldownFactor times: 25 ms after 10 ms, 400 ms after 40 ms. A fast read costs little, and its list stays fresh: of 1,000
// changes a second, a list of 200 items showed 790 to 910 with n/2, and 950 to 1,000 with n/4 (ui/test/figures.sh). Slow reads,
// such as counts of a large table, must not keep a busy database occupied. The cooldown of items is at most ListRefresh.
func cooldownAfter(took time.Duration) time.Duration {
	return time.Duration(min(took.Seconds()*1000/4, maxCooldownFactor) * float64(took))
}

// touch schedules a new read of the whole list.
func (l *listTopic) touch() {
	l.changes.all()
	l.schedule()
}

// touchOf schedules a new read of the items of some activities, and of the list's order. The caller must not change the slice after.
func (l *listTopic) touchOf(agentIDs []uuid.UUID) {
	l.changes.of(agentIDs)
	l.schedule()
}

func (l *listTopic) schedule() {
	l.coalescer.Schedule(l.interval(), l.reread)
}

// interval returns the least time between two reads of the items.
func (l *listTopic) interval() time.Duration {
	return min(max(l.hub.cfg.ListInterval, time.Duration(l.cooldown.Load())), l.hub.cfg.ListRefresh)
}

func (l *listTopic) reread() {
	l.mu.Lock()
	if l.reading || len(l.subs) == 0 || l.refusal != nil {
		l.again = true
		l.mu.Unlock()
		return
	}
	l.reading, l.again, l.meanwhile = true, false, nil
	l.hub.parents.Begin(l)
	withCounts := !time.Now().Before(l.countsAt)
	of := turns.List
	if l.rev == 0 {
		of = turns.NewList
	}
	owners := l.owners()
	l.mu.Unlock()

	owner := l.hub.places.Shortest(of, owners)
	items, took, err := l.hub.readList(of, owner, l.filter, l.scope, l.unchanged)
	l.cooldown.Store(int64(cooldownAfter(took)))
	c := counted{tried: err == nil && withCounts}
	if c.tried {
		c.counts, c.took, c.err = l.hub.readCounts(owner, l.filter, l.scope)
		if c.err != nil {
			c.counts = nil // the counts of before stay
		}
	}
	l.took(items, err, c)
}

// counted is a read of a list's counts.
type counted struct {
	tried  bool
	counts json.RawMessage
	took   time.Duration
	err    error
}

// owners returns sockets that watch the list, at most 16. Called with mu held.
func (l *listTopic) owners() (some []any) {
	for s := range l.subs {
		if some = append(some, s.out.socket()); len(some) == 16 {
			break
		}
	}
	return some
}

// took takes the result of a read, and schedules the next read.
func (l *listTopic) took(items []ListItem, err error, c counted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.hub.parents.End(l) // after Holds: until then, a change of any item counts for this list
	l.reading = false
	if l.hub.ctx.Err() != nil || len(l.subs) == 0 {
		return
	}
	next, least := l.hub.cfg.ListRefresh, time.Millisecond
	refusal := (*Refusal)(nil)
	switch {
	case errors.As(err, &refusal):
		l.refuse(refusal)
		return
	case err != nil:
		if !l.failed && l.hub.refusals.Allow() {
			l.hub.cfg.Logger.Warn("cannot read a live list; trying again", "error", err)
		}
		l.failed = true
		l.changes.all() // the read brought none of them
		least = time.Second
		next = max(least, l.interval())
	default:
		if c.tried {
			l.countsTaken(c)
		}
		if !c.tried || c.err != nil {
			next = min(next, time.Until(l.countsAt))
		}
		l.failed = false
		if l.fill(items) {
			l.take(items, c.counts)
			l.again = l.again || slices.ContainsFunc(l.meanwhile, l.holdsOneOf)
		} else {
			l.touch()
		}
	}
	if l.again {
		next = l.interval()
	}
	l.refresh.Reset(max(next, least))
}

// countsTaken sets the time of the next read of the counts. A failed read of the counts leaves the items as they are.
func (l *listTopic) countsTaken(c counted) {
	cooldown := cooldownAfter(c.took)
	if c.err != nil {
		cooldown = max(cooldown, time.Second)
		l.hub.cfg.Logger.Debug("reading the counts of a live list", "error", c.err)
		if refusal := (*Refusal)(nil); errors.As(c.err, &refusal) {
			cooldown = max(cooldown, l.hub.cfg.ListRefresh)
		}
	}
	l.countsAt = time.Now().Add(cooldown)
}

// refuse ends all subscriptions. Called with mu held.
func (l *listTopic) refuse(r *Refusal) {
	l.refusal = r
	l.refresh.Stop()
	l.wakeAll()
}

func (l *listTopic) wakeAll() {
	for s := range l.subs {
		s.out.wake()
	}
}

// take compares a read with the known items. Called with mu held.
func (l *listTopic) take(read []ListItem, counts json.RawMessage) {
	held := l.hub.items.hold(read)
	if l.hub.items.size() > l.hub.cfg.MaxListBytes {
		l.hub.items.drop(held)
		l.hub.limited(LimitListBytes)
		l.refuse(&Refusal{Code: "limit", Message: "the server holds as many list items as it may: ask for a shorter list, or come back later"})
		return
	}
	rev := l.rev + 1
	known := make(map[uuid.UUID]listed, len(l.items))
	old := make([]*sharedItem, 0, len(l.items))
	for _, item := range l.items {
		known[item.id] = item
		old = append(old, item.sharedItem)
	}
	var entered, left []uuid.UUID
	different := l.rev == 0
	now, size := make([]listed, len(held)), 0
	for i, item := range held {
		before, ok := known[item.id]
		now[i] = listed{item, before.changed}
		if !ok {
			entered = append(entered, item.id)
		}
		if !ok || (before.sharedItem != item && !sameItem(before.json, item.json)) {
			now[i].changed = rev
			different = true
		}
		size += len(item.json)
		delete(known, item.id)
		delete(l.removed, item.id)
	}
	for id := range known {
		l.removed[id] = rev
		left = append(left, id)
		different = true
	}
	l.hub.parents.Holds(l, entered, left)
	if counts != nil && !bytes.Equal(counts, l.counts) {
		l.counts = counts
		different = true
	}
	l.items, l.bytes = now, size // also without a difference: the order may have changed
	l.hub.items.drop(old)
	if !different {
		return
	}
	if len(l.removed) > 4*match.MaxLimit {
		l.removed, l.floor = make(map[uuid.UUID]uint64), rev
	}
	l.rev = rev
	l.wakeAll()
}

// lastSeenAt begins the last key of an item (TestItemsEndWithLastSeenAt in sidecar/internal/feedsource).
var lastSeenAt = []byte(`"last_seen_at":"`)

// sameItem reports whether two versions of an item, as _list_text writes them, differ in last_seen_at at most. A heartbeat changes
// only last_seen_at, and that is no change of a list. last_seen_at is the last key of an item, because the values before it may hold
// any JSON.
func sameItem(a, b json.RawMessage) bool {
	i, j := bytes.LastIndex(a, lastSeenAt), bytes.LastIndex(b, lastSeenAt)
	if i < 0 || i != j || !bytes.Equal(a[:i], b[:j]) {
		return bytes.Equal(a, b)
	}
	_, a, _ = bytes.Cut(a[i+len(lastSeenAt):], []byte{'"'})
	_, b, _ = bytes.Cut(b[j+len(lastSeenAt):], []byte{'"'})
	return bytes.Equal(a, b)
}

// letGo gives the items back. Called with mu held.
func (l *listTopic) letGo() {
	held, ids := make([]*sharedItem, len(l.items)), make([]uuid.UUID, len(l.items))
	for i, item := range l.items {
		held[i], ids[i] = item.sharedItem, item.id
	}
	l.hub.items.drop(held)
	l.hub.parents.Holds(l, nil, ids)
	l.items, l.bytes = nil, 0
}
