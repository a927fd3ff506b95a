package wsfeed

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// eventChunk bounds the bytes written under one deadline.
const eventChunk = 32 << 10

// eventStream is one activity as Server-Sent Events: the same subscription as on a WebSocket, pulled by the handler's
// own goroutine.
type eventStream struct {
	hub     *Hub
	access  Access
	out     *http.ResponseController
	w       http.ResponseWriter
	woken   chan struct{}
	leaveBy atomic.Pointer[time.Time] // set when the hub closes: pending events are sent until then
	lag     lag
	scope   *feedScope
	ctx     context.Context
	cancel  context.CancelFunc
}

func (h *Hub) serveEvents(w http.ResponseWriter, r *http.Request, access Access, t *target) {
	e := &eventStream{hub: h, access: access, scope: t.scope, w: w, out: http.NewResponseController(w)}
	e.woken = make(chan struct{}, 1)
	e.lag.sockets = &h.behind
	e.ctx, e.cancel = context.WithCancel(r.Context())
	defer e.cancel()
	if !h.admit(e) {
		w.Header().Set("Retry-After", "1")
		h.cfg.Problem(w, http.StatusServiceUnavailable, "", "the server is going away; come back")
		return
	}
	defer h.dismiss(e)

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // otherwise nginx collects events before it passes them on
	w.WriteHeader(http.StatusOK)
	_ = e.out.Flush() // so that the client knows it is connected, however long the first event takes

	_ = e.out.SetReadDeadline(time.Time{}) // the server's limit for reading a request ends here
	s := h.joinTopic(t.agentID, "", t.afterSeq, e)
	defer s.leave()
	e.run(s)
}

// run pulls and sends until the activity has ended, the client has gone or the hub closes.
func (e *eventStream) run(s subscription) {
	idle := time.NewTicker(e.hub.cfg.KeepAlive)
	defer idle.Stop()
	end := time.NewTimer(e.access.within(math.MaxInt64))
	defer end.Stop()
	retries := 0
	for {
		if e.access.over() {
			_ = e.send(wire.Error("", "forbidden", expired), false)
			return // an EventSource that reconnects has no ticket any more, and so stops
		}
		leaveBy := e.leaveBy.Load() // before the lookup of pending frames
		f, err := s.next(e.ctx)
		var again <-chan time.Time
		switch {
		case errors.Is(err, errOver):
			_ = e.send(wire.Error("", "not_found", "there is no such activity"), false)
			return
		case e.refused(err):
			return
		case err != nil:
			retries++
			again = time.After(retryDelay(retries))
		case f != nil:
			retries = 0
			err := e.send(f, s.live())
			e.hub.done(f, e.socket())
			if err != nil || f.Kind == "end" || (leaveBy != nil && time.Now().After(*leaveBy)) {
				return
			}
			continue
		}
		if leaveBy != nil {
			return // the client comes back with Last-Event-ID
		}
		select {
		case <-e.woken:
		case <-again:
		case <-end.C:
			end.Reset(e.access.within(math.MaxInt64)) // where the timer was early
		case <-idle.C:
			if e.write([]byte(": still here\n\n")) != nil {
				return
			}
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *eventStream) send(f *wire.Frame, live bool) error {
	b := append([]byte("event: "), f.Kind...)
	if f.ID > 0 {
		b = strconv.AppendInt(append(b, "\nid: "...), int64(f.ID), 10)
	}
	b = append(b, "\ndata: "...)
	end := []byte("\n\n")
	if err := e.write(b, f.Body, end); err != nil { // the body is not copied: it may be large, and shared
		return err
	}
	e.hub.written(&e.hub.sse, f, len(b)+len(f.Body)+len(end), live)
	return nil
}

func (e *eventStream) write(parts ...[]byte) error {
	for _, b := range parts {
		for len(b) > 0 {
			n := min(len(b), eventChunk)
			_ = e.out.SetWriteDeadline(time.Now().Add(e.hub.cfg.WriteTimeout))
			if err := e.ctx.Err(); err != nil {
				return err // checked after the deadline was set: cut cancels first and then shortens the deadline
			}
			if _, err := e.w.Write(b[:n]); err != nil {
				return err
			}
			if b = b[n:]; len(b) > 0 {
				if err := e.out.Flush(); err != nil {
					return err
				}
			}
		}
	}
	return e.out.Flush()
}

// wake implements sink.
func (e *eventStream) wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// feedScope implements sink.
func (e *eventStream) feedScope() *feedScope { return e.scope }

// socket implements sink.
func (e *eventStream) socket() any { return e }

// holds implements sink: an event stream has no lists.
func (e *eventStream) holds(int) bool { return true }

// refused sends the error of a read that fails however often it is tried; false for any other error.
func (e *eventStream) refused(err error) bool {
	refusal := (*Refusal)(nil)
	if !errors.As(err, &refusal) {
		return false
	}
	e.hub.refused(refusal)
	_ = e.send(wire.Error("", refusal.Code, refusal.Message), false)
	return true
}

// behind implements sink.
func (e *eventStream) behind(yes bool) { e.lag.note(yes) }

// goAway implements peer.
func (e *eventStream) goAway() {
	leaveBy := time.Now().Add(e.hub.cfg.DrainTimeout / 2)
	e.leaveBy.Store(&leaveBy)
	e.wake()
}

// cut implements peer.
func (e *eventStream) cut() {
	e.cancel()
	_ = e.out.SetWriteDeadline(time.Now())
}
