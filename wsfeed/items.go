package wsfeed

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/google/uuid"
)

// items keeps the items of all lists, each version once: most lists of a service hold the same activities.
type items struct {
	mu     sync.Mutex
	newest map[uuid.UUID]*sharedItem
	bytes  int // of the versions that lists hold
}

// sharedItem is one version of an item.
type sharedItem struct {
	id   uuid.UUID
	json json.RawMessage
	refs int // lists that hold it; guarded by items.mu
}

func newItems() *items { return &items{newest: make(map[uuid.UUID]*sharedItem)} }

// hold returns versions of what a list read; drop gives them back.
func (s *items) hold(read []ListItem) []*sharedItem {
	held := make([]*sharedItem, len(read))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, item := range read {
		v := s.newest[item.AgentID]
		if v == nil || !bytes.Equal(v.json, item.JSON) {
			v = &sharedItem{id: item.AgentID, json: item.JSON}
			s.newest[item.AgentID] = v
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
			if s.newest[v.id] == v {
				delete(s.newest, v.id)
			}
		}
	}
}

func (s *items) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}
