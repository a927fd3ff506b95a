package wsfeed

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxChanges is how many ids of changed activities a list remembers between two reads. A list with more is read whole.
	maxChanges = 50_000
	// maxPartBytes is the size up to which a list is read in part. SQL ends a page at 4 MiB, and where it ends depends on every item.
	// So a larger list is read whole.
	maxPartBytes = 1 << 20
)

// changes is the set of activities whose items a list must read again. It may name activities that the list does not hold.
type changes struct {
	mu    sync.Mutex
	whole bool // any item may have changed
	ids   [][]uuid.UUID
	n     int // ids in all
}

// all notes that any item may have changed.
func (c *changes) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole, c.ids, c.n = true, nil, 0
}

// of notes that some activities have changed. The slice is kept.
func (c *changes) of(agentIDs []uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.whole:
	case c.n+len(agentIDs) > maxChanges:
		c.whole, c.ids, c.n = true, nil, 0
	default:
		c.ids, c.n = append(c.ids, agentIDs), c.n+len(agentIDs)
	}
}

// take returns the changes and clears them. The caller takes them before the read, so a change during the read counts for the next
// one.
func (c *changes) take() (changed [][]uuid.UUID, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, whole = c.ids, c.whole
	c.whole, c.ids, c.n = false, nil, 0
	return changed, whole
}

// unchanged returns the ids of the items that have not changed, which the read that begins now may leave out. It returns none where
// the list must be read whole.
func (l *listTopic) unchanged() []uuid.UUID {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	changed, whole := l.changes.take()
	if whole || l.rev == 0 || l.bytes > maxPartBytes || now.Sub(l.wholeAt) >= l.hub.cfg.ListRefresh {
		l.wholeAt = now
		return nil
	}
	left := make(map[uuid.UUID]struct{}, len(l.items))
	for _, item := range l.items {
		left[item.id] = struct{}{}
	}
	for _, ids := range changed {
		for _, id := range ids {
			delete(left, id)
		}
	}
	ids := make([]uuid.UUID, 0, len(left))
	for _, item := range l.items {
		if _, is := left[item.id]; is {
			ids = append(ids, item.id)
		}
	}
	return ids
}

// fill completes a read with the items that it left out. It reports false where the list has to be read whole. Called with mu held.
func (l *listTopic) fill(read []ListItem) bool {
	known := make(map[uuid.UUID]*sharedItem, len(l.items))
	for _, item := range l.items {
		known[item.id] = item.sharedItem
	}
	size, whole := 0, true
	for i := range read {
		if read[i].JSON == nil {
			item := known[read[i].AgentID]
			if item == nil {
				return false
			}
			read[i].JSON, whole = item.json, false
		}
		size += len(read[i].JSON)
	}
	return whole || size <= maxPartBytes
}
