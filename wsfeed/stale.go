package wsfeed

import "github.com/google/uuid"

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
