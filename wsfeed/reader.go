package wsfeed

import (
	"io"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
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
