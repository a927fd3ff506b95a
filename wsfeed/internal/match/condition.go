package match

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/jsonb"
)

// Activity has the properties that decide whether a list may hold an activity, as wsfeed.Activity.
type Activity struct {
	ID            uuid.UUID
	AgentID       uuid.UUID
	AgentType     string
	ParentAgentID uuid.UUID
	RootAgentID   uuid.UUID
}

// condition is the part of a list that decides whether an activity may be in it: the agent type, the metadata and the place in a
// tree of its filter, and its scope. Lists that differ in limit, statuses, waiting or stopping share one.
type condition[L comparable] struct {
	agentIDs     map[uuid.UUID]struct{} // nil for any
	types        map[string]struct{}    // nil for any
	parent, root uuid.UUID              // uuid.Nil for any
	rootsOnly    bool
	// metadata holds groups of alternatives: the activity's metadata must contain one object of each group.
	metadata [][]map[string]any

	key   string
	gen   uint64 // that of Lists, when the condition was added
	lists map[L]struct{}
	at    []place // its keys in the index of Lists
}

// newCondition returns the condition of a filter and a scope. In doubt it accepts more activities than the list: a needless
// read of a list costs one read, but a missing read leaves the list wrong.
func newCondition[L comparable](filter *Filter, inScope string) *condition[L] {
	c := &condition[L]{rootsOnly: filter.RootsOnly, lists: make(map[L]struct{})}
	c.key = strings.Join([]string{
		filter.AgentType, string(filter.Metadata), filter.ParentAgentID, filter.RootAgentID, strconv.FormatBool(filter.RootsOnly), inScope,
	}, "\x00")
	c.parent, _ = uuid.Parse(filter.ParentAgentID) // uuid.Nil for ""
	c.root, _ = uuid.Parse(filter.RootAgentID)
	c.require(filter.Metadata)
	if filter.AgentType != "" {
		c.types = map[string]struct{}{filter.AgentType: {}}
	}
	if inScope == "" {
		return c
	}
	var scope struct {
		AgentIDs   []uuid.UUID     `json:"agent_ids"`
		AgentTypes []string        `json:"agent_types"`
		Metadata   json.RawMessage `json:"metadata"`
	}
	if json.Unmarshal([]byte(inScope), &scope) != nil {
		return c
	}
	filtered := len(c.metadata)
	c.require(scope.Metadata)
	if scope.AgentIDs != nil || scope.AgentTypes != nil || len(c.metadata) > filtered {
		c.rootsOnly = false // SQL decides: an activity whose parent is outside the scope is a root of the scope
	}
	if scope.AgentIDs != nil {
		c.agentIDs = make(map[uuid.UUID]struct{}, len(scope.AgentIDs))
		for _, id := range scope.AgentIDs {
			c.agentIDs[id] = struct{}{}
		}
	}
	if scope.AgentTypes != nil {
		types := make(map[string]struct{}, len(scope.AgentTypes))
		for _, agentType := range scope.AgentTypes {
			if _, both := c.types[agentType]; both || c.types == nil {
				types[agentType] = struct{}{}
			}
		}
		c.types = types
	}
	return c
}

// require adds what the metadata must contain: a JSON object, or an array of objects of which one is enough.
func (c *condition[L]) require(metadata json.RawMessage) {
	if len(metadata) == 0 {
		return
	}
	var texts []json.RawMessage // a slice of its own: decoding into metadata would overwrite it
	if metadata[0] != '[' {
		texts = append(texts, metadata)
	} else if json.Unmarshal(metadata, &texts) != nil {
		return
	}
	var group []map[string]any
	for _, text := range texts {
		object, err := jsonb.Decode(text)
		if err != nil || len(object) == 0 {
			return // such a group requires nothing
		}
		if members, ok := jsonb.Canonical(object).(map[string]any); ok {
			group = append(group, members)
		}
	}
	c.metadata = append(c.metadata, group)
}

// takes reports whether the condition holds for an activity. metadata is Canonical.
func (c *condition[L]) takes(a *Activity, metadata map[string]any) bool {
	if _, ok := c.agentIDs[a.AgentID]; !ok && c.agentIDs != nil {
		return false
	}
	if _, ok := c.types[a.AgentType]; !ok && c.types != nil {
		return false
	}
	if !c.takesPlace(a) {
		return false
	}
	for _, group := range c.metadata {
		if !containsOne(metadata, group) {
			return false
		}
	}
	return true
}

// takesPlace reports whether the condition holds for the activity's place in its tree.
func (c *condition[L]) takesPlace(a *Activity) bool {
	return (c.parent == uuid.Nil || c.parent == a.ParentAgentID) && (c.root == uuid.Nil || c.root == a.RootAgentID || c.root == a.AgentID) &&
		(!c.rootsOnly || a.ParentAgentID == uuid.Nil)
}

func containsOne(metadata map[string]any, group []map[string]any) bool {
	for _, object := range group {
		if jsonb.Contains(metadata, object) {
			return true
		}
	}
	return false
}

// place is a key of the index of Lists. Every activity that meets a condition has the key of one of its places.
type place struct {
	// 'i' agent_id, 'p' parent_agent_id, 'r' root_agent_id, 't' agent_type, 'm' a member of the metadata with its value, 'k' a key
	// of it, '0' any root, '*' any
	kind byte
	text string
}

// places returns the keys of a condition in the index of Lists. Few activities should lead to each: an agent_id leads to
// fewer conditions than a parent or a root, these to fewer than a value in the metadata, and such a value to fewer than a type.
func (c *condition[L]) places() (all []place) {
	switch {
	case c.agentIDs != nil:
		for id := range c.agentIDs {
			all = append(all, place{'i', string(id[:])})
		}
	case c.parent != uuid.Nil:
		all = []place{{'p', string(c.parent[:])}}
	case c.root != uuid.Nil:
		all = []place{{'r', string(c.root[:])}, {'i', string(c.root[:])}}
	case len(c.metadata) > 0:
		for _, object := range c.mostTelling() {
			all = append(all, anchor(object))
		}
	case c.types != nil:
		for agentType := range c.types {
			all = append(all, place{'t', agentType})
		}
	case c.rootsOnly:
		all = []place{{kind: '0'}}
	default:
		all = []place{{kind: '*'}}
	}
	return all
}

// mostTelling returns the group with the fewest alternatives that name a key without a value for a lookup.
func (c *condition[L]) mostTelling() (best []map[string]any) {
	least := -1
	for _, group := range c.metadata {
		vague := 0
		for _, object := range group {
			if anchor(object).kind == 'k' {
				vague++
			}
		}
		if least < 0 || vague < least {
			best, least = group, vague
		}
	}
	return best
}

// anchor returns a member that the metadata must have to contain the object, with its value if that is a scalar.
func anchor(object map[string]any) (best place) {
	for key, value := range object {
		p := memberPlace(key, value)
		if best.kind == 0 || (best.kind == 'k' && p.kind == 'm') || (best.kind == p.kind && p.text < best.text) {
			best = p
		}
	}
	return best
}

func memberPlace(key string, value any) place {
	switch v := value.(type) {
	case nil:
		return place{'m', key + "\x00n"}
	case bool:
		return place{'m', key + "\x00b" + strconv.FormatBool(v)}
	case string:
		return place{'m', key + "\x00s" + v}
	case jsonb.Number:
		return place{'m', key + "\x00d" + string(v)}
	}
	return place{'k', key}
}
