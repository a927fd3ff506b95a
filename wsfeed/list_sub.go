package wsfeed

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/wsfeed/internal/memory"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// listSub follows one live list. It remembers the revision it has shown, and which items of it did not fit into the frames so
// far. It holds no items: the next frame is made of the list as it is then.
type listSub struct {
	list *listTopic
	out  sink
	name string
	rev  uint64
	due  map[uuid.UUID]struct{}

	// Guarded by the list's lock.
	held int // the bytes that its socket counts for it
	left bool
}

func (s *listSub) leave() { s.list.hub.leaveList(s) }

// leaves is called with the list's lock held.
func (s *listSub) leaves() {
	s.left = true
	s.out.holds(-s.held)
	s.held = 0
}

func (s *listSub) holding() bool { return len(s.due) > 0 }

func (s *listSub) live() bool { return false }

// listUpdate is the content of a list's frame.
type listUpdate struct {
	kind    string
	items   []*sharedItem
	removed []string
	counts  json.RawMessage
	rev     uint64
	due     map[uuid.UUID]struct{}
}

func (u *listUpdate) frame(sub string) *wire.Frame {
	return wire.List(u.kind, sub, u.items, func(i *sharedItem) json.RawMessage { return i.json }, u.removed, u.counts)
}

func (s *listSub) next(ctx context.Context) (*wire.Frame, error) {
	h := s.list.hub
	for {
		_, drops := h.budget.State()
		for _, limit := range []int{maxFrame, memory.Small} {
			update, err := s.update(limit)
			if update == nil || err != nil {
				return nil, err
			}
			f := update.frame(s.name) // encoded without the list's lock
			if h.begin(f, s.out) {
				s.rev, s.due = update.rev, update.due
				return f, nil
			}
		}
		h.limited(LimitFrameBytes)
		if err := h.budget.Wait(ctx, drops); err != nil {
			return nil, err
		}
	}
}

// maxFrame is the largest frame the server sends, unless a single line is larger. WebSocket libraries refuse messages over
// 1 MiB unless told otherwise.
const maxFrame = 1 << 20

// frameRoom is the room in a frame for all but items: names, counts, and the removed ids of a usual change.
const frameRoom = 2 << 10

// update returns the changes that the client does not know yet, nil where there are none. The frame has at most limit bytes,
// but at least one item.
func (s *listSub) update(limit int) (*listUpdate, error) {
	l := s.list
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.refusal != nil:
		return nil, l.refusal
	case s.left || (s.rev == l.rev && len(s.due) == 0):
		return nil, nil
	case !s.out.holds(l.bytes - s.held):
		return nil, &Refusal{Code: "limit", Message: "the lists of this socket hold as many items as they may: unsubscribe from some, or ask for shorter ones"}
	}
	s.held = l.bytes
	update := &listUpdate{kind: "changes", counts: l.counts, rev: l.rev}
	all := s.rev == 0 || s.rev < l.floor
	if all {
		update.kind = "snapshot"
	} else {
		for id, rev := range l.removed {
			if rev > s.rev {
				update.removed = append(update.removed, id.String())
			}
		}
		slices.Sort(update.removed)
	}
	room := limit - frameRoom - 39*len(update.removed)
	for _, item := range l.items {
		if _, due := s.due[item.id]; !all && !due && item.changed <= s.rev {
			continue
		}
		if room -= len(item.json) + 1; room >= 0 || len(update.items) == 0 {
			update.items = append(update.items, item.sharedItem)
			continue
		}
		if update.due == nil {
			update.due = make(map[uuid.UUID]struct{})
		}
		update.due[item.id] = struct{}{}
	}
	return update, nil
}

// items keeps the items of all lists, each version once: most lists of a service hold the same activities. One activity has
// several versions at a time: its children are those of a list's scope, and not every list has metadata.
type items struct {
	mu       sync.Mutex
	versions map[itemVersion]*sharedItem
	bytes    int // of the versions that lists hold
}

// itemVersion identifies a version by the hash of its JSON. Of two versions with the same hash, one is not shared.
type itemVersion struct {
	id   uuid.UUID
	hash uint64
}

// sharedItem is one version of an item.
type sharedItem struct {
	itemVersion
	json json.RawMessage
	refs int // lists that hold it; guarded by items.mu
}

var itemSeed = maphash.MakeSeed()

func newItems() *items { return &items{versions: make(map[itemVersion]*sharedItem)} }

// hold returns the shared versions of the items that a list read; drop gives them back.
func (s *items) hold(read []ListItem) []*sharedItem {
	held, keys := make([]*sharedItem, len(read)), make([]itemVersion, len(read))
	for i, item := range read {
		keys[i] = itemVersion{item.AgentID, maphash.Bytes(itemSeed, item.JSON)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, item := range read {
		key := keys[i]
		v := s.versions[key]
		if v == nil || !bytes.Equal(v.json, item.JSON) {
			v = &sharedItem{itemVersion: key, json: item.JSON}
			s.versions[key] = v
			s.bytes += len(v.json)
		}
		v.refs++
		held[i] = v
	}
	return held
}

func (s *items) drop(held []*sharedItem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range held {
		if v.refs--; v.refs == 0 {
			s.bytes -= len(v.json)
			if s.versions[v.itemVersion] == v {
				delete(s.versions, v.itemVersion)
			}
		}
	}
}

func (s *items) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}
