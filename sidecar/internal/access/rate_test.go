package access

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRateLimiter: a burst of twice the rate, then the rate, for each subject and address.
func TestRateLimiter(t *testing.T) {
	t.Parallel()
	p := newRateLimiter(10, nil, nil)
	now := time.Now()
	taken := func(who string, at time.Time) (n int) {
		for p.wait(who, at) == 0 {
			n++
		}
		return n
	}
	require.Equal(t, 20, taken("a", now))
	require.InDelta(t, 100*time.Millisecond, p.wait("a", now), float64(time.Microsecond))
	require.Equal(t, 20, taken("b", now))
	require.Equal(t, 10, taken("a", now.Add(time.Second)))
	require.Equal(t, 20, taken("a", now.Add(time.Hour)))
	require.Zero(t, p.wait("", now))
	require.Zero(t, newRateLimiter(-1, nil, nil).wait("a", now))
}

// TestRateLimiterMemoryIsBounded: a million addresses use bounded memory. It is not parallel: it weighs the heap.
func TestRateLimiterMemoryIsBounded(t *testing.T) { //nolint:paralleltest // it weighs the heap
	p := newRateLimiter(10, nil, nil)
	weigh := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before, now := weigh(), time.Now()
	for n := range 1_000_000 {
		require.Zero(t, p.wait(fmt.Sprintf("address 2001:db8:%x:%x::/64", n>>16, n&0xffff), now))
	}
	require.Equal(t, maxLimiters, p.recent.Len())
	grown := weigh() - before
	t.Logf("%d KiB", grown>>10)
	require.Less(t, grown, 8<<20)
	runtime.KeepAlive(p)
}
