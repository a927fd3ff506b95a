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

// alarm runs a function soon after ring, and not more often than the interval asked for: at once when the last run
// is long enough ago, else when the interval is over. However often it rings meanwhile, it runs once, after the last.
type alarm struct {
	mu      sync.Mutex
	pending bool
	last    time.Time
}

func (a *alarm) ring(interval time.Duration, run func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending {
		return
	}
	wait := max(0, interval-time.Since(a.last))
	a.pending = true
	// A goroutine of its own even when due: the caller holds locks that run takes.
	time.AfterFunc(wait, func() {
		a.mu.Lock()
		a.pending, a.last = false, time.Now()
		a.mu.Unlock()
		run()
	})
}
