package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

const (
	// readTimeout bounds a read, and a write of many activities.
	readTimeout = time.Minute
	// writeTimeout bounds a write of one activity, its waits for a connection and for row locks included. lockTimeout is
	// shorter, so that Postgres reports the lock, and the connection is kept.
	writeTimeout = 5 * time.Second
	// slotTimeout is how long a read waits for a slot.
	slotTimeout = 5 * time.Second
)

// Slots bound how many requests use the connections of a pool at once.
type Slots chan struct{}

// NewSlots returns n slots, at least one.
func NewSlots(n int) Slots { return make(Slots, max(1, n)) }

// Enter takes a slot, and returns the function that frees it, or nil where none became free in time.
func (s Slots) Enter(ctx context.Context) (leave func()) {
	ctx, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	select {
	case s <- struct{}{}:
		return func() { <-s }
	case <-ctx.Done():
		return nil
	}
}

// PageBytes is the assumed size of a page before it is read: SQL bounds a page, except for one large line.
const PageBytes = 4 << 20

// reserve waits for so many bytes of memory, or returns a problem.
func (rq *request) reserve(ctx context.Context, bytes int64) (*budget.Share, error) {
	ctx, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	share, err := rq.api.Memory.Reserve(ctx, rq.api.Access.Holder(rq.r), bytes)
	if err == nil {
		return share, nil
	}
	rq.api.Note(LimitHeldBytes)
	return nil, problem.New(http.StatusServiceUnavailable, "", "requests and answers that clients are slow to send or take use all memory for them; "+
		"try again shortly, and ask for less at once")
}

// release gives the memory of the request back once it has been answered.
func (rq *request) release() {
	if rq.slow != nil {
		rq.slow.Stop()
	}
	rq.answerShare.Release()
	rq.bodyShare.Release()
}

// endSlow closes the connection of the request when its client does not take so many bytes in 30 s, and 1 s for each
// 32 KiB.
func (rq *request) endSlow(bytes int) {
	most := 30*time.Second + time.Duration(bytes>>15)*time.Second
	if conn := edge.ConnOf(rq.r.Context()); conn != nil {
		rq.slow = time.AfterFunc(most, func() { _ = conn.Close() })
		return
	}
	_ = http.NewResponseController(rq.w).SetWriteDeadline(time.Now().Add(most)) // net/http lifts it after the request
}
