package wsfeed

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/wsfeed/internal/turns"
)

// parentInterval is the least time between two reads of a list because of the children of one of its items.
const parentInterval = 100 * time.Millisecond

// maxMeanwhile is how many sets of due items a list remembers during one read. A list that would have to remember more is read
// again.
const maxMeanwhile = 16

// parents finds the lists whose items change with the lines of other activities. An item has the counts of its children, so a line
// of an activity changes the items of its parent and of its root. No read of Postgres is needed to find these lists: they hold
// the item already, because no line of a child brings its parent into a list. A list is read in its own scope, so the counts are
// those of that scope.
type parents struct {
	coalescer turns.Coalescer

	mu      sync.Mutex
	due     map[uuid.UUID]struct{}                // the items that changed since the last refresh
	holders map[uuid.UUID]map[*listTopic]struct{} // the lists that hold an item
	reading map[*listTopic]struct{}               // the lists that are being read: any item may be in the answer
}

func newParents() *parents {
	return &parents{
		due: make(map[uuid.UUID]struct{}), holders: make(map[uuid.UUID]map[*listTopic]struct{}), reading: make(map[*listTopic]struct{}),
	}
}

// note marks the parents and roots of activities that have new lines, where a list holds them or may be about to. It reports
// whether anything is due.
func (p *parents) note(activities []Activity) bool {
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
func (p *parents) noteOne(id uuid.UUID) {
	if len(p.reading) > 0 || len(p.holders[id]) > 0 {
		p.due[id] = struct{}{}
	}
}

// take returns the due items, the lists that hold one of them, and the lists that are being read.
func (p *parents) take() (due map[uuid.UUID]struct{}, lists map[*listTopic]struct{}, reading []*listTopic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, lists = p.due, make(map[*listTopic]struct{})
	p.due = make(map[uuid.UUID]struct{})
	for id := range due {
		maps.Copy(lists, p.holders[id])
	}
	return due, lists, slices.Collect(maps.Keys(p.reading))
}

// begin and end enclose a read of a list. The read is in the set before Postgres sees it.
func (p *parents) begin(l *listTopic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading[l] = struct{}{}
}

func (p *parents) end(l *listTopic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reading, l)
}

// holds changes which items a list holds.
func (p *parents) holds(l *listTopic, entered, left []uuid.UUID) {
	if len(entered)+len(left) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range entered {
		if p.holders[id] == nil {
			p.holders[id] = make(map[*listTopic]struct{})
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

// childrenChanged schedules a new read of the lists that hold the parent or the root of one of the activities: at once, but at most
// every parentInterval. The lists are found when the time has come.
func (h *Hub) childrenChanged(activities []Activity) {
	if h.parents.note(activities) {
		h.parents.coalescer.Schedule(parentInterval, h.refreshParents)
	}
}

func (h *Hub) refreshParents() {
	due, lists, reading := h.parents.take()
	for _, l := range reading {
		l.changedMeanwhile(due)
	}
	for l := range lists {
		l.touch()
	}
}

// changedMeanwhile tells a list that may be being read that these items have changed. The answer may be older than that.
func (l *listTopic) changedMeanwhile(due map[uuid.UUID]struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.reading: // the read has ended in the meantime
		if l.holdsOneOf(due) {
			l.touch()
		}
	case len(l.meanwhile) == maxMeanwhile:
		l.again = true
	default:
		l.meanwhile = append(l.meanwhile, due)
	}
}

// holdsOneOf is called with mu held.
func (l *listTopic) holdsOneOf(due map[uuid.UUID]struct{}) bool {
	return slices.ContainsFunc(l.items, func(item listed) bool {
		_, is := due[item.id]
		return is
	})
}
