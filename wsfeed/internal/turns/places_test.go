package turns

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestReadLanePriority: a lane that always has a waiting reader does not starve the lanes after it, and lists leave a place free.
func TestReadLanePriority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := New(3)
		for range 2 {
			require.True(t, places.TryTake(List))
		}
		require.False(t, places.TryTake(NewList), "the last place is for subscribers")
		require.True(t, places.TryTake(Subscriber))

		var mu sync.Mutex
		var order []Lane
		wait := func(l Lane, owner any) {
			go func() {
				if places.Take(t.Context(), l, owner) == nil {
					mu.Lock()
					order = append(order, l)
					mu.Unlock()
				}
			}()
		}
		for n := range 40 {
			wait(Subscriber, n)
		}
		wait(List, "list")
		synctest.Wait()
		places.Done(List)
		for range 40 {
			synctest.Wait()
			places.Done(Subscriber)
		}
		synctest.Wait()
		require.Len(t, order, 41)
		require.LessOrEqual(t, slices.Index(order, List), maxPassed)

		// One that leaves while it waits takes no place.
		ctx, cancel := context.WithCancel(t.Context())
		for places.TryTake(Subscriber) {
		}
		left := make(chan error)
		go func() { left <- places.Take(ctx, Subscriber, "leaver") }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		_, waiting := places.Numbers()
		require.Zero(t, waiting)
		require.Empty(t, places.queues[Subscriber].byOwner)
	})
}
