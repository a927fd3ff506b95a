// Package match finds the live lists that a line of an activity may change: lists whose filter and scope the activity meets
// (Lists), and lists that hold its parent or its root (Parents). It checks filters, and brings equal ones into one form (Filter).
// In doubt it finds a list too many, because the read of a list decides.
//
// May import: pkg/client, internal/jsonb. A list is any comparable value L, so the package knows no hub and no database.
package match

import (
	"encoding/json"
	"sync"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/jsonb"
)

// Lists finds the lists that may hold an activity. The cost depends on the activity, not on the number of lists:
// conditions are looked up by its agent_id, its parent and root, its type and the members of its metadata.
type Lists[L comparable] struct {
	mu         sync.Mutex
	of         map[L]*condition[L]
	conditions map[string]*condition[L]
	index      map[place]map[*condition[L]]struct{}
	metadata   int    // conditions that ask for metadata
	gen        uint64 // grows with every new condition
	// known caches the conditions found for activities, so that the metadata of a frequently written activity is read once.
	// An entry is valid for the generation it was found in.
	known   map[uuid.UUID]found[L]
	matches int // in known
}

type found[L comparable] struct {
	gen        uint64
	conditions []*condition[L]
}

// Bounds of known. Beyond them it is cleared, and metadata is read again.
const (
	maxFound   = 10_000
	maxMatches = 100_000
)

// NewLists returns a Lists without any list.
func NewLists[L comparable]() *Lists[L] {
	return &Lists[L]{
		of: make(map[L]*condition[L]), conditions: make(map[string]*condition[L]), index: make(map[place]map[*condition[L]]struct{}), known: make(map[uuid.UUID]found[L]),
	}
}

// Add adds a list of a filter that is in its one form, in the scope of which inScope is the JSON, "" for everything.
func (m *Lists[L]) Add(l L, filter *Filter, inScope string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newCondition[L](filter, inScope)
	if known := m.conditions[c.key]; known != nil {
		m.of[l] = known
		known.lists[l] = struct{}{}
		return
	}
	m.of[l] = c
	m.gen++
	c.gen, c.at = m.gen, c.places()
	c.lists[l] = struct{}{}
	m.conditions[c.key] = c
	if len(c.metadata) > 0 {
		m.metadata++
	}
	for _, p := range c.at {
		if m.index[p] == nil {
			m.index[p] = make(map[*condition[L]]struct{})
		}
		m.index[p][c] = struct{}{}
	}
}

// Remove removes a list that was added.
func (m *Lists[L]) Remove(l L) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.of[l]
	delete(m.of, l)
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
		m.known, m.matches = make(map[uuid.UUID]found[L]), 0
	}
}

// Find returns the lists that may hold one of the activities, and the indexes of the activities that it cannot match without
// metadata.
func (m *Lists[L]) Find(activities []Activity) (lists map[L]struct{}, unknown []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lists = make(map[L]struct{})
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
			unknown = append(unknown, i)
		}
	}
	return lists, unknown
}

// Learn does the same for one activity with its metadata, a JSON object or nothing, and remembers the conditions. It adds
// the lists that it finds to lists.
func (m *Lists[L]) Learn(a *Activity, metadata json.RawMessage, lists map[L]struct{}) {
	object, _ := jsonb.Decode(metadata)
	canonical, _ := jsonb.Canonical(object).(map[string]any)
	m.mu.Lock()
	defer m.mu.Unlock()
	conditions := m.match(a, canonical)
	m.matches -= len(m.known[a.ID].conditions)
	if len(m.known) >= maxFound || m.matches+len(conditions) > maxMatches {
		m.known, m.matches = make(map[uuid.UUID]found[L]), 0
	}
	if len(conditions) <= maxMatches {
		m.known[a.ID] = found[L]{m.gen, conditions}
		m.matches += len(conditions)
	}
	m.collect(lists, conditions)
}

// match is called with mu held.
func (m *Lists[L]) match(a *Activity, metadata map[string]any) (conditions []*condition[L]) {
	seen := make(map[*condition[L]]struct{})
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

func (m *Lists[L]) collect(lists map[L]struct{}, conditions []*condition[L]) {
	for _, c := range conditions {
		for l := range c.lists {
			lists[l] = struct{}{}
		}
	}
}
