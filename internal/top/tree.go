package top

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// maxUnfolded is how many activities show their children at a time: each costs a read.
const maxUnfolded = 20

// trees is what is unfolded, and the children of that.
type trees struct {
	unfolded map[uuid.UUID]bool
	children map[uuid.UUID]children
}

// children are the activities directly below another one, as they were last read.
type children struct {
	items []client.ListItem
	more  int // that the page does not have
}

// place is where a row of the table belongs.
type place struct {
	depth int // 0 for a row that is below no other one
	group group
	note  string // a line below the row
}

// arrange sets the rows of the table: the items, and below each that is unfolded its children. An item whose parent or root is
// among the items has no row of its own, unless it needs a person or a filter chose it.
func (m *model) arrange(items []client.ListItem) {
	listed := make(map[uuid.UUID]bool, len(items))
	for _, item := range items {
		listed[item.AgentID] = true
	}
	m.list, m.places = nil, nil
	placed := make(map[uuid.UUID]bool, len(items))
	var top []client.ListItem
	for _, item := range items {
		above := item.ParentAgentID != nil && (listed[*item.ParentAgentID] || item.RootAgentID != nil && listed[*item.RootAgentID])
		if above && !m.filter.narrows() && groupOf(item) != needsMe {
			continue
		}
		placed[item.AgentID] = true
		top = append(top, item)
	}
	for _, item := range top {
		m.place(item, 0, groupOf(item), placed)
	}
}

// place adds the row of an item, and those of its children where it is unfolded.
func (m *model) place(item client.ListItem, depth int, in group, placed map[uuid.UUID]bool) {
	m.list, m.places = append(m.list, item), append(m.places, place{depth: depth, group: in})
	if item.Children == nil || !m.trees.unfolded[item.AgentID] {
		return
	}
	below, last := m.trees.children[item.AgentID], len(m.places)-1
	for _, child := range below.items {
		if !placed[child.AgentID] {
			placed[child.AgentID] = true
			last = len(m.places)
			m.place(child, depth+1, in, placed)
		}
	}
	if below.more > 0 {
		m.places[last].note = fmt.Sprintf("and %d more", below.more)
	}
}

func groupOf(item client.ListItem) group { return looks[stateOf(item.Activity)].group }

// unfold shows the children of the selected activity.
func (m *model) unfold() (changed bool) {
	a := m.current()
	switch {
	case a == nil || m.trees.unfolded[a.AgentID]:
		return false
	case a.Children == nil:
		m.message = name(*a) + " has no children"
		return false
	case len(m.wantedChildren()) >= maxUnfolded:
		m.message, m.wrong = fmt.Sprintf("%d activities are unfolded; fold another one first", maxUnfolded), true
		return false
	}
	m.trees.unfolded[a.AgentID] = true
	return true
}

// fold hides the children of the selected activity, or selects its parent.
func (m *model) fold() {
	a := m.current()
	switch {
	case a == nil:
	case m.trees.unfolded[a.AgentID]:
		delete(m.trees.unfolded, a.AgentID)
		m.arrange(m.items)
		m.move(0)
	case m.places[m.selection].depth > 0:
		at := slices.IndexFunc(m.list, func(item client.ListItem) bool { return item.AgentID == *a.ParentAgentID })
		m.move(at - m.selection)
	}
}

// wantedChildren returns the rows whose children are to be read.
func (m *model) wantedChildren() (ids []uuid.UUID) {
	for _, item := range m.list {
		if m.trees.unfolded[item.AgentID] && len(ids) < maxUnfolded {
			ids = append(ids, item.AgentID)
		}
	}
	return ids
}

// readChildren reads the children of activities.
func readChildren(ctx context.Context, src source.Source, ids []uuid.UUID, metadata bool) (map[uuid.UUID]children, error) {
	all := make(map[uuid.UUID]children, len(ids))
	for _, id := range ids {
		list, err := source.List(ctx, src, client.ListParams{ParentAgentID: id, PageSize: pageSize, IncludeMetadata: metadata})
		if err != nil {
			return nil, err
		}
		below := children{items: list.Items}
		if list.Total != nil {
			below.more = *list.Total - len(list.Items)
		}
		all[id] = below
	}
	return all, nil
}
