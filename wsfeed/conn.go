package wsfeed

import (
	"bufio"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/wsfeed/internal/netconn"
	"github.com/agentexec/agentexec/wsfeed/internal/quota"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// conn is one WebSocket. It is always being read (reader.go); a writer goroutine lives only while there is something to write
// (writer.go). Only the writer pulls from subscriptions, so their frames leave in order.
type conn struct {
	hub    *Hub
	ws     *websocket.Conn    // reads, and writes control frames
	in     *bufio.Reader      // the input of ws
	out    *netconn.FrameConn // takes all other frames
	ctx    context.Context
	cancel context.CancelFunc
	// single serves one activity without a subscribe, and closes with 1000 after the first "end".
	single  bool
	room    chan struct{} // one place for each reply that may wait
	lag     lag
	limiter *rate.Limiter
	// renewals limits the tokens that come over the socket; nil before the first.
	renewals *rate.Limiter
	slot     quota.Slot

	mu          sync.Mutex
	scope       *feedScope // of the connection's grant
	access      Access
	pinger      *time.Timer // for the next ping, or for the end of the access, whichever comes first
	subs        connSubs
	replies     []*wire.Frame // answers to the client's own messages, sent before anything else
	current     *connSub      // has the rest of a read to send, and goes before those that are ready
	ready       []*connSub    // to be pulled, each at most once
	writing     bool
	filterBytes int      // of its lists
	listBytes   int      // of the items of its lists
	closing     *goodbye // to be sent after all pending frames
	writers     sync.WaitGroup
}

// connSub is a subscription with its place in the writer's queue. Guarded by conn.mu.
type connSub struct {
	subscription // nil until it is registered
	conn         *conn
	name         string
	scope        *feedScope // the scope that it was made for
	now          *feedScope // the connection's scope when the writer took the subscription
	noMetadata   bool       // a list with metadata, which the connection's token no longer allows
	queued       bool
	over         bool // no frame of it may be sent any more
	retries      int
	filterBytes  int // 0 for an activity
}

// connSubs are the subscriptions of a connection. Most connections have one; a map would cost an idle socket a quarter of a
// kilobyte. A search through a thousand takes less time than the read of the message that asks for it.
type connSubs []*connSub

// named returns the subscription of a name, nil where there is none.
func (c connSubs) named(name string) *connSub {
	for _, s := range c {
		if s.name == name {
			return s
		}
	}
	return nil
}

type goodbye struct {
	code   int
	reason string
	until  time.Time // pending frames are sent until then
	sent   bool
	timer  *time.Timer
}

// maxReplies bounds the answers that wait for a client that does not read them. At the bound, the client is not read either.
const maxReplies = 32

func newConn(h *Hub, ws *websocket.Conn, hijacked *frameHijacker, access Access, scope *feedScope, slot quota.Slot, single bool) *conn {
	c := &conn{
		hub: h, ws: ws, in: hijacked.in, out: hijacked.conn, access: access, scope: scope, single: single, room: make(chan struct{}, maxReplies),
		slot: slot, limiter: h.cfg.newRateLimiter(),
	}
	c.lag.sockets = &h.behind
	c.ctx, c.cancel = context.WithCancel(h.ctx)
	// These handle pings and pongs in the middle of a message.
	c.ws.SetPingHandler(func(payload string) error { c.pinged([]byte(payload)); return nil })
	c.ws.SetPongHandler(func(string) error { c.ponged(); return nil })
	return c
}

// start begins to read the socket.
func (c *conn) start() {
	c.alive()
	c.mu.Lock()
	c.pinger = time.AfterFunc(c.access.within(c.hub.cfg.PingInterval), c.ping)
	c.mu.Unlock()
	go c.awaitInput()
}

// finish cleans up after the reader's end. Its goroutine is the last of the connection to end.
func (c *conn) finish(err error) {
	defer c.hub.dismiss(c)
	defer c.hub.slots.Leave(c.slot)
	if errors.Is(err, websocket.ErrReadLimit) {
		c.refuse(websocket.CloseMessageTooBig) // a length that overflows, which gorilla rejects without a close frame
	}
	if netconn.IsProtocolError(err) {
		netconn.Linger(c.out) // so that the close frame, sent by gorilla, is not lost in a reset
	}
	c.cancel()

	c.mu.Lock()
	c.pinger.Stop()
	if c.closing == nil {
		c.closing = &goodbye{}
	}
	c.closing.sent = true
	if c.closing.timer != nil {
		c.closing.timer.Stop()
	}
	subs := c.subs
	c.subs = nil
	for _, s := range subs {
		s.over = true
		c.leaveFilter(s)
	}
	c.mu.Unlock()
	_ = c.ws.Close()
	for _, s := range subs {
		s.leave()
	}
	c.writers.Wait()
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil
}

// refuse sends a close frame ahead of all pending frames.
func (c *conn) refuse(code int) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
}

// ping keeps the connection alive, or ends it when its access is over. Both share one timer, because a second timer would
// cost an idle socket more than the sharing does.
func (c *conn) ping() {
	c.mu.Lock()
	if c.access.over() {
		defer c.mu.Unlock()
		c.sayGoodbye(CloseUnauthorized, expired, 0)
		return
	}
	c.mu.Unlock()
	_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.pinger.Reset(c.access.within(c.hub.cfg.PingInterval))
	}
}

// remove deletes a subscription, and nothing of it is sent from here on; false if it was deleted before.
func (c *conn) remove(s *connSub) bool {
	c.mu.Lock()
	at := slices.Index(c.subs, s)
	if at < 0 {
		c.mu.Unlock()
		return false
	}
	s.over = true
	c.leaveFilter(s)
	c.subs = slices.Delete(c.subs, at, at+1)
	c.mu.Unlock()
	s.leave()
	return true
}

// reply queues an answer; false when the connection has ended. It waits when too many answers are queued. So a client that
// sends without reading is not read any more, until it takes its answers or the write timeout ends it.
func (c *conn) reply(f *wire.Frame) bool {
	if !c.takeRoom() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replyInRoom(f)
	return true
}

// takeRoom waits for room for an answer; false when the connection has ended.
func (c *conn) takeRoom() bool {
	select {
	case c.room <- struct{}{}:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// replyInRoom queues an answer after takeRoom. Called with mu held.
func (c *conn) replyInRoom(f *wire.Frame) {
	c.replies = append(c.replies, f)
	c.startWriter()
}

// close ends the connection in order: ready frames, for half the drain timeout at most, then the close frame. The client's
// own close frame ends the reader. All of that takes at most the drain timeout.
func (c *conn) close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sayGoodbye(code, reason, c.hub.cfg.DrainTimeout/2)
}

// sayGoodbye queues the close frame behind the ready frames, which may take as long as rest. Called with mu held.
func (c *conn) sayGoodbye(code int, reason string, rest time.Duration) {
	if c.closing == nil {
		c.closing = &goodbye{
			code: code, reason: reason, until: time.Now().Add(rest), timer: time.AfterFunc(c.hub.cfg.DrainTimeout, c.cut),
		}
		c.startWriter()
	}
}

// goAway implements peer.
func (c *conn) goAway() { c.close(websocket.CloseGoingAway, "the server is going away; come back") }

// cut implements peer.
func (c *conn) cut() {
	c.cancel()
	_ = c.out.Cut()
}
