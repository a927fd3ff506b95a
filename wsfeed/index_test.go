package wsfeed

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestIndexUnderSubscribeAndLeave: whatever was registered before the tail asked is in Watched, and whatever was
// registered while it read is in WatchedSince. A topic that is in neither would miss lines.
func TestIndexUnderSubscribeAndLeave(t *testing.T) {
	t.Parallel()
	hub, _ := newHub(t)
	var (
		staying sync.RWMutex // read-locked while no subscriber may leave
		mu      sync.Mutex
		here    = make(map[uuid.UUID]bool)
		over    = make(chan struct{})
		workers sync.WaitGroup
	)
	present := func() (ids []uuid.UUID) {
		mu.Lock()
		defer mu.Unlock()
		for id := range here {
			ids = append(ids, id)
		}
		return ids
	}
	come := func(id uuid.UUID) *activitySub {
		s := hub.joinTopic(id, "", 0, noSink{})
		mu.Lock()
		defer mu.Unlock()
		here[id] = true
		return s
	}
	leave := func(s *activitySub) {
		staying.Lock()
		defer staying.Unlock()
		mu.Lock()
		delete(here, s.topic.agentID)
		mu.Unlock()
		s.leave()
	}
	for range 4 {
		workers.Go(func() {
			var subs []*activitySub
			for {
				select {
				case <-over:
					for _, s := range subs {
						leave(s)
					}
					return
				default:
				}
				if subs = append(subs, come(uuid.New())); len(subs) > 20 {
					leave(subs[0])
					subs = subs[1:]
				}
			}
		})
	}
	late := 0
	for began := time.Now(); late < 100; { // until so many have come during a read
		require.Less(t, time.Since(began), patience)
		staying.RLock()
		before := present()
		w := hub.Watched()
		watched := make(map[uuid.UUID]bool, len(w.Activities))
		for _, id := range w.Activities {
			watched[id] = true
		}
		for _, id := range before {
			require.True(t, watched[id], "registered before the read, and not in it")
		}
		runtime.Gosched() // the read
		meanwhile := present()
		since := hub.WatchedSince(w.Gen)
		require.GreaterOrEqual(t, since.Gen, w.Gen)
		for _, id := range since.Activities {
			require.False(t, watched[id], "it was in the read")
			watched[id] = true
			late++
		}
		for _, id := range meanwhile {
			require.True(t, watched[id], "registered during the read, and not confirmed after it")
		}
		staying.RUnlock()
	}
	close(over)
	workers.Wait()
	require.True(t, hub.Watched().Empty())
	require.Zero(t, hub.Stats().Activities)
}
