package wsfeed

import (
	"sync"
	"time"
)

const (
	// wakeCost is about the time that one socket's writer needs to wake up and write.
	wakeCost = 20 * time.Microsecond
	// wakeMax bounds the latency that coalescing adds.
	wakeMax = 25 * time.Millisecond
)

// coalescer runs a function soon after schedule, and at most once an interval. It runs at once if the last run is long enough
// ago, else when the interval is over. All calls until then share that run.
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
	// It runs in a goroutine of its own even when due: the caller holds locks that run takes.
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		c.pending, c.last = false, time.Now()
		c.mu.Unlock()
		run()
	})
}
