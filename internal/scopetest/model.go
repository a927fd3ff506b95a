// Package scopetest is a model of scopes, for tests to compare with: random activities, random scopes and filters, and
// what then is to be seen and may be done.
//
// May import: pkg/client's plain types.
package scopetest

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// Activity is one activity as the model knows it.
type Activity struct {
	ID       uuid.UUID
	Type     string
	Metadata map[string]any // nil: none
	Status   client.Status
	LastSeq  int
	Key      int // its place in creation, the newest is the highest

	Parent, Root uuid.UUID // uuid.Nil for a root
	Questions    []Question
}

// Within is the whole model of a scope, and of a filter, which is a scope too.
func (a Activity) Within(s client.Scope) bool {
	if s.AgentIDs != nil && !slices.Contains(s.AgentIDs, a.ID) {
		return false
	}
	if s.AgentTypes != nil && !slices.Contains(s.AgentTypes, a.Type) {
		return false
	}
	return a.holds(s.Metadata) && (s.MetadataAny == nil || slices.ContainsFunc(s.MetadataAny, a.holds))
}

// holds reports whether the metadata has an equal value for every key of an object.
func (a Activity) holds(object map[string]any) bool {
	for key, value := range object {
		got, ok := a.Metadata[key]
		number, isNumber := got.(float64)
		text, either := value.(client.NumberOrText)
		same := either && (got == string(text) || isNumber && strconv.FormatFloat(number, 'f', -1, 64) == string(text))
		if !ok || !same && !reflect.DeepEqual(got, value) {
			return false
		}
	}
	return true
}

// Pending reports whether it is QUEUED or RUNNING.
func (a Activity) Pending() bool { return a.rank() > 0 }

func (a Activity) rank() int {
	return map[client.Status]int{client.StatusRunning: 2, client.StatusQueued: 1}[a.Status]
}

// MayBecome is the state machine.
func (a Activity) MayBecome(next client.Status) bool {
	switch a.Status {
	case client.StatusComplete, client.StatusCanceled:
		return next == a.Status
	case client.StatusError:
		return next != client.StatusComplete
	}
	return true
}

// World makes random activities and says what there is of them.
type World struct {
	*rand.Rand
	All   []Activity
	Gone  []uuid.UUID // deleted by a prune
	made  int         // activities
	asked int         // questions
}

// NewWorld returns a world without activities. Worlds of the same seed go the same way.
func NewWorld(seed uint64) *World { return &World{Rand: rand.New(rand.NewPCG(seed, 0))} } //nolint:gosec // nothing secret

// ID is a new agent_id.
func (w *World) ID() (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], w.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.Uint64())
	return id
}

// Pick is one of several.
func Pick[T any](w *World, from ...T) T { return from[w.IntN(len(from))] }

// Types are the task names of a world.
var Types = []string{"research", "write", "it's \\ $1", "re\"view"}

// Metadata is that of an activity, or of a filter.
func (w *World) Metadata() map[string]any {
	switch w.IntN(6) {
	case 0:
		return nil
	case 1:
		return map[string]any{}
	case 2:
		return map[string]any{"team": Pick(w, "x", "y")}
	}
	return map[string]any{"org": Pick[any](w, "1", "2", 1.0), "team": Pick[any](w, "x", "y", nil, true)}
}

// Scope is any, everything included.
func (w *World) Scope() client.Scope {
	var s client.Scope
	if w.IntN(3) == 0 {
		s.AgentIDs = []uuid.UUID{}
		for range w.IntN(2 * len(w.All) / 3) {
			s.AgentIDs = append(s.AgentIDs, Pick(w, w.All...).ID)
		}
		if w.IntN(4) == 0 {
			s.AgentIDs = append(s.AgentIDs, w.ID())
		}
	}
	if w.IntN(3) == 0 {
		s.AgentTypes = []string{}
		for range w.IntN(4) {
			s.AgentTypes = append(s.AgentTypes, Pick(w, Types...))
		}
	}
	switch w.IntN(4) {
	case 0, 1:
		s.Metadata = w.Metadata()
	case 2:
		s.MetadataAny = []map[string]any{{"org": "none"}}
		for range w.IntN(3) {
			s.MetadataAny = append(s.MetadataAny, map[string]any{"org": Pick[any](w, "1", "2", 1.0)})
		}
	}
	return s
}

// Filter is a scope that a request can name: metadata and at most one type.
func (w *World) Filter() client.Scope {
	f := client.Scope{Metadata: w.Metadata()}
	if w.IntN(3) == 0 {
		f.AgentTypes = []string{Pick(w, Types...)}
	}
	return f
}

// Statuses are those of a filter; nil for all.
func (w *World) Statuses() []client.Status {
	return Pick(w, nil, []client.Status{client.StatusRunning}, []client.Status{client.StatusError},
		[]client.Status{client.StatusQueued, client.StatusComplete})
}

// Fresh is an activity that might be created in a scope: of an id that it lists, now and then, taken or not.
func (w *World) Fresh(scope client.Scope) Activity {
	w.made++
	a := Activity{ID: w.ID(), Type: Pick(w, Types...), Metadata: w.Metadata(), Status: client.StatusQueued, LastSeq: 1, Key: w.made}
	if len(scope.AgentIDs) > 0 && w.IntN(2) == 0 {
		if id := Pick(w, scope.AgentIDs...); !slices.Contains(w.Gone, id) { // another activity with that agent_id is another model
			a.ID = id
		}
	}
	return a
}

// Taken reports whether there is an activity of that id.
func (w *World) Taken(id uuid.UUID) bool {
	return slices.ContainsFunc(w.All, func(a Activity) bool { return a.ID == id })
}

// In is the activities within all these scopes, in the order of a list.
func (w *World) In(scopes ...client.Scope) []Activity { return Within(w.All, scopes...) }

// Within is those of several activities that lie within all these scopes, in the order of a list.
func Within(all []Activity, scopes ...client.Scope) []Activity {
	var found []Activity
	for _, a := range all {
		if !slices.ContainsFunc(scopes, func(s client.Scope) bool { return !a.Within(s) }) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b Activity) int { return cmp.Or(b.rank()-a.rank(), b.Key-a.Key) })
	return found
}

// Of is those with one of the statuses; nil for all.
func Of(from []Activity, statuses []client.Status) []Activity {
	if statuses == nil {
		return from
	}
	return slices.DeleteFunc(slices.Clone(from), func(a Activity) bool { return !slices.Contains(statuses, a.Status) })
}

// Counts is how many there are per status, all five always there.
func Counts(from []Activity) map[client.Status]int64 {
	counts := make(map[client.Status]int64)
	for _, s := range client.Statuses() {
		counts[s] = 0
	}
	for _, a := range from {
		counts[a.Status]++
	}
	return counts
}

// Pending is those that are QUEUED or RUNNING.
func Pending(from []Activity) []Activity {
	return slices.DeleteFunc(slices.Clone(from), func(a Activity) bool { return !a.Pending() })
}

// IDs are their agent_ids, in the same order.
func IDs(from []Activity) []uuid.UUID {
	found := make([]uuid.UUID, len(from))
	for i, a := range from {
		found[i] = a.ID
	}
	return found
}
