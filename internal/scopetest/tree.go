package scopetest

import (
	"slices"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// Question is one question of an activity as the model knows it.
type Question struct {
	Key   string
	State client.QuestionState
	Asked int // its place among all questions, the newest is the highest
}

// Open returns the number of open questions.
func (a Activity) Open() (n int) {
	for _, q := range a.Questions {
		if q.State == client.QuestionPending {
			n++
		}
	}
	return n
}

// Question returns the place of a question, -1 where there is none with that key.
func (a Activity) Question(key string) int {
	return slices.IndexFunc(a.Questions, func(q Question) bool { return q.Key == key })
}

// Ask adds an open question. Copies of the activity keep theirs.
func (w *World) Ask(a *Activity, key string) {
	w.asked++
	a.Questions = append(slices.Clone(a.Questions), Question{key, client.QuestionPending, w.asked})
}

// Close closes a question.
func (a *Activity) Close(at int, state client.QuestionState) {
	a.Questions = slices.Clone(a.Questions)
	a.Questions[at].State = state
}

// Become sets the status. The end of an activity withdraws its open questions.
func (a *Activity) Become(next client.Status) {
	a.Status = next
	for at, q := range a.Questions {
		if next.IsFinished() && q.State == client.QuestionPending {
			a.Close(at, client.QuestionWithdrawn)
		}
	}
}

// PutBelow makes an activity that is not created yet a child of another one.
func (a *Activity) PutBelow(parent Activity) {
	a.Parent, a.Root = parent.ID, parent.Root
	if a.Root == uuid.Nil {
		a.Root = parent.ID
	}
	if a.Metadata == nil {
		a.Metadata = parent.Metadata
	}
}

// Children counts the children of an activity within a scope, nil where there are none. No line of a test has a percentage.
func Children(all []Activity, parent uuid.UUID, scope client.Scope) *client.Children {
	var c client.Children
	for _, a := range all {
		if a.Parent != parent || !a.Within(scope) {
			continue
		}
		c.Total++
		*map[client.Status]*int{
			client.StatusQueued: &c.Queued, client.StatusRunning: &c.Running, client.StatusComplete: &c.Complete,
			client.StatusError: &c.Error, client.StatusCanceled: &c.Canceled,
		}[a.Status]++
	}
	if c.Total == 0 {
		return nil
	}
	c.Percentage = 100 * (c.Total - c.Queued - c.Running) / c.Total
	return &c
}

// Visible returns the id of an activity that lies within a scope, else uuid.Nil.
func Visible(all []Activity, id uuid.UUID, scope client.Scope) uuid.UUID {
	if slices.ContainsFunc(all, func(a Activity) bool { return a.ID == id && a.Within(scope) }) {
		return id
	}
	return uuid.Nil
}

// SameID reports whether an optional id is the one wanted, nil for uuid.Nil.
func SameID(id *uuid.UUID, want uuid.UUID) bool {
	return id == nil && want == uuid.Nil || id != nil && *id == want
}

// Place is a filter by the place in a tree and by open questions.
type Place struct {
	Parent, Root uuid.UUID
	RootsOnly    bool
	Waiting      *bool
}

// Place is any filter, mostly none.
func (w *World) Place() (p Place) {
	switch of := Pick(w, w.All...); w.IntN(8) {
	case 0:
		p.Parent = of.Parent
	case 1:
		p.Root = of.Root
	case 2:
		p.Parent = of.ID
	case 3:
		p.RootsOnly = true
	case 4:
		p.Waiting = new(w.IntN(2) == 0)
	}
	return p
}

// Of returns those activities that the filter takes. visible are all in the scope: a parent outside of it counts as none.
func (p Place) Of(from, visible []Activity) []Activity {
	return slices.DeleteFunc(slices.Clone(from), func(a Activity) bool {
		return p.Parent != uuid.Nil && a.Parent != p.Parent || p.Root != uuid.Nil && a.Root != p.Root && a.ID != p.Root ||
			p.RootsOnly && slices.ContainsFunc(visible, func(v Activity) bool { return v.ID == a.Parent }) ||
			p.Waiting != nil && *p.Waiting != (a.Open() > 0)
	})
}

// Asked returns the questions of several activities that have a state, "" for any, in the order of a list.
func Asked(of []Activity, state client.QuestionState) (ids []uuid.UUID, keys []string) {
	type asked struct {
		Question
		id uuid.UUID
	}
	var found []asked
	for _, a := range of {
		for _, q := range a.Questions {
			if state == "" || q.State == state {
				found = append(found, asked{q, a.ID})
			}
		}
	}
	slices.SortFunc(found, func(a, b asked) int { return a.Asked - b.Asked })
	for _, q := range found {
		ids, keys = append(ids, q.id), append(keys, q.Key)
	}
	return ids, keys
}

// Prune removes what a prune in a scope deletes: each tree that is finished as a whole and lies in the scope as a whole. It returns
// these activities.
func (w *World) Prune(scope client.Scope) (gone []Activity) {
	stays := make(map[uuid.UUID]bool) // roots of trees
	for _, a := range w.All {
		if !a.Status.IsFinished() || !a.Within(scope) {
			stays[a.top()] = true
		}
	}
	for _, a := range w.All {
		if !stays[a.top()] {
			gone = append(gone, a)
			w.Gone = append(w.Gone, a.ID)
		}
	}
	w.All = slices.DeleteFunc(slices.Clone(w.All), func(a Activity) bool { return !stays[a.top()] })
	return gone
}

// top is the root of its tree, itself for a root.
func (a Activity) top() uuid.UUID {
	if a.Root == uuid.Nil {
		return a.ID
	}
	return a.Root
}
