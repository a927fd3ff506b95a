package wsfeed

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
)

// The tail reads what has changed in Postgres, and tells the feed by the calls of this file.

// Publish hands lines of one activity to its subscriptions.
func (h *Hub) Publish(agentID uuid.UUID, b Batch) {
	if t := h.topic(agentID); t != nil {
		t.publish(b)
	}
}

// Known returns what the feed knows of the activities of w. A read of their states that begins now confirms it.
func (h *Hub) Known(w *Watch) []Known {
	all := make([]Known, 0, len(w.Activities))
	for _, id := range w.Activities {
		if t := h.topic(id); t != nil {
			t.mu.Lock()
			all = append(all, t.known())
			t.mu.Unlock()
		}
	}
	return all
}

// Confirm tells the feed an activity's state, read after the tail took up a new position and after k was known. Subscriptions
// read the lines between k and this state from Postgres if they need them. line is the JSON of the line k.LineSeq, nil where
// there is no such line; its id and created_at are enough.
func (h *Hub) Confirm(k Known, s State, line json.RawMessage) { k.topic.confirm(k, s, line) }

// Gone tells the feed that an activity does not exist any more.
func (h *Hub) Gone(k Known) { k.topic.markGone() }

// ListsChanged schedules a new read of the lists of w.
func (h *Hub) ListsChanged(w *Watch) {
	for _, l := range w.lists {
		l.touch()
	}
}

// Activity has the properties that decide whether a list may hold an activity. They never change after its creation.
type Activity struct {
	ID            uuid.UUID // of the row
	AgentID       uuid.UUID
	AgentType     string
	ParentAgentID uuid.UUID // uuid.Nil for a root, as is RootAgentID
	RootAgentID   uuid.UUID
}

// parentInterval is the least time between two reads of a list because of the children of one of its items.
const parentInterval = 100 * time.Millisecond

// maxMeanwhile is how many sets of due items a list remembers during one read. A list that would have to remember more is read
// again.
const maxMeanwhile = 16

// Touched schedules a new read of the lists that may hold one of the activities, and of those that hold the parent or the root of
// one. It asks metadata for the metadata of unknown ones; metadata calls take for each of them that exists. Touched returns the
// error of metadata.
func (h *Hub) Touched(activities []Activity, metadata func(unknown []Activity, take func(i int, metadata json.RawMessage)) error) error {
	of, ids := make([]match.Activity, len(activities)), make([]uuid.UUID, len(activities))
	for i, a := range activities {
		of[i], ids[i] = match.Activity(a), a.AgentID
	}
	lists, at := h.matcher.Find(of)
	var err error
	if len(at) > 0 {
		unknown := make([]Activity, len(at))
		for i, n := range at {
			unknown[i] = activities[n]
		}
		err = metadata(unknown, func(i int, metadata json.RawMessage) { h.matcher.Learn(&of[at[i]], metadata, lists) })
	}
	for l := range lists {
		l.touchOf(ids) // it knows which of them it holds
	}
	h.childrenChanged(of)
	return err
}

// childrenChanged schedules a new read of the lists that hold the parent or the root of one of the activities: at once, but at most
// every parentInterval. The lists are found when the time has come.
func (h *Hub) childrenChanged(activities []match.Activity) {
	if h.parents.Note(activities) {
		h.children.Schedule(parentInterval, h.refreshParents)
	}
}

func (h *Hub) refreshParents() {
	due, lists, reading := h.parents.Take()
	ids := slices.Collect(maps.Keys(due))
	for _, l := range reading {
		l.changedMeanwhile(due, ids)
	}
	for l := range lists {
		l.touchOf(ids)
	}
}

// changedMeanwhile notes that items have changed, for a list whose read may have begun before the change. ids are the keys of due.
func (l *listTopic) changedMeanwhile(due map[uuid.UUID]struct{}, ids []uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes.of(ids)
	switch {
	case !l.reading: // the read has ended in the meantime
		if l.holdsOneOf(due) {
			l.schedule()
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

// No line is written when an activity becomes stale, or when a heartbeat ends that. So the tail reads which activities are stale,
// and tells the feed where the feed has another value.

// StaleDiffers returns the watched activities for which the feed has another value of stale than isStale returns. The caller
// reads their states and passes each to Refresh.
func (h *Hub) StaleDiffers(isStale func(agentID uuid.UUID) bool) (differ []Known) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		for id, t := range s.topics {
			t.mu.Lock()
			if t.hi != unknown && !t.gone && t.state.Stale != isStale(id) {
				differ = append(differ, t.known())
			}
			t.mu.Unlock()
		}
		s.mu.RUnlock()
	}
	return differ
}

// Refresh tells the feed an activity's state, read after k was known. If a line was written in between, the state is ignored: a
// line brings its own state.
func (h *Hub) Refresh(k Known, s State) { k.topic.refresh(k, s) }

func (t *topic) refresh(k Known, s State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.divergences != len(t.divergences) || t.replacedBy(s) || s.LastSeq != t.state.LastSeq {
		return
	}
	t.learn(s)
}
