package wsfeed

import (
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/internal/backoff"
)

// wake implements sink.
func (s *connSub) wake() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.enqueue(s)
}

// feedScope implements sink.
func (s *connSub) feedScope() *feedScope { return s.scope }

// socket implements sink.
func (s *connSub) socket() any { return s.conn }

// cut implements sink.
func (s *connSub) cut() { s.conn.cut() }

// holds implements sink.
func (s *connSub) holds(bytes int) bool {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes > 0 && c.listBytes+bytes > c.hub.cfg.MaxListBytesPerSocket {
		c.hub.limited(LimitListBytesPerSocket)
		return false
	}
	c.listBytes += bytes
	return true
}

// behind implements sink.
func (s *connSub) behind(yes bool) { s.conn.lag.note(yes) }

// enqueue has a subscription pulled. Called with mu held.
func (c *conn) enqueue(s *connSub) {
	if s.queued || s.over || s.subscription == nil {
		return
	}
	s.queued = true
	c.ready = append(c.ready, s)
	c.startWriter()
}

// startWriter is called with mu held, after something to write was added.
func (c *conn) startWriter() {
	if c.writing || (c.closing != nil && c.closing.sent) {
		return
	}
	c.writing = true
	c.writers.Add(1)
	go c.write()
}

// write sends until nothing is left to send.
func (c *conn) write() {
	defer c.writers.Done()
	for {
		f, s, bye := c.take()
		switch {
		case bye != nil:
			message := websocket.FormatCloseMessage(bye.code, bye.reason)
			_ = c.ws.WriteControl(websocket.CloseMessage, message, time.Now().Add(c.hub.cfg.WriteTimeout))
			return
		case s != nil:
			f = c.pull(s)
		case f == nil:
			return
		}
		if f == nil {
			continue
		}
		err := c.out.WriteFrame(f.wire)
		c.hub.budget.written(f, c)
		if err != nil {
			c.fail(err)
			return
		}
		c.hub.written(&c.hub.webSocket, f, len(f.body), s != nil && s.live())
		if s != nil {
			c.sent(s, f)
		}
	}
}

// take returns the next reply, or the next subscription to pull, or, with nothing left, the goodbye that is due.
// Without any of them the writer ends. A subscription is pulled in the scope that holds now, with no reply waiting: one
// that changes after this has its answer sent first.
func (c *conn) take() (*frame, *connSub, *goodbye) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil && c.closing.sent {
		return nil, nil, nil
	}
	late := c.closing != nil && time.Now().After(c.closing.until)
	switch {
	case late: // the client comes back for the rest
	case len(c.replies) > 0:
		f := c.replies[0]
		c.replies = c.replies[1:]
		<-c.room
		return f, nil, nil
	case c.current != nil:
		s := c.current
		c.current = nil
		s.now = c.scope
		return nil, s, nil
	case len(c.ready) > 0:
		s := c.ready[0]
		c.ready = c.ready[1:]
		s.queued, s.now = false, c.scope
		return nil, s, nil
	}
	for range c.replies {
		<-c.room // the reader may be waiting for a place
	}
	c.replies, c.current, c.ready = nil, nil, nil // an idle socket keeps no buffers
	c.writing = false
	if c.closing != nil {
		c.closing.sent = true
		return nil, nil, c.closing
	}
	return nil, nil, nil
}

// next returns a subscription's next frame, within the scope that the connection had when the writer took it.
func (c *conn) next(s *connSub) (*frame, error) {
	if s.now != s.scope {
		if err := c.rescope(s, s.now); err != nil {
			return nil, err
		}
	}
	return s.next(c.ctx)
}

// pull asks a subscription for its next frame; nil where there is nothing to send now.
func (c *conn) pull(s *connSub) *frame {
	f, err := c.next(s)
	refusal := (*Refusal)(nil)
	switch {
	case errors.As(err, &refusal):
		c.hub.refused(refusal)
		if c.remove(s) {
			f = errorFrame(s.name, refusal.Code, refusal.Message)
		}
		if c.single {
			c.close(websocket.CloseNormalClosure, "the activity cannot be served")
		}
		return f
	case errors.Is(err, errOver):
		if c.remove(s) {
			f = errorFrame(s.name, "not_found", "there is no such activity")
		}
		if c.single {
			c.close(websocket.CloseNormalClosure, "there is no such activity")
		}
		return f
	case err != nil:
		if c.ctx.Err() == nil {
			c.hub.cfg.Logger.Debug("reading for a subscription; will try again", "error", err)
			s.retries++
			time.AfterFunc(retryDelay(s.retries), s.wake)
		}
		return nil
	}
	s.retries = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.over {
		if f != nil {
			c.hub.budget.written(f, c)
		}
		return nil
	}
	return f
}

// retryDelay is the time to wait after so many failed reads for a subscription.
func retryDelay(failures int) time.Duration {
	return backoff.Delay(failures, 100*time.Millisecond, 2*time.Second)
}

// sent has the subscription pulled again, behind the others that are ready; but first the rest of what one read
// brought, so that a slow socket with a thousand subscriptions keeps one read in memory and not a thousand.
func (c *conn) sent(s *connSub, f *frame) {
	done := c.single && f.kind == "end"
	if done {
		c.close(websocket.CloseNormalClosure, "the activity has ended")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case done:
		s.over = true
	case s.holding() && !s.over:
		c.current = s
	default:
		c.enqueue(s)
	}
}

// fail ends a connection that could not be written to. One that took nothing for the write timeout is told 4408, if
// the frame it refused had not begun and it takes as much as a close frame now. One that was told goodbye already,
// because it broke a rule, is left to the reader: cutting it would reset the connection and lose that goodbye.
func (c *conn) fail(err error) {
	if errors.Is(err, websocket.ErrCloseSent) {
		return
	}
	c.out.LastWord(CloseTooSlow, "nothing was taken for too long")
	c.cut()
}
