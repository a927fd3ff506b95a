package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

const (
	// readTimeout bounds a read, and a write of many activities.
	readTimeout = time.Minute
	// writeTimeout bounds a write of one activity, its waits for a connection and for row locks included. lockTimeout is
	// below it, so that Postgres says what was waited for, and the connection is kept.
	writeTimeout = 5 * time.Second
	// slotTimeout is how long a read waits for its turn.
	slotTimeout = 5 * time.Second
)

// Slots bound how many requests use the connections of a pool at once. nil is no bound.
type Slots chan struct{}

// NewSlots returns n slots, at least one.
func NewSlots(n int) Slots { return make(Slots, max(1, n)) }

// Enter takes a slot, and returns how to leave it, or nil where none became free in time.
func (s Slots) Enter(ctx context.Context) (leave func()) {
	if s == nil {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	select {
	case s <- struct{}{}:
		return func() { <-s }
	case <-ctx.Done():
		return nil
	}
}

// PageBytes is what a page is taken for before it is read: SQL bounds it, but for one large line.
const PageBytes = 4 << 20

// held are the bytes that one request holds until its answer has been taken.
type held struct {
	holder       string // the subject or address they count for, "" for none
	answer, body *budget.Share
	slow         *time.Timer // ends the connection of a client that takes the answer too slowly
}

type heldKey struct{}

func heldOf(ctx context.Context) *held {
	h, _ := ctx.Value(heldKey{}).(*held)
	return h
}

// holding gives the bytes of a request back once it has been answered.
func (a *api) holding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &held{holder: a.Access.Holder(r)}
		defer h.release()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), heldKey{}, h)))
	})
}

func (h *held) release() {
	if h.slow != nil {
		h.slow.Stop()
	}
	h.answer.Release()
	h.body.Release()
}

// reserve waits for memory for so many bytes, or returns a problem.
func (a *api) reserve(ctx context.Context, h *held, bytes int64) (*budget.Share, error) {
	if h == nil || a.Memory == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	share, err := a.Memory.Reserve(ctx, h.holder, bytes)
	if err == nil {
		return share, nil
	}
	a.Note(LimitHeldBytes)
	return nil, problem.New(http.StatusServiceUnavailable, "", "requests and answers that clients are slow to send or take use all memory for them; "+
		"try again shortly, and ask for less at once")
}

// endAfter closes the connection of the request when its client does not take so many bytes in 30 s, and 1 s for each
// 32 KiB.
func (h *held) endAfter(ctx context.Context, bytes int) {
	conn := edge.ConnOf(ctx)
	if h == nil || conn == nil {
		return
	}
	h.slow = time.AfterFunc(30*time.Second+time.Duration(bytes>>15)*time.Second, func() { _ = conn.Close() })
}

// run serves an operation once there is memory for its answer and a connection for it.
func run[O any](ctx context.Context, a *api, takes access.Verb, serve func(context.Context) (*O, error)) (*O, error) {
	h := heldOf(ctx)
	var none *O
	_, isPage := any(none).(*rawJSON)
	if isPage {
		share, err := a.reserve(ctx, h, PageBytes)
		if err != nil {
			return nil, err
		}
		if h != nil {
			h.answer = share
		}
	}
	waited := a.ReadSlots
	if takes != access.VerbRead {
		waited = a.WriteSlots
	}
	leave := waited.Enter(ctx)
	if leave == nil {
		return nil, problem.New(http.StatusServiceUnavailable, "", "other requests use all connections to the database; try again shortly")
	}
	out, err := func() (*O, error) {
		defer leave() // a panic is answered 500, and the process goes on
		return serve(ctx)
	}()
	if page, ok := any(out).(*rawJSON); ok && err == nil && h != nil {
		h.answer.Resize(int64(len(page.Body)))
		h.endAfter(ctx, len(page.Body))
	}
	return out, err
}
