package wsfeed

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxChanges is how many sets of changed activities a list remembers between two reads. A list with more is read whole.
	maxChanges = 256
	// maxHeldBytes bounds the items of which a read asks for the changed ones only. The page of a longer list may end early, as SQL
	// bounds it, and where depends on all its items.
	maxHeldBytes = 1 << 20
)

// changes are the activities of which a list has to read the items anew. It may name activities that the list does not hold.
type changes struct {
	mu    sync.Mutex
	whole bool // any item may have changed
	ids   [][]uuid.UUID
}

// all notes that any item may have changed.
func (c *changes) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole, c.ids = true, nil
}

// of notes that some activities have changed. The slice is kept.
func (c *changes) of(agentIDs []uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.whole:
	case len(c.ids) == maxChanges:
		c.whole, c.ids = true, nil
	default:
		c.ids = append(c.ids, agentIDs)
	}
}

// take returns what has changed, and forgets it. Called before the read, so that a change during the read is one for the next.
func (c *changes) take() (changed map[uuid.UUID]struct{}, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, whole = make(map[uuid.UUID]struct{}), c.whole
	for _, ids := range c.ids {
		for _, id := range ids {
			changed[id] = struct{}{}
		}
	}
	c.whole, c.ids = false, nil
	return changed, whole
}

// held returns the items that a read may leave out, because the list has them as they are; none where it has to be read whole.
// Called with mu held, before a read.
func (l *listTopic) held(now time.Time) []uuid.UUID {
	changed, whole := l.changes.take()
	if whole || l.rev == 0 || l.bytes > maxHeldBytes || now.Sub(l.wholeAt) >= l.hub.cfg.ListRefresh {
		l.wholeAt = now
		return nil
	}
	var held []uuid.UUID
	for _, item := range l.items {
		if _, is := changed[item.id]; !is {
			held = append(held, item.id)
		}
	}
	return held
}

// fill completes a read with the items that it left out. It reports whether the list has them all. Called with mu held.
func (l *listTopic) fill(read []ListItem) bool {
	known := make(map[uuid.UUID]*sharedItem, len(l.items))
	for _, item := range l.items {
		known[item.id] = item.sharedItem
	}
	for i := range read {
		if read[i].JSON != nil {
			continue
		}
		item := known[read[i].AgentID]
		if item == nil {
			return false
		}
		read[i].JSON = item.json
	}
	return true
}
