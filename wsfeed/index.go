package wsfeed

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/memory"
)

// index finds the topic of an activity. It has shards, so that the tail, which publishes, and subscribers of other
// activities, which come and go, do not contend for one lock.
type index struct {
	shards [indexShards]indexShard
	// gen grows with every registration, of lists too; changes grows with every registration and every end of one. Both grow
	// while the lock of the changed part is held. So a caller that reads one of them and then takes all the locks finds at
	// least all registrations and changes up to that number.
	gen, changes atomic.Uint64
}

const indexShards = 64

type indexShard struct {
	mu     sync.RWMutex
	topics map[uuid.UUID]*topic
	_      [64]byte // a cache line between one shard's lock and the next
}

func (x *index) init() {
	for i := range x.shards {
		x.shards[i].topics = make(map[uuid.UUID]*topic)
	}
}

// shard uses the last byte of an id, which differs in ids of any version and in consecutive ones.
func (x *index) shard(agentID uuid.UUID) *indexShard { return &x.shards[agentID[15]%indexShards] }

func (x *index) topic(agentID uuid.UUID) *topic {
	s := x.shard(agentID)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[agentID]
}

// activities returns the number of watched activities.
func (x *index) activities() (n int) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		n += len(s.topics)
		s.mu.RUnlock()
	}
	return n
}

// between returns the activities that were registered after one generation and up to another, and are still watched.
func (x *index) between(after, upTo uint64) (ids []uuid.UUID) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for id, t := range s.topics {
			if t.gen > after && t.gen <= upTo {
				ids = append(ids, id)
			}
		}
		s.mu.RUnlock()
	}
	return ids
}

func (h *Hub) joinTopic(agentID uuid.UUID, name string, afterSeq int, out sink) *activitySub {
	x := h.shard(agentID)
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.topics[agentID]
	if t == nil || t.isGone() { // an activity may be created under the id of a deleted one
		t = &topic{hub: h, agentID: agentID, gen: h.gen.Add(1), hi: unknown, subs: make(map[*activitySub]struct{})}
		x.topics[agentID] = t
		h.registered()
	}
	s := &activitySub{topic: t, out: out, name: name, cursor: afterSeq, ended: unknown, hold: memory.HoldOf(out.socket(), out.cut)}
	t.mu.Lock()
	s.epoch = len(t.divergences)
	t.subs[s] = struct{}{}
	t.mu.Unlock()
	h.subscriptions.Add(1)
	return s
}

func (h *Hub) leaveTopic(s *activitySub) {
	t := s.topic
	x := h.shard(t.agentID)
	x.mu.Lock()
	defer x.mu.Unlock()
	t.mu.Lock()
	s.fromPostgres(false)
	s.left = true
	delete(t.subs, s)
	empty := len(t.subs) == 0
	t.mu.Unlock()
	h.subscriptions.Add(-1)
	if empty && x.topics[t.agentID] == t {
		delete(x.topics, t.agentID)
		h.changes.Add(1)
	}
}

// registered signals that something new is watched. The caller holds the lock of the new thing.
func (h *Hub) registered() {
	h.changes.Add(1)
	select {
	case h.added <- struct{}{}:
	default:
	}
}

func (h *Hub) joinList(filter ListFilter, name string, out sink) *listSub {
	plain, _ := json.Marshal(filter) // plain data always marshals
	v := out.feedScope()
	key := string(plain) + v.key()
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lists[key]
	if l == nil {
		l = &listTopic{
			hub: h, key: key, filter: filter, scope: v, gen: h.gen.Add(1),
			subs:    make(map[*listSub]struct{}),
			removed: make(map[uuid.UUID]uint64),
		}
		l.refresh = time.AfterFunc(h.cfg.ListRefresh, l.schedule)
		h.lists[l.key] = l
		of := match.Filter(filter)
		h.matcher.Add(l, &of, v.key())
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
	s.leaves()
	if len(l.subs) == 0 {
		l.refresh.Stop()
		l.letGo()
		if h.lists[l.key] == l {
			delete(h.lists, l.key)
			h.matcher.Remove(l)
			h.changes.Add(1)
		}
	}
}
