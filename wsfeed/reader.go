package wsfeed

import (
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// awaitInput waits for the next input of the client, on the 2 KB of stack that a goroutine begins with. Reading needs more,
// and a grown stack does not shrink to 2 KB again. So a goroutine that has read starts a new one that waits. (The stack was
// half of an idle socket's memory.)
func (c *conn) awaitInput() {
	c.out.AwaitReadable()
	c.read()
}

// read reads the input that has come.
func (c *conn) read() {
	for {
		if err := c.readOne(); err != nil {
			c.finish(err)
			return
		}
		if c.in.Buffered() == 0 {
			go c.awaitInput()
			return
		}
	}
}

// readOne reads one message, ping or pong, and acts on it.
func (c *conn) readOne() error {
	if !c.isClosing() && c.readControl() { // otherwise the input may be in the middle of a message that was too big
		return nil
	}
	kind, message, err := c.ws.NextReader()
	if err != nil {
		return err
	}
	if c.isClosing() {
		_, err = io.Copy(io.Discard, message) // to its end: readControl needs the start of the next frame
		return err                            // discard input until the client's close frame, or close's timer, ends the reader
	}
	// Not gorilla's read limit: its close frame would not reach a socket that is busy with another frame.
	data, err := io.ReadAll(io.LimitReader(message, int64(c.hub.cfg.MessageBytes)+1))
	if err == nil && len(data) > c.hub.cfg.MessageBytes {
		defer func() { _, _ = io.Copy(io.Discard, message) }() // likewise
	}
	if err != nil {
		return err
	}
	c.alive()
	switch {
	case !c.withinRate():
	case kind == websocket.BinaryMessage:
		c.close(websocket.CloseUnsupportedData, "binary frames are not part of "+Protocol)
	case len(data) > c.hub.cfg.MessageBytes:
		c.hub.limited(LimitMessageBytes)
		c.close(websocket.CloseMessageTooBig, "the message is too big")
	case !utf8.Valid(data):
		c.close(websocket.CloseInvalidFramePayloadData, "text must be UTF-8")
	default:
		if f := c.handle(data); f != nil && !c.reply(f) {
			return c.ctx.Err()
		}
	}
	return nil
}

// readControl handles a ping or a pong if that comes next. gorilla would handle it too, but then wait for a message.
// readControl leaves any other frame, whole or not, to gorilla.
func (c *conn) readControl() bool {
	const final, masked, headBytes, maxPayload = 0x80, 0x80, 6, 125
	head, err := c.in.Peek(2)
	if err != nil {
		return false
	}
	kind, size := head[0]^final, int(head[1]^masked)
	if (kind != websocket.PingMessage && kind != websocket.PongMessage) || size > maxPayload {
		return false
	}
	frame, err := c.in.Peek(headBytes + size)
	if err != nil {
		return false
	}
	if kind == websocket.PingMessage {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = frame[headBytes+i] ^ frame[2+i%4]
		}
		c.pinged(payload)
	} else {
		c.ponged()
	}
	_, _ = c.in.Discard(headBytes + size)
	return true
}

func (c *conn) pinged(payload []byte) {
	if c.withinRate() {
		_ = c.ws.WriteControl(websocket.PongMessage, payload, time.Now().Add(time.Second))
	}
	c.alive()
}

func (c *conn) ponged() {
	c.withinRate()
	c.alive()
}

// alive moves the read deadline after input from the client.
func (c *conn) alive() { _ = c.ws.SetReadDeadline(time.Now().Add(c.hub.cfg.PongTimeout)) }

// handle acts on one message and returns the answer, nil where a subscription sends it.
func (c *conn) handle(data []byte) *wire.Frame {
	r, err := wire.Parse(data)
	if c.single {
		r.Sub = "" // at this URL, subscriptions have no names
	}
	switch {
	case err != nil:
		return wire.Error(r.Sub, "invalid", err.Error())
	case r.Kind == "ping":
		return wire.Plain("pong", "")
	case r.Kind == "auth":
		return c.renew(r.Token)
	case c.single:
		return wire.Error("", "invalid", "this address serves one activity; only ping and auth are understood here")
	case r.Kind == "unsubscribe":
		return c.unsubscribe(r.Sub)
	}
	return c.subscribe(r)
}

// subscribe adds a subscription. Only the reader calls it, so a name that is free stays free.
func (c *conn) subscribe(r wire.Request) *wire.Frame {
	c.mu.Lock()
	taken, full := c.subs.named(r.Sub) != nil, len(c.subs) >= c.hub.cfg.MaxSubscriptions
	c.mu.Unlock()
	switch {
	case taken:
		return wire.Error(r.Sub, "invalid", "there is a subscription of this name already")
	case full:
		c.hub.limited(LimitSubscriptions)
		return wire.Error(r.Sub, "limit", fmt.Sprintf("this socket has %d subscriptions: unsubscribe from some, or open another socket",
			c.hub.cfg.MaxSubscriptions))
	case r.List != nil && r.List.Limit > c.hub.cfg.ListItems:
		c.hub.limited(LimitListItems)
		return wire.Error(r.Sub, "limit", fmt.Sprintf("list.limit must be at most %d here, got %d", c.hub.cfg.ListItems, r.List.Limit))
	}
	s := &connSub{conn: c, name: r.Sub, scope: c.scope}
	if r.List != nil {
		if r.List.IncludeMetadata && c.hidesMetadata() {
			return wire.Error(r.Sub, "forbidden", noMetadata)
		}
		bytes, limit, advice := c.takeFilter(r.List)
		if limit != "" {
			c.hub.limited(limit)
			return wire.Error(r.Sub, "limit", advice)
		}
		s.filterBytes = bytes
		c.add(s, c.hub.joinList(ListFilter(*r.List), r.Sub, s))
	} else {
		c.add(s, c.hub.joinTopic(r.AgentID, r.Sub, r.AfterSeq, s))
	}
	return nil
}

func (c *conn) add(s *connSub, registered subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.subscription = registered
	c.subs = append(c.subs, s)
	c.enqueue(s)
}

func (c *conn) unsubscribe(name string) *wire.Frame {
	c.mu.Lock()
	s := c.subs.named(name)
	c.mu.Unlock()
	if s == nil || !c.remove(s) {
		return wire.Error(name, "invalid", "there is no subscription of this name")
	}
	return wire.Plain("unsubscribed", name)
}
