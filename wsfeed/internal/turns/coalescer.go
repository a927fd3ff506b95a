package turns

import (
	"sync"
	"time"
)

// Coalescer runs a function soon after Schedule, and at most once an interval. It runs at once if the last run is long enough
// ago, else when the interval is over. All calls until then share that run.
type Coalescer struct {
	mu      sync.Mutex
	pending bool
	last    time.Time
}

// Schedule has run called once the interval since the last run is over, unless a run is due already.
func (c *Coalescer) Schedule(interval time.Duration, run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending {
		return
	}
	wait := max(0, interval-time.Since(c.last))
	c.pending = true
	// It runs in a goroutine of its own even when due: the caller holds locks that run takes.
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		c.pending, c.last = false, time.Now()
		c.mu.Unlock()
		run()
	})
}
