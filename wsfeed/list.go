package wsfeed

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// listTopic is one live list, shared by all who watch the same filter in the same scope. It is state, not history: the items as last
// read, each with the revision that changed it, so a subscription at any revision gets what is different now.
type listTopic struct {
	hub    *Hub
	key    string
	filter ListFilter
	view   *view
	gen    uint64
	// condition is what the matcher finds the list by.
	condition *condition

	mu      sync.Mutex
	subs    map[*listSub]struct{}
	items   []ListItem // in the list's order
	changed map[uuid.UUID]uint64
	removed map[uuid.UUID]uint64
	counts  json.RawMessage
	// rev grows with every read that shows a difference; 0 before the first. Who is behind floor gets a snapshot:
	// what was removed by then is forgotten.
	rev, floor uint64

	rest     atomic.Int64 // how long after one read, in nanoseconds, the next may begin
	countsAt time.Time    // when the counts may be read again
	reading  bool
	again    bool // touched while being read
	alarm    alarm
	refresh  *time.Timer
}

// restShare is how long a list, and so its counts, rest after a read, as a multiple of what the read took: neither must
// become all that a busy database does, and counting a large table is dear. The items rest for ListRefresh at most.
const restShare = 20

// touch has the list read again, soon.
func (l *listTopic) touch() {
	l.alarm.ring(l.interval(), l.reread)
}

// interval is the least time between two reads of the items.
func (l *listTopic) interval() time.Duration {
	return min(max(l.hub.cfg.ListInterval, time.Duration(l.rest.Load())), l.hub.cfg.ListRefresh)
}

func (l *listTopic) reread() {
	l.mu.Lock()
	if l.reading || len(l.subs) == 0 {
		l.again = true
		l.mu.Unlock()
		return
	}
	l.reading, l.again = true, false
	withCounts := !time.Now().Before(l.countsAt)
	l.mu.Unlock()

	items, took, err := l.hub.readList(l.filter, l.view)
	l.rest.Store(int64(restShare * took))
	var counts json.RawMessage
	if err == nil && withCounts {
		counts, took, err = l.hub.readCounts(l.filter, l.view)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	if l.hub.ctx.Err() != nil || len(l.subs) == 0 {
		return
	}
	next := l.hub.cfg.ListRefresh
	switch {
	case err != nil:
		l.hub.cfg.Logger.Debug("reading a live list", "error", err)
		next = time.Second
	default:
		if counts != nil {
			l.countsAt = time.Now().Add(restShare * took)
		} else {
			next = min(next, time.Until(l.countsAt))
		}
		l.take(items, counts)
	}
	if l.again {
		next = l.interval()
	}
	l.refresh.Reset(max(next, time.Millisecond))
}

// take compares a read with what is known. Called with mu held.
func (l *listTopic) take(items []ListItem, counts json.RawMessage) {
	rev := l.rev + 1
	known := make(map[uuid.UUID]json.RawMessage, len(l.items))
	for _, item := range l.items {
		known[item.AgentID] = item.JSON
	}
	different := l.rev == 0
	for _, item := range items {
		if old, ok := known[item.AgentID]; !ok || !bytes.Equal(old, item.JSON) {
			l.changed[item.AgentID] = rev
			different = true
		}
		delete(known, item.AgentID)
		delete(l.removed, item.AgentID)
	}
	for id := range known {
		l.removed[id] = rev
		delete(l.changed, id)
		different = true
	}
	if counts != nil && !bytes.Equal(counts, l.counts) {
		l.counts = counts
		different = true
	}
	if !different {
		return
	}
	if len(l.removed) > 4*maxListLimit {
		l.removed, l.floor = make(map[uuid.UUID]uint64), rev
	}
	l.items, l.rev = items, rev
	for s := range l.subs {
		s.out.wake()
	}
}

// listSub follows one live list. It remembers only the revision it has shown.
type listSub struct {
	list *listTopic
	out  sink
	name string
	rev  uint64
}

func (s *listSub) leave() { s.list.hub.leaveList(s) }

func (s *listSub) holding() bool { return false }

func (s *listSub) live() bool { return false }

func (s *listSub) next(context.Context) (*frame, error) {
	kind, items, removed, counts := s.news()
	if kind == "" {
		return nil, nil
	}
	return listFrame(kind, s.name, items, removed, counts), nil // encoded without holding up the list
}

// news is what the client does not know yet, "" where there is nothing.
func (s *listSub) news() (kind string, items []ListItem, removed []string, counts json.RawMessage) {
	l := s.list
	l.mu.Lock()
	defer l.mu.Unlock()
	from := s.rev
	s.rev = l.rev
	switch {
	case from == l.rev:
		return "", nil, nil, nil
	case from == 0 || from < l.floor:
		return "snapshot", l.items, nil, l.counts // take replaces items, and never changes them
	}
	for _, item := range l.items {
		if l.changed[item.AgentID] > from {
			items = append(items, item)
		}
	}
	for id, rev := range l.removed {
		if rev > from {
			removed = append(removed, id.String())
		}
	}
	slices.Sort(removed)
	return "changes", items, removed, l.counts
}

func (h *Hub) joinList(filter ListFilter, name string, out sink) *listSub {
	plain, _ := json.Marshal(filter) // plain data always marshals
	v := out.view()
	key := string(plain) + v.key()
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lists[key]
	if l == nil {
		l = &listTopic{
			hub: h, key: key, filter: filter, view: v, gen: h.gen.Add(1),
			subs:    make(map[*listSub]struct{}),
			changed: make(map[uuid.UUID]uint64),
			removed: make(map[uuid.UUID]uint64),
		}
		l.refresh = time.AfterFunc(h.cfg.ListRefresh, l.touch)
		h.lists[l.key] = l
		h.matcher.add(l)
		h.registered()
	}
	s := &listSub{list: l, out: out, name: name}
	h.subscriptions.Add(1)
	l.mu.Lock()
	l.subs[s] = struct{}{}
	fresh := l.rev == 0
	l.mu.Unlock()
	if fresh {
		l.touch()
	}
	return s
}

func (h *Hub) leaveList(s *listSub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := s.list
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.subs, s)
	h.subscriptions.Add(-1)
	if len(l.subs) == 0 {
		l.refresh.Stop()
		if h.lists[l.key] == l {
			delete(h.lists, l.key)
			h.matcher.remove(l)
			h.changes.Add(1)
		}
	}
}
