package match

import (
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Parents finds the lists whose items change with the lines of other activities. An item has the counts of its children, so a line
// of an activity changes the items of its parent and of its root. No read of Postgres is needed to find these lists: they hold
// the item already, because no line of a child brings its parent into a list. A list is read in its own scope, so the counts are
// those of that scope.
type Parents[L comparable] struct {
	mu      sync.Mutex
	due     map[uuid.UUID]struct{}       // the items that changed since the last refresh
	holders map[uuid.UUID]map[L]struct{} // the lists that hold an item
	reading map[L]struct{}               // the lists that are being read: any item may be in the answer
}

// NewParents returns a Parents without any list.
func NewParents[L comparable]() *Parents[L] {
	return &Parents[L]{
		due: make(map[uuid.UUID]struct{}), holders: make(map[uuid.UUID]map[L]struct{}), reading: make(map[L]struct{}),
	}
}

// Note marks the parents and roots of activities that have new lines, where a list holds them or may be about to. It reports
// whether anything is due.
func (p *Parents[L]) Note(activities []Activity) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range activities {
		a := &activities[i]
		if a.ParentAgentID == uuid.Nil {
			continue
		}
		p.noteOne(a.ParentAgentID)
		if a.RootAgentID != a.ParentAgentID {
			p.noteOne(a.RootAgentID)
		}
	}
	return len(p.due) > 0
}

// noteOne is called with mu held.
func (p *Parents[L]) noteOne(id uuid.UUID) {
	if len(p.reading) > 0 || len(p.holders[id]) > 0 {
		p.due[id] = struct{}{}
	}
}

// Take returns the due items, the lists that hold one of them, and the lists that are being read.
func (p *Parents[L]) Take() (due map[uuid.UUID]struct{}, lists map[L]struct{}, reading []L) {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, lists = p.due, make(map[L]struct{})
	p.due = make(map[uuid.UUID]struct{})
	for id := range due {
		maps.Copy(lists, p.holders[id])
	}
	return due, lists, slices.Collect(maps.Keys(p.reading))
}

// Begin is called before a read of a list, and End after it: during the read, any item may be in the answer.
func (p *Parents[L]) Begin(l L) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading[l] = struct{}{}
}

// End is called after a read of a list.
func (p *Parents[L]) End(l L) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reading, l)
}

// Holds changes which items a list holds.
func (p *Parents[L]) Holds(l L, entered, left []uuid.UUID) {
	if len(entered)+len(left) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range entered {
		if p.holders[id] == nil {
			p.holders[id] = make(map[L]struct{})
		}
		p.holders[id][l] = struct{}{}
	}
	for _, id := range left {
		delete(p.holders[id], l)
		if len(p.holders[id]) == 0 {
			delete(p.holders, id)
		}
	}
}
