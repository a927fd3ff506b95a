package wsfeed

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// inBubble runs a test of time: over a pipe instead of a network, which a bubble cannot wait for. A pipe has no
// buffer, so what the client does not read is not taken.
func inBubble(t *testing.T, test func(t *testing.T, b *bundle)) {
	synctest.Test(t, func(t *testing.T) {
		b := unserved()
		defer b.hub.Shutdown(t.Context())
		test(t, b)
	})
}

// pipe connects to the socket of many subscriptions and takes the welcome.
func (b *bundle) pipe(t *testing.T) *browser {
	server, end := net.Pipe()
	go func() {
		buffered := bufio.NewReadWriter(bufio.NewReader(server), bufio.NewWriter(server))
		if r, err := http.ReadRequest(buffered.Reader); err == nil {
			b.hub.Handler().ServeHTTP(&pipeResponse{conn: server, buffered: buffered}, r)
		}
	}()
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return end, nil }}
	ws, resp, err := d.Dial("ws://pipe/v1/feed", nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	c := &browser{t: t, ws: ws}
	t.Cleanup(func() { _ = ws.Close() })
	require.Equal(t, "welcome", c.next().Type)
	return c
}

type pipeResponse struct {
	http.ResponseWriter
	conn     net.Conn
	buffered *bufio.ReadWriter
}

func (p *pipeResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) { return p.conn, p.buffered, nil }

func TestClientWithPongsStaysOpen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle) {
		c := b.pipe(t)
		_ = c.ws.SetReadDeadline(time.Time{})
		ended := make(chan error)
		go func() {
			_, _, err := c.ws.ReadMessage() // answers pings meanwhile
			ended <- err
		}()
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's time
		sockets := b.hub.Stats().Sockets
		require.Equal(t, 1, sockets)
		require.NoError(t, c.ws.Close())
		require.Error(t, <-ended)
	})
}

func TestClientWithoutPongsIsClosed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle) {
		c := b.pipe(t)
		pings, began := 0, time.Now()
		c.ws.SetPingHandler(func(string) error { pings++; return nil })
		_ = c.ws.SetReadDeadline(time.Time{})
		_, _, err := c.ws.ReadMessage()
		require.Error(t, err)
		require.GreaterOrEqual(t, pings, 2)
		require.Equal(t, b.hub.cfg.PongTimeout, time.Since(began))
	})
}

func TestMessagesCountAsSignOfLife(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle) {
		c := b.pipe(t)
		c.ws.SetPingHandler(func(string) error { return nil })
		for range 100 {
			time.Sleep(15 * time.Second) //nolint:forbidigo // the bubble's time
			c.send(`{"type":"ping"}`)
			c.expect("pong", "")
		}
	})
}

func TestTheWriteTimeout(t *testing.T) {
	t.Parallel()

	t.Run("OfAClientThatTakesNothing", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, b *bundle) {
			c := b.pipe(t)
			began := time.Now()
			c.send(`{"type":"ping"}`)
			for n := 1; n > 0; n = b.hub.Stats().Sockets {
				time.Sleep(time.Second / 2) //nolint:forbidigo // the bubble's time
			}
			require.InDelta(t, b.hub.cfg.WriteTimeout.Seconds(), time.Since(began).Seconds(), 1)
		})
	})

	t.Run("OfAClientThatTakesALittle", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, b *bundle) {
			id := b.src.create(50)
			c := b.pipe(t)
			c.subscribe("a", id, 0)
			raw, taken := c.ws.NetConn(), 0
			for buf := make([]byte, 100); taken < 2000; { // 100 bytes every 15 s, 5 minutes in all
				time.Sleep(15 * time.Second) //nolint:forbidigo // the bubble's time
				_ = raw.SetReadDeadline(time.Now().Add(time.Minute))
				n, err := raw.Read(buf)
				require.NoError(t, err, "dropped after %d bytes", taken)
				taken += n
				require.NoError(t, c.ws.WriteMessage(websocket.PongMessage, nil))
			}
		})
	})
}

func TestCloseFrameWithoutAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle) {
		c := b.pipe(t)
		c.ws.SetCloseHandler(func(int, string) error { return nil })
		began := time.Now()
		require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, nil))
		require.Equal(t, websocket.CloseUnsupportedData, c.closed())
		for n := 1; n > 0; n = b.hub.Stats().Sockets {
			time.Sleep(time.Second / 2) //nolint:forbidigo // the bubble's time
		}
		require.InDelta(t, b.hub.cfg.DrainTimeout.Seconds(), time.Since(began).Seconds(), 1)
	})
}
