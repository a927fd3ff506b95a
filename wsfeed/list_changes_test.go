package wsfeed

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestOnlyChangedItemsAreRead: a read leaves out the items of activities that no line has changed. It is whole for a new list, when
// ListRefresh is over, after an error, and when the tail asks for it. A change during a read is one for the next.
func TestOnlyChangedItemsAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t, func(c *Config) { c.ListInterval, c.ListRefresh = time.Millisecond, 10*time.Second })
		a, b, c := uuid.New(), uuid.New(), uuid.New()
		filter := ListFilter{Limit: 50}
		version := 0
		change := func(ids ...uuid.UUID) {
			version++
			src.setList(filter, []testItem{{a, version}, {b, version}, {c, version}})
			var activities []Activity
			for _, id := range ids {
				activities = append(activities, Activity{ID: id, AgentID: id})
			}
			require.NoError(t, hub.Touched(activities, unread(t)))
		}
		held := func() []uuid.UUID {
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the bubble's time
			src.mu.Lock()
			defer src.mu.Unlock()
			return src.held
		}
		change()
		m := watchList(t, hub, filter)
		require.Empty(t, held(), "a new list")
		change(b, uuid.New())
		require.Equal(t, []uuid.UUID{a, c}, held())
		m.pull()
		require.Equal(t, map[uuid.UUID]int{a: 1, b: 2, c: 1}, m.items)
		change(a)
		change(c)
		require.Equal(t, []uuid.UUID{b}, held())
		require.NoError(t, hub.Touched([]Activity{childOf(a, c)}, unread(t)))
		time.Sleep(parentInterval) //nolint:forbidigo // the bubble's time
		require.Equal(t, []uuid.UUID{b}, held(), "a child of a, in the tree of c")

		entered, goOn := make(chan struct{}), make(chan struct{})
		src.mu.Lock()
		src.after = func(_ context.Context, kind string) {
			if kind == "List" {
				entered <- struct{}{}
				<-goOn
			}
		}
		src.mu.Unlock()
		change(a)
		<-entered
		src.mu.Lock()
		src.after = nil
		src.mu.Unlock()
		change(b)
		close(goOn)
		require.Equal(t, []uuid.UUID{a, c}, held(), "a change during a read")

		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
		require.Empty(t, held(), "ListRefresh is over")
		m.pull()
		require.Equal(t, map[uuid.UUID]int{a: version, b: version, c: version}, m.items)

		src.mu.Lock()
		src.fail = map[string]error{"List": errors.New("lost")}
		src.mu.Unlock()
		change(a)
		held()
		src.mu.Lock()
		src.fail, src.held = nil, []uuid.UUID{a}
		src.mu.Unlock()
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time
		require.Empty(t, held(), "the one before failed")
		m.pull()
		require.Equal(t, version, m.items[a])

		change(a)
		require.Equal(t, []uuid.UUID{b, c}, held())
		hub.ListsChanged(hub.Watched())
		require.Empty(t, held(), "the tail has another position")
	})
}
