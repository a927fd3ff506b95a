package top

import (
	"context"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// query is what the table shows: one list, or several that are joined.
type query struct {
	first client.ListParams
	more  []client.ListParams // always
	cut   []client.ListParams // where the first list has another page
}

// query returns what to read for a view and a filter.
func (f Filter) query(v view, order order) query {
	q := query{first: f.params(v, order)}
	with := func(change func(*client.ListParams)) client.ListParams {
		params := q.first
		params.Statuses, params.Stale, params.Waiting = nil, nil, nil
		change(&params)
		return params
	}
	waiting := with(func(p *client.ListParams) { p.Waiting = new(true) })
	stale := with(func(p *client.ListParams) { p.Stale = new(true) })
	switch {
	case len(f.states) > 0:
	case v.attention:
		q.first, q.more = waiting, []client.ListParams{stale}
	default:
		// A page may be full of children: roots, and activities that need a person, are not to be missed because of them.
		q.cut = []client.ListParams{with(func(p *client.ListParams) { p.Statuses, p.RootsOnly = q.first.Statuses, true })}
		if v.running() {
			q.cut = append(q.cut, waiting, stale)
		}
	}
	return q
}

// read reads the lists and joins them: each activity once, with the total of the first list or the number of items.
func (q query) read(ctx context.Context, src source.Source, metadata bool) (*client.List, error) {
	read := func(params client.ListParams) (*client.List, error) {
		params.IncludeMetadata = metadata
		return source.List(ctx, src, params)
	}
	list, err := read(q.first)
	if err != nil {
		return nil, err
	}
	more := q.more
	if list.Next != nil {
		more = append(more[:len(more):len(more)], q.cut...)
	}
	known := make(map[uuid.UUID]bool, len(list.Items))
	for _, item := range list.Items {
		known[item.AgentID] = true
	}
	for _, params := range more {
		other, err := read(params)
		if err != nil {
			return nil, err
		}
		for _, item := range other.Items {
			if !known[item.AgentID] {
				known[item.AgentID] = true
				list.Items = append(list.Items, item)
			}
		}
	}
	if list.Total != nil && *list.Total < len(list.Items) {
		list.Total = new(len(list.Items))
	}
	return list, nil
}
