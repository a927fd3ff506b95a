package memory

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
	name string
	n    *atomic.Int64
}

func newHolder(name string) holder { return holder{name: name, n: new(atomic.Int64)} }

func (h holder) cut() { h.n.Add(1) }

func (h holder) hold() Hold { return HoldOf(h.name, h.cut) }

// A read that ends after its socket has left keeps no bytes.
func TestBudgetAfterSocketLeft(t *testing.T) {
	t.Parallel()
	b := NewBudget(1 << 20)
	h := newHolder("a").hold()
	require.True(t, b.Take(&h, 100<<10))
	b.End(&h)
	require.True(t, b.Take(&h, 100<<10), "the read goes on")
	b.Set(&h, 500<<10)
	require.Zero(t, b.used)
	require.Zero(t, b.held.Len())
}

// A socket may leave while its read is counted. The race detector checks the locking.
func TestBudgetWhileSocketLeaves(t *testing.T) {
	t.Parallel()
	b := NewBudget(1 << 20)
	for range 100 {
		h := newHolder("a").hold()
		var both sync.WaitGroup
		both.Go(func() {
			b.Take(&h, 20<<10)
			b.Set(&h, 100<<10)
			b.Set(&h, 50<<10)
			b.Drop(&h)
		})
		both.Go(func() { b.End(&h) })
		both.Wait()
	}
	require.Zero(t, b.used)
}

// A drop between a look that finds no room and the wait for room ends the wait.
func TestBudgetWaitMissesNoDrop(t *testing.T) {
	t.Parallel()
	b := NewBudget(100 << 10)
	h := newHolder("a").hold()
	require.True(t, b.Take(&h, 100<<10))
	full, drops := b.State()
	require.True(t, full)
	b.Drop(&h)
	require.NoError(t, b.Wait(t.Context(), drops))
}

// Only the sockets that still write a shared frame are ended.
func TestBudgetEndsCurrentHolders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100 << 10)
		fast, slow := newHolder("fast"), newHolder("slow")
		var shared Hold
		require.True(t, b.Begin(&shared, 100<<10, fast.name, fast.cut))
		require.True(t, b.Begin(&shared, 100<<10, slow.name, slow.cut))
		b.Written(&shared, 100<<10, "fast")
		done := make(chan error)
		_, drops := b.State()
		go func() { done <- b.Wait(t.Context(), drops) }()
		time.Sleep(holdTime + time.Second) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		require.Zero(t, fast.n.Load())
		require.Positive(t, slow.n.Load())
		b.Written(&shared, 100<<10, "slow")
		require.NoError(t, <-done)
	})
}

// A read counts for the bytes it returned, so that many small ones do not use up the budget.
func TestBudgetCountsBytesReturned(t *testing.T) {
	t.Parallel()
	b := NewBudget(256 << 10)
	for n := range 100 {
		h := newHolder(fmt.Sprint(n)).hold()
		require.True(t, b.Take(&h, 128<<10))
		b.Set(&h, 1<<10)
	}
	require.Zero(t, b.used)
}
