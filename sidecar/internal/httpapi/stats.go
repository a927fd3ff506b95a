package httpapi

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
)

type stats struct {
	Counts client.Counts `json:"counts"`
	Active int64         `json:"active"`
}

// statsBytes is the assumed size of the stats of a range: 1,500 buckets, 50 types and 20 failures.
const statsBytes = 256 << 10

// stats answers with the counts, or with the stats of a range where one is given.
func (rq *request) stats() action {
	params := client.StatsParams{
		Since:  rq.query.When("since"),
		Bucket: rq.query.Duration("bucket", 1, math.MaxInt64, "a duration such as 1m, 1h or 1d"), // pkg/client takes 0 as not given
	}
	if params == (client.StatsParams{}) {
		return rq.counts
	}
	return func(ctx context.Context) (_ any, err error) {
		if rq.answerShare, err = rq.reserve(ctx, statsBytes); err != nil {
			return nil, err
		}
		key := fmt.Sprintf("%s %d %s", params.Since, params.Bucket, access.GrantOf(ctx).Scope)
		return rq.api.ranges.read(ctx, key, func(ctx context.Context) (any, error) {
			return rq.call(ctx, func(ctx context.Context, c *client.Client) (any, error) { return c.StatsJSON(ctx, params) })
		})
	}
}

// counts reads one set of counts, so that active is their sum despite concurrent writes.
func (rq *request) counts(ctx context.Context) (any, error) {
	return rq.call(ctx, func(ctx context.Context, c *client.Client) (any, error) {
		counts, err := c.CountByStatus(ctx, client.CountParams{})
		return stats{Counts: counts, Active: counts.ByStatus[client.StatusQueued] + counts.ByStatus[client.StatusRunning]}, err
	})
}

const (
	// rangeAge is how long the stats of a range are given again without a read.
	rangeAge = 2 * time.Second
	// maxRanges bounds the kept stats.
	maxRanges = 64
)

// ranges shares one read of stats among the callers of one scope and range, and keeps its result for rangeAge. Open overviews
// ask for the same range again and again, and a read costs as much as ended in the range.
type ranges struct {
	mu   sync.Mutex
	kept map[string]*rangeRead
}

// rangeRead is a read of the stats of a range. data and err are set before done is closed, until before that too.
type rangeRead struct {
	done  chan struct{}
	data  any
	err   error
	until time.Time // guarded by ranges.mu; zero while it is read
}

// read returns the stats of a key, with ask where they are not known. ask goes on when its caller has disconnected, because
// others may wait for it. An error reaches all that wait, and is not kept.
func (r *ranges) read(ctx context.Context, key string, ask action) (any, error) {
	r.mu.Lock()
	known := r.kept[key]
	if known != nil && (known.until.IsZero() || time.Now().Before(known.until)) {
		r.mu.Unlock()
		select {
		case <-known.done:
			return known.data, known.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	made := &rangeRead{done: make(chan struct{})}
	r.keep(key, made)
	r.mu.Unlock()

	defer func() { // also after a panic
		r.mu.Lock()
		if made.until = time.Now().Add(rangeAge); made.data == nil && r.kept[key] == made {
			delete(r.kept, key)
		}
		r.mu.Unlock()
		close(made.done)
	}()
	made.err = context.Canceled // replaced, unless ask panics
	made.data, made.err = ask(context.WithoutCancel(ctx))
	return made.data, made.err
}

// keep adds a read, and forgets what is too old, or anything where there are too many. Called with mu held.
func (r *ranges) keep(key string, made *rangeRead) {
	now := time.Now()
	for known, read := range r.kept {
		if len(r.kept) >= maxRanges || !read.until.IsZero() && now.After(read.until) {
			delete(r.kept, known)
		}
	}
	if r.kept == nil {
		r.kept = make(map[string]*rangeRead)
	}
	r.kept[key] = made
}
