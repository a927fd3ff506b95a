package sidecar_test

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/scopetest"
	"github.com/agentexec/agentexec/pkg/client"
)

// moment is the state of all activities after a write.
type moment struct {
	all   []scopetest.Activity
	stale map[uuid.UUID]bool
}

// written stores the state after a write.
func (w *scopeWorld) written() {
	for _, a := range w.All {
		if a.Status != client.StatusRunning {
			delete(w.silent, a.ID) // the promise ends with the run
		}
	}
	w.past = append(w.past, moment{slices.Clone(w.All), maps.Clone(w.silent)})
}

// mayBecome is the state machine with requests to cancel.
func (w *scopeWorld) mayBecome(a scopetest.Activity, next client.Status) bool {
	retry := a.Status == client.StatusError && (next == client.StatusQueued || next == client.StatusRunning)
	return a.MayBecome(next) && (!retry || w.asked[a.ID] == 0)
}

// silence gives an activity a promise of a microsecond, which only the owner of the table can write.
func (w *scopeWorld) silence() {
	a := w.All[w.IntN(len(w.All))]
	if a.Status != client.StatusRunning || w.silent[a.ID] {
		return
	}
	w.s.db.Exec(w.t, `insert into agentexec.activity_heartbeat select a.id, now(), '1 us' from agentexec.activity a where a.agent_id = $1`, a.ID)
	w.silent[a.ID] = true
	w.written()
}

// stales returns those of the activities that are stale (true), or the others (false); nil for all.
func (m moment) stales(all []scopetest.Activity, stale *bool) []scopetest.Activity {
	if stale == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(a scopetest.Activity) bool { return m.stale[a.ID] != *stale })
}

// counts are the numbers by status and of stale activities.
func (m moment) counts(in []scopetest.Activity) map[client.Status]int64 {
	counts := scopetest.Counts(in)
	counts["stale"] = int64(len(m.stales(in, new(true))))
	return counts
}

// now returns the current state.
func (w *scopeWorld) now() moment { return w.past[len(w.past)-1] }

// someStale is a filter by stale: mostly none.
func (w *scopeWorld) someStale() *bool {
	return scopetest.Pick(w.World, nil, nil, new(true), new(false))
}
