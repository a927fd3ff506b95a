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
		all := map[uuid.UUID]bool{a: true, b: true, c: true}
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
		// fresh returns the items that were read since the last call, however many reads that took.
		fresh := func() map[uuid.UUID]bool {
			time.Sleep(200 * time.Millisecond) //nolint:forbidigo // the bubble's time
			src.mu.Lock()
			defer src.mu.Unlock()
			read := make(map[uuid.UUID]bool)
			for _, id := range src.listed {
				read[id] = true
			}
			src.listed = nil
			return read
		}
		change()
		m := watchList(t, hub, filter)
		require.Equal(t, all, fresh(), "a new list")
		change(b, uuid.New())
		require.Equal(t, map[uuid.UUID]bool{b: true}, fresh())
		m.pull()
		require.Equal(t, map[uuid.UUID]int{a: 1, b: 2, c: 1}, m.items)
		change(a, c)
		require.Equal(t, map[uuid.UUID]bool{a: true, c: true}, fresh())
		require.NoError(t, hub.Touched([]Activity{childOf(a, c)}, unread(t)))
		require.Equal(t, map[uuid.UUID]bool{a: true, c: true}, fresh(), "a child of a, in the tree of c")

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
		require.Equal(t, map[uuid.UUID]bool{a: true, b: true}, fresh(), "a change during a read")

		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
		require.Equal(t, all, fresh(), "ListRefresh is over")
		m.pull()
		require.Equal(t, map[uuid.UUID]int{a: version, b: version, c: version}, m.items)

		src.mu.Lock()
		src.fail = map[string]error{"List": errors.New("lost")}
		src.mu.Unlock()
		change(a)
		require.Empty(t, fresh())
		src.mu.Lock()
		src.fail = nil
		src.mu.Unlock()
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time
		require.Equal(t, all, fresh(), "the one before failed")
		m.pull()
		require.Equal(t, version, m.items[a])

		change(a)
		require.Equal(t, map[uuid.UUID]bool{a: true}, fresh())
		hub.ListsChanged(hub.Watched())
		require.Equal(t, all, fresh(), "the tail has another position")
	})
}
