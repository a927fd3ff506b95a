package doctor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestQueue: half of the queue is the bound, because above it SQL sends no wake-up. Before Postgres 17 the queue has 8 GB, which no
// test fills.
func TestQueue(t *testing.T) {
	t.Parallel()
	for usage, want := range map[float64]Level{0: OK, 0.5: OK, 0.51: Problem, 1: Problem} {
		e := &examination{}
		e.queue(usage)
		require.Equal(t, want, e.found[0].Level)
		require.Equal(t, want == Problem, e.found[0].Advice != "")
	}
}
