package budget_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/budget"
)

func TestReserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(100)
		first, err := b.Reserve(t.Context(), "", 70)
		require.NoError(t, err)
		require.EqualValues(t, 70, b.Held())

		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = b.Reserve(soon, "", 40)
		require.ErrorIs(t, err, budget.ErrExhausted)

		waited := make(chan *budget.Share)
		go func() {
			s, err := b.Reserve(t.Context(), "", 40)
			assert.NoError(t, err)
			waited <- s
		}()
		synctest.Wait()
		first.Resize(50)
		second := <-waited
		require.EqualValues(t, 90, b.Held())
		second.Resize(80) // known afterwards
		require.EqualValues(t, 130, b.Held())
		first.Release()
		first.Release()
		second.Release()
		require.Zero(t, b.Held())
	})
}

func TestOneHolderHasAQuarter(t *testing.T) {
	t.Parallel()
	b := budget.New(100)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	first, err := b.Reserve(ended, "a", 20)
	require.NoError(t, err)
	_, err = b.Reserve(ended, "a", 6)
	require.ErrorIs(t, err, budget.ErrExhausted)
	other, err := b.Reserve(ended, "b", 60)
	require.NoError(t, err, "the first may be larger")
	first.Release()
	_, err = b.Reserve(ended, "a", 25)
	require.NoError(t, err)
	other.Release()
	none := (*budget.Share)(nil)
	none.Release()
}

func TestConcurrentReserve(t *testing.T) {
	t.Parallel()
	b := budget.New(10)
	var held, most atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			s, err := b.Reserve(t.Context(), "", 3)
			if err != nil {
				return
			}
			for now := held.Add(3); now > most.Load(); {
				most.Store(now)
			}
			held.Add(-3)
			s.Release()
		})
	}
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int64(10))
	require.Zero(t, b.Held())
}
