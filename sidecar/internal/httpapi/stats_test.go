package httpapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Concurrent callers of one range share one read, and later ones its result; other ranges are read by themselves.
func TestConcurrentCallersShareOneRangeRead(t *testing.T) {
	t.Parallel()
	var r ranges
	var reads atomic.Int32
	entered, leave := make(chan struct{}), make(chan struct{})
	ask := func(context.Context) (any, error) {
		if reads.Add(1) == 1 {
			close(entered)
		}
		<-leave
		return "stats", nil
	}
	var callers sync.WaitGroup
	call := func() {
		data, err := r.read(t.Context(), "a", ask)
		if err != nil || data != "stats" {
			t.Errorf("got %v, %v", data, err)
		}
	}
	callers.Go(call)
	<-entered
	for range 20 {
		callers.Go(call)
	}
	// A caller that leaves gets its own error, and ends nothing.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.read(gone, "a", ask)
	require.ErrorIs(t, err, context.Canceled)
	close(leave)
	callers.Wait()
	call()
	require.EqualValues(t, 1, reads.Load())
	_, err = r.read(t.Context(), "b", ask)
	require.NoError(t, err)
	require.EqualValues(t, 2, reads.Load())
}

// The read goes on when the caller that began it has disconnected, because others may wait for it.
func TestRangeReadOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	var r ranges
	ctx, cancel := context.WithCancel(t.Context())
	data, err := r.read(ctx, "a", func(ctx context.Context) (any, error) {
		cancel()
		return "stats", ctx.Err()
	})
	require.NoError(t, err)
	require.Equal(t, "stats", data)
}

// An error, or a panic, is not kept, and the number of kept ranges is bounded.
func TestRangeReadFailures(t *testing.T) {
	t.Parallel()
	var r ranges
	failed := errors.New("failed")
	_, err := r.read(t.Context(), "a", func(context.Context) (any, error) { return nil, failed })
	require.ErrorIs(t, err, failed)
	require.Panics(t, func() { _, _ = r.read(t.Context(), "a", func(context.Context) (any, error) { panic("x") }) })
	ok := func(context.Context) (any, error) { return "stats", nil }
	data, err := r.read(t.Context(), "a", ok)
	require.NoError(t, err)
	require.Equal(t, "stats", data)
	for n := range 10 * maxRanges {
		_, err := r.read(t.Context(), fmt.Sprint(n), ok)
		require.NoError(t, err)
		require.LessOrEqual(t, len(r.kept), maxRanges)
	}
}
