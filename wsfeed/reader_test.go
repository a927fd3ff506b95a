package wsfeed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// masked is a short frame as a client sends it.
func masked(kind byte, payload string) []byte {
	mask := []byte{1, 2, 3, 4}
	frame := append([]byte{0x80 | kind, 0x80 | byte(len(payload))}, mask...)
	for i := range len(payload) {
		frame = append(frame, payload[i]^mask[i%4])
	}
	return frame
}

// TestControlFramesBetweenMessages: a ping is answered and a pong does no harm, however they are cut into packets.
func TestControlFramesBetweenMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	longest := strings.Repeat("x", 125)
	text := masked(websocket.TextMessage, `{"type":"ping"}`)
	for name, parts := range map[string][][]byte{
		"Alone":            {masked(websocket.PingMessage, "hello"), text},
		"InOnePacket":      {slices.Concat(masked(websocket.PongMessage, ""), masked(websocket.PingMessage, "hello"), text)},
		"WithHalfAMessage": {slices.Concat(masked(websocket.PingMessage, "hello"), text[:3]), text[3:]},
		"ByteByByte":       slices.Collect(slices.Chunk(slices.Concat(masked(websocket.PingMessage, "hello"), text), 1)),
		"AsLongAsMayBe":    {slices.Concat(masked(websocket.PongMessage, longest), masked(websocket.PingMessage, "hello"), text)},
		"AmidAMessage": {slices.Concat([]byte{websocket.TextMessage}, text[1:6], text[6:], masked(websocket.PingMessage, "hello"),
			masked(websocket.PongMessage, ""), []byte{0x80, 0x80, 0, 0, 0, 0})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := b.open(t)
			pongs := make(chan string, 2)
			c.ws.SetPongHandler(func(payload string) error { pongs <- payload; return nil })
			for _, part := range parts {
				_, err := c.ws.NetConn().Write(part)
				require.NoError(t, err)
			}
			c.expect("pong", "")
			c.send(`{"type":"ping"}`) // and it goes on
			c.expect("pong", "")
			require.Equal(t, "hello", <-pongs)
			require.Empty(t, pongs)
		})
	}
}

func TestControlFramesThatBreakTheRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, frame := range map[string][]byte{
		"NotMasked":   {0x80 | websocket.PingMessage, 0},
		"NotFinal":    {websocket.PingMessage, 0x80, 0, 0, 0, 0},
		"TooLong":     {0x80 | websocket.PingMessage, 0x80 | 126, 0, 126, 0, 0, 0, 0},
		"ReservedBit": {0xc0 | websocket.PongMessage, 0x80, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := b.open(t)
			_, err := c.ws.NetConn().Write(frame)
			require.NoError(t, err)
			require.Equal(t, websocket.CloseProtocolError, c.closed())
		})
	}
}

// TestMessageThatLooksLikePings: what follows in a message that was too big to be read is not taken for frames.
func TestMessageThatLooksLikePings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.open(t)
	c.ws.SetPongHandler(func(string) error { return errors.New("a pong") })
	pings := bytes.Repeat([]byte{0x80 | websocket.PingMessage}, 1<<20) // with a payload of nine, wherever one begins
	head := binary.BigEndian.AppendUint64([]byte{0x80 | websocket.BinaryMessage, 0x80 | 127}, uint64(len(pings)))
	_, err := c.ws.NetConn().Write(slices.Concat(head, make([]byte, 4), pings))
	require.NoError(t, err)
	require.Equal(t, websocket.CloseUnsupportedData, c.closed())
}

// TestIdleSocketsUseSmallStacks: whatever it has read, an idle socket waits on a stack that has not grown.
//
// It counts goroutines, so it does not run beside other tests.
func TestIdleSocketsUseSmallStacks(t *testing.T) { //nolint:paralleltest // see above
	b := setup(t)
	const sockets = 10
	for range sockets {
		c := b.open(t)
		c.subscribe("a", b.src.create(1), 1)
		c.expect("snapshot", "a")
		_, err := c.ws.NetConn().Write(slices.Concat(masked(websocket.PingMessage, ""), masked(websocket.PongMessage, "x")))
		require.NoError(t, err)
		pong := make([]byte, 2)
		_, err = io.ReadFull(c.ws.NetConn(), pong)
		require.NoError(t, err)
		require.Equal(t, []byte{0x80 | websocket.PongMessage, 0}, pong)
	}
	stacks := make([]byte, 1<<20)
	eventually(t, "all of them wait", func() bool {
		got := stacks[:runtime.Stack(stacks, true)]
		return bytes.Count(got, []byte("AwaitReadable")) == sockets && !bytes.Contains(got, []byte("(*conn).read("))
	})
	for _, in := range []time.Duration{0, time.Millisecond} {
		theirs := b.conn()
		require.NoError(t, theirs.out.SetReadDeadline(time.Now().Add(in)))
		eventually(t, "a deadline ends the rest", func() bool {
			b.hub.mu.Lock()
			defer b.hub.mu.Unlock()
			_, open := b.hub.conns[theirs]
			return !open
		})
	}
}
