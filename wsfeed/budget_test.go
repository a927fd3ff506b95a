package wsfeed

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A read that ends after its socket has left must not keep bytes that are never given back.
func TestBudgetOfASocketThatLeft(t *testing.T) {
	t.Parallel()
	b := newBudget(1 << 20)
	var h hold
	require.True(t, b.take(&h, 100<<10))
	b.end(&h)
	require.True(t, b.take(&h, 100<<10), "the read goes on")
	b.grow(&h, 500<<10)
	require.Zero(t, b.used)
	require.Zero(t, b.held.Len())
}

// The race detector watches this one: a socket leaves while its read is counted.
func TestBudgetIsSharedByReaderAndLeaver(t *testing.T) {
	t.Parallel()
	b := newBudget(1 << 20)
	for range 100 {
		var h hold
		var both sync.WaitGroup
		both.Go(func() {
			b.take(&h, 20<<10)
			b.grow(&h, 100<<10)
			b.drop(&h)
		})
		both.Go(func() { b.end(&h) })
		both.Wait()
	}
	require.Zero(t, b.used)
}
