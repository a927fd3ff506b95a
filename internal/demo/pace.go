package demo

import (
	"context"
	"time"
)

const (
	// fileCost is the cost of a file beside its bytes, so that a folder of small files also takes time.
	fileCost = 64 << 10
	// The slowest and the fastest rate, in bytes per second.
	minRate, maxRate = 64 << 10, 32 << 20
)

// pace spreads work over time: a worker that is ahead of schedule waits.
type pace struct {
	began time.Time
	rate  float64 // bytes per second
	spent float64
}

// newPace returns the pace at which total bytes of work take about d. They take longer where that would be faster than
// maxRate, and less, down to a sixth of d, where it would be slower than minRate. The bounds are for a d of 25 s.
func newPace(total int64, d time.Duration) *pace {
	const usual, least = 25.0, 25.0 / 6
	rate := min(max(float64(total)/usual, minRate), maxRate)
	if total > 0 {
		rate = min(rate, float64(total)/least)
	}
	return &pace{began: time.Now(), rate: rate * usual / d.Seconds()}
}

// spend returns when the work of n bytes is due to be done, or earlier with the cause when ctx ends.
func (p *pace) spend(ctx context.Context, n int64) error {
	p.spent += float64(n)
	due := p.began.Add(time.Duration(p.spent / p.rate * float64(time.Second)))
	return wait(ctx, time.Until(due))
}
