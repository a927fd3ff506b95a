package wsfeed

import (
	"io"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// awaitInput waits for the next input of the client. Its stack is the 2 KB that a goroutine begins with; reading takes more, and
// a stack that has grown does not shrink again to so little. So a goroutine that has read leaves the waiting to a new one.
// (The stack was half of what an idle socket took.)
func (c *conn) awaitInput() {
	c.out.AwaitReadable()
	c.read()
}

// read reads what has come.
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

// readOne reads a message and acts on it, or a ping or a pong.
func (c *conn) readOne() error {
	if !c.isClosing() && c.readControl() { // else it may be in the middle of a message that was too big
		return nil
	}
	kind, message, err := c.ws.NextReader()
	if err != nil {
		return err
	}
	if c.isClosing() {
		_, err = io.Copy(io.Discard, message) // to its end, where readControl may look for what comes next
		return err                            // read away until the client's own close frame, or the timer of close, ends the reader
	}
	// Not gorilla's read limit, whose close frame would not reach a socket that is busy taking another one.
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

// readControl takes a ping or a pong, where that is what comes next. gorilla would take it too, and then go on waiting
// for a message. Any other frame, whole or not, is left to gorilla.
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

// alive moves the read deadline: the client has given a sign of life.
func (c *conn) alive() { _ = c.ws.SetReadDeadline(time.Now().Add(c.hub.cfg.PongTimeout)) }
