package wsfeed

import (
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
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

// enqueue queues a subscription for the writer to pull. Called with mu held.
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
		err := c.out.WriteFrame(f.Raw)
		c.hub.done(f, c)
		if err != nil {
			c.fail(err)
			return
		}
		c.hub.written(&c.hub.webSocket, f, len(f.Body), s != nil && s.live())
		if s != nil {
			c.sent(s, f)
		}
	}
}

// take returns the next reply, or the next subscription to pull, or, with nothing left, the goodbye that is due. Without any
// of them the writer ends. A subscription is pulled in the current scope, while no reply waits. So the answer to a later
// change of the scope is sent before the frames of the new scope.
func (c *conn) take() (*wire.Frame, *connSub, *goodbye) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil && c.closing.sent {
		return nil, nil, nil
	}
	late := c.closing != nil && time.Now().After(c.closing.until)
	switch {
	case late: // the client reconnects for the rest
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
		s.queued, s.now, s.noMetadata = false, c.scope, c.access.HideMetadata && includesMetadata(s.subscription)
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
func (c *conn) next(s *connSub) (*wire.Frame, error) {
	if s.noMetadata {
		refusal := &Refusal{Code: "forbidden", Message: noMetadata}
		refusal.logged.Store(true) // the token is at fault, not the server
		return nil, refusal
	}
	if s.now != s.scope {
		if err := c.rescope(s, s.now); err != nil {
			return nil, err
		}
	}
	return s.next(c.ctx)
}

// pull asks a subscription for its next frame; nil where there is nothing to send now.
func (c *conn) pull(s *connSub) *wire.Frame {
	f, err := c.next(s)
	refusal := (*Refusal)(nil)
	switch {
	case errors.As(err, &refusal):
		c.hub.refused(refusal)
		if c.remove(s) {
			f = wire.Error(s.name, refusal.Code, refusal.Message)
		}
		if c.single {
			c.close(websocket.CloseNormalClosure, "the activity cannot be served")
		}
		return f
	case errors.Is(err, errOver):
		if c.remove(s) {
			f = wire.Error(s.name, "not_found", "there is no such activity")
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
			c.hub.done(f, c)
		}
		return nil
	}
	return f
}

// retryDelay returns the time to wait after the given number of failed reads.
func retryDelay(failures int) time.Duration {
	return backoff.Delay(failures, 100*time.Millisecond, 2*time.Second)
}

// sent queues the subscription again, behind the others that are ready. The rest of a read goes first, so that a slow socket
// with a thousand subscriptions keeps one read in memory and not a thousand.
func (c *conn) sent(s *connSub, f *wire.Frame) {
	done := c.single && f.Kind == "end"
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

// fail ends a connection after a failed write. A client that took nothing for the write timeout is told 4408, if the refused
// frame had not begun and the client takes a close frame now. After a protocol error, the goodbye is sent already and the
// reader ends the connection: cutting it would reset it and lose that goodbye.
func (c *conn) fail(err error) {
	if errors.Is(err, websocket.ErrCloseSent) {
		return
	}
	c.out.LastWord(CloseTooSlow, "nothing was taken for too long")
	c.cut()
}
