package wsfeed

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// holder is a socket that counts how often it is cut.
type holder struct {
	noSink
	name string
	n    *atomic.Int64
}

func newHolder(name string) holder { return holder{name: name, n: new(atomic.Int64)} }

func (h holder) socket() any { return h.name }
func (h holder) cut()        { h.n.Add(1) }

// A read that ends after its socket has left keeps no bytes.
func TestBudgetAfterSocketLeft(t *testing.T) {
	t.Parallel()
	b := newBudget(1 << 20)
	h := holdOf(newHolder("a"))
	require.True(t, b.take(&h, 100<<10))
	b.end(&h)
	require.True(t, b.take(&h, 100<<10), "the read goes on")
	b.set(&h, 500<<10)
	require.Zero(t, b.used)
	require.Zero(t, b.held.Len())
}

// A socket may leave while its read is counted. The race detector checks the locking.
func TestBudgetWhileSocketLeaves(t *testing.T) {
	t.Parallel()
	b := newBudget(1 << 20)
	for range 100 {
		h := holdOf(newHolder("a"))
		var both sync.WaitGroup
		both.Go(func() {
			b.take(&h, 20<<10)
			b.set(&h, 100<<10)
			b.set(&h, 50<<10)
			b.drop(&h)
		})
		both.Go(func() { b.end(&h) })
		both.Wait()
	}
	require.Zero(t, b.used)
}

// A drop between a look that finds no room and the wait for room ends the wait.
func TestBudgetWaitMissesNoDrop(t *testing.T) {
	t.Parallel()
	b := newBudget(100 << 10)
	h := holdOf(newHolder("a"))
	require.True(t, b.take(&h, 100<<10))
	full, drops := b.state()
	require.True(t, full)
	b.drop(&h)
	require.NoError(t, b.wait(t.Context(), drops))
}

// Only the sockets that still write a shared frame are ended.
func TestBudgetEndsCurrentHolders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100 << 10)
		fast, slow := newHolder("fast"), newHolder("slow")
		shared := &frame{wire: make([]byte, 100<<10)}
		require.True(t, b.begin(shared, fast))
		require.True(t, b.begin(shared, slow))
		b.written(shared, "fast")
		done := make(chan error)
		_, drops := b.state()
		go func() { done <- b.wait(t.Context(), drops) }()
		time.Sleep(holdTime + time.Second) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		require.Zero(t, fast.n.Load())
		require.Positive(t, slow.n.Load())
		b.written(shared, "slow")
		require.NoError(t, <-done)
	})
}

// A read counts for the bytes it returned, so that many small ones do not use up the budget.
func TestBudgetCountsBytesReturned(t *testing.T) {
	t.Parallel()
	b := newBudget(256 << 10)
	for n := range 100 {
		h := holdOf(newHolder(fmt.Sprint(n)))
		require.True(t, b.take(&h, 128<<10))
		b.set(&h, 1<<10)
	}
	require.Zero(t, b.used)
}
