package top

import (
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// rateWindow is the time over which the lines a second are counted.
const rateWindow = 10 * time.Second

// rates counts lines a second by the growth of last_seq between reads.
type rates map[uuid.UUID][]sample

type sample struct {
	at  time.Time
	seq int
}

// add records a read. Activities that are not in it are forgotten.
func (r rates) add(items []client.ListItem, at time.Time) rates {
	next := make(rates, len(items))
	for _, item := range items {
		samples := r[item.AgentID]
		if n := len(samples); n > 0 && item.LastSeq < samples[n-1].seq { // made again
			samples = nil
		}
		for len(samples) > 1 && at.Sub(samples[1].at) >= rateWindow {
			samples = samples[1:]
		}
		next[item.AgentID] = append(samples, sample{at, item.LastSeq})
	}
	return next
}

// of returns the lines a second of an activity, 0 where there is one read only.
func (r rates) of(id uuid.UUID) float64 {
	samples := r[id]
	if len(samples) < 2 {
		return 0
	}
	first, last := samples[0], samples[len(samples)-1]
	return float64(last.seq-first.seq) / last.at.Sub(first.at).Seconds()
}

// total returns the lines a second of all activities together.
func (r rates) total() (sum float64) {
	for id := range r {
		sum += r.of(id)
	}
	return sum
}
