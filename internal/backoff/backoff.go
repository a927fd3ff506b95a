// Package backoff says how long to wait before the next try: the time doubles with each failure up to a bound, with jitter, so
// that many clients of one server do not come back together. It imports nothing of this module.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Delay returns the time to wait after so many failures in a row, from 0 on: least, doubled with each failure, at most
// most; less up to a half, at random.
func Delay(failures int, least, most time.Duration) time.Duration {
	failures = max(failures, 0)
	d := most
	if failures < 32 && least<<failures>>failures == least {
		d = min(least<<failures, most)
	}
	return d - rand.N(d/2+1)
}

// Growing is a time to wait that grows with each use, from Least to Most, as Delay does.
type Growing struct {
	Least, Most time.Duration
	uses        int
}

// Next returns the time to wait now.
func (g *Growing) Next() time.Duration {
	g.uses++
	return Delay(g.uses-1, g.Least, g.Most)
}

// Reset starts at Least again.
func (g *Growing) Reset() { g.uses = 0 }

// Wait waits that long, or until ctx ends, and returns the error of ctx then.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
