package wsfeed

import (
	"encoding/json"
	"sync"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/jsonb"
)

// matcher finds the lists that may hold an activity. The cost depends on the activity, not on the number of lists:
// conditions are looked up by its agent_id, its parent and root, its type and the members of its metadata.
type matcher struct {
	mu         sync.Mutex
	conditions map[string]*condition
	index      map[place]map[*condition]struct{}
	metadata   int    // conditions that ask for metadata
	gen        uint64 // grows with every new condition
	// known caches the conditions found for activities, so that the metadata of a frequently written activity is read once.
	// An entry is valid for the generation it was found in.
	known   map[uuid.UUID]found
	matches int // in known
}

type found struct {
	gen        uint64
	conditions []*condition
}

// Bounds of known. Beyond them it is cleared, and metadata is read again.
const (
	maxFound   = 10_000
	maxMatches = 100_000
)

func newMatcher() *matcher {
	return &matcher{
		conditions: make(map[string]*condition), index: make(map[place]map[*condition]struct{}), known: make(map[uuid.UUID]found),
	}
}

func (m *matcher) add(l *listTopic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.condition = newCondition(l.filter, l.scope)
	if known := m.conditions[l.condition.key]; known != nil {
		l.condition = known
		known.lists[l] = struct{}{}
		return
	}
	c := l.condition
	m.gen++
	c.gen, c.at = m.gen, c.places()
	c.lists[l] = struct{}{}
	m.conditions[c.key] = c
	if len(c.metadata) > 0 {
		m.metadata++
	}
	for _, p := range c.at {
		if m.index[p] == nil {
			m.index[p] = make(map[*condition]struct{})
		}
		m.index[p][c] = struct{}{}
	}
}

func (m *matcher) remove(l *listTopic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := l.condition
	delete(c.lists, l)
	if len(c.lists) > 0 {
		return
	}
	delete(m.conditions, c.key)
	if len(c.metadata) > 0 {
		m.metadata--
	}
	for _, p := range c.at {
		delete(m.index[p], c)
		if len(m.index[p]) == 0 {
			delete(m.index, p)
		}
	}
	if len(m.conditions) == 0 {
		m.known, m.matches = make(map[uuid.UUID]found), 0
	}
}

// find returns the lists that may hold one of the activities, and the activities that it cannot match without metadata.
func (m *matcher) find(activities []Activity) (lists map[*listTopic]struct{}, unknown []Activity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lists = make(map[*listTopic]struct{})
	if len(m.conditions) == 0 {
		return lists, nil
	}
	for i := range activities {
		a := &activities[i]
		f, ok := m.known[a.ID]
		switch {
		case ok && f.gen == m.gen:
			m.collect(lists, f.conditions)
		case m.metadata == 0:
			m.collect(lists, m.match(a, nil))
		default:
			unknown = append(unknown, *a)
		}
	}
	return lists, unknown
}

// learn does the same for one activity with its metadata, a JSON object or nothing, and remembers the conditions.
func (m *matcher) learn(a *Activity, metadata json.RawMessage, lists map[*listTopic]struct{}) {
	object, _ := jsonb.Decode(metadata)
	canonical, _ := jsonb.Canonical(object).(map[string]any)
	m.mu.Lock()
	defer m.mu.Unlock()
	conditions := m.match(a, canonical)
	m.matches -= len(m.known[a.ID].conditions)
	if len(m.known) >= maxFound || m.matches+len(conditions) > maxMatches {
		m.known, m.matches = make(map[uuid.UUID]found), 0
	}
	if len(conditions) <= maxMatches {
		m.known[a.ID] = found{m.gen, conditions}
		m.matches += len(conditions)
	}
	m.collect(lists, conditions)
}

// match is called with mu held.
func (m *matcher) match(a *Activity, metadata map[string]any) (conditions []*condition) {
	seen := make(map[*condition]struct{})
	look := func(p place) {
		for c := range m.index[p] {
			if _, again := seen[c]; !again && c.takes(a, metadata) {
				conditions = append(conditions, c)
			}
			seen[c] = struct{}{}
		}
	}
	look(place{kind: '*'})
	look(place{'i', string(a.AgentID[:])})
	look(place{'t', a.AgentType})
	if a.ParentAgentID == uuid.Nil {
		look(place{kind: '0'})
	} else {
		look(place{'p', string(a.ParentAgentID[:])})
		look(place{'r', string(a.RootAgentID[:])})
	}
	for key, value := range metadata {
		p := memberPlace(key, value)
		look(p)
		if p.kind == 'm' {
			look(place{'k', key})
		}
	}
	return conditions
}

func (m *matcher) collect(lists map[*listTopic]struct{}, conditions []*condition) {
	for _, c := range conditions {
		for l := range c.lists {
			lists[l] = struct{}{}
		}
	}
}

// Touched schedules a new read of the lists that may hold one of the activities, and of those that hold the parent or the root of
// one. It asks metadata for the metadata of unknown ones; metadata calls take for each of them that exists. Touched returns the
// error of metadata.
func (h *Hub) Touched(activities []Activity, metadata func(unknown []Activity, take func(i int, metadata json.RawMessage)) error) error {
	lists, unknown := h.matcher.find(activities)
	var err error
	if len(unknown) > 0 {
		err = metadata(unknown, func(i int, metadata json.RawMessage) { h.matcher.learn(&unknown[i], metadata, lists) })
	}
	for l := range lists {
		l.touch()
	}
	h.childrenChanged(activities)
	return err
}
