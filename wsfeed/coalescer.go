package wsfeed

import (
	"sync"
	"time"
)

const (
	// wakeCost is about what it takes to wake one socket's writer and let it write.
	wakeCost = 20 * time.Microsecond
	// wakeMax bounds the latency that coalescing adds.
	wakeMax = 25 * time.Millisecond
)

// coalescer runs a function soon after schedule, and at most once an interval: at once when the last run is long enough
// ago, else when the interval is over. Any number of calls meanwhile lead to one run, after the last of them.
type coalescer struct {
	mu      sync.Mutex
	pending bool
	last    time.Time
}

func (c *coalescer) schedule(interval time.Duration, run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending {
		return
	}
	wait := max(0, interval-time.Since(c.last))
	c.pending = true
	// A goroutine of its own even when due: the caller holds locks that run takes.
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		c.pending, c.last = false, time.Now()
		c.mu.Unlock()
		run()
	})
}
