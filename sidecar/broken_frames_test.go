package sidecar_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

const kib64 = 64 << 10

// TestBrokenFrames: what is no message of the protocol ends the socket, with a close code that the client sees.
func TestBrokenFrames(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ping := func(size int) string {
		return `{"type":"ping"` + strings.Repeat(" ", size-len(`{"type":"ping"}`)) + `}`
	}
	// raw writes a frame by hand: the first byte, a length, a mask of zeros, a payload.
	raw := func(so *socket, first byte, length uint64, payload string) {
		frame := binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length)
		frame = append(append(frame, 0, 0, 0, 0), payload...)
		_, _ = so.ws.NetConn().Write(frame) // the server may have had enough before the end
	}
	for name, c := range map[string]struct {
		send func(t *testing.T, so *socket)
		code int
	}{
		"Binary": {func(t *testing.T, so *socket) {
			require.NoError(t, so.ws.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`)))
		}, 1003},
		"EmptyBinary": {func(t *testing.T, so *socket) {
			require.NoError(t, so.ws.WriteMessage(websocket.BinaryMessage, nil))
		}, 1003},
		"OneByteTooBig":   {func(t *testing.T, so *socket) { so.send(t, ping(kib64+1)) }, 1009},
		"MuchTooBig":      {func(_ *testing.T, so *socket) { _ = so.ws.WriteMessage(websocket.TextMessage, make([]byte, 20<<20)) }, 1009},
		"TooBigAndBinary": {func(_ *testing.T, so *socket) { _ = so.ws.WriteMessage(websocket.BinaryMessage, make([]byte, 1<<20)) }, 1003},
		"TooBigInFragments": {func(t *testing.T, so *socket) {
			w, err := so.ws.NextWriter(websocket.TextMessage)
			require.NoError(t, err)
			for range 100 {
				_, err = w.Write(bytes.Repeat([]byte(" "), 10_000))
				require.NoError(t, err)
			}
			require.NoError(t, w.Close())
		}, 1009},
		"ALengthBeyondAllBounds": {func(_ *testing.T, so *socket) { raw(so, 0x81, 1<<63+5, "x") }, 1009},
		"AHugeLength":            {func(_ *testing.T, so *socket) { raw(so, 0x81, 1<<40, strings.Repeat("x", 1<<20)) }, 1009},
		"NoUTF8":                 {func(t *testing.T, so *socket) { so.send(t, "{\"type\":\"ping\",\"sub\":\"\xc3\x28\"}") }, 1007},
		"ReservedBits":           {func(_ *testing.T, so *socket) { raw(so, 0xf1, 2, "{}") }, 1002},
		"UnknownOpcode":          {func(_ *testing.T, so *socket) { raw(so, 0x83, 2, "{}") }, 1002},
		"AContinuationOfNothing": {func(_ *testing.T, so *socket) { raw(so, 0x80, 2, "{}") }, 1002},
		"NotMasked": {func(t *testing.T, so *socket) {
			_, err := so.ws.NetConn().Write([]byte{0x81, 2, '{', '}'})
			require.NoError(t, err)
		}, 1002},
		"ACloseFrameOfTheirOwn": {func(t *testing.T, so *socket) {
			require.NoError(t, so.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "bye")))
		}, 4000}, // it is answered with the same code
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			so := s.open(t)
			id := s.create(t, "two")
			so.sub(t, "a", id, 0) // so that there is something else to send at the time
			c.send(t, so)
			require.Equal(t, c.code, so.closed(t))
		})
	}

	t.Run("ExactlyAsBigAsMayBe", func(t *testing.T) {
		t.Parallel()
		so := s.open(t)
		so.send(t, ping(kib64))
		require.Equal(t, "pong", so.next(t).Type)
		w, err := so.ws.NextWriter(websocket.TextMessage)
		require.NoError(t, err)
		text := ping(kib64)
		for _, part := range []string{text[:1], text[1:2000], "", text[2000:]} {
			_, err := w.Write([]byte(part))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		require.Equal(t, "pong", so.next(t).Type)
	})

	t.Run("PingsOfWebSocketItself", func(t *testing.T) {
		t.Parallel()
		so := s.open(t)
		pong := make(chan string, 1)
		so.ws.SetPongHandler(func(data string) error { pong <- data; return nil })
		require.NoError(t, so.ws.WriteMessage(websocket.PingMessage, []byte("are you there")))
		so.alive(t)
		require.Equal(t, "are you there", <-pong)
	})
}
