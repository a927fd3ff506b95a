package wsfeed

import (
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// TestPingBehindSlowFrame: a slow client cannot answer a ping it has not come to. That it takes what is
// before the ping is sign of life enough.
func TestPingBehindSlowFrame(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle) {
		id := b.src.create(0)
		b.src.write(id, 1, "RUNNING", strings.Repeat("x", 60_000))
		c := b.pipe(t)
		raw := c.ws.NetConn()
		c.subscribe("a", id, 0)
		began, got := time.Now(), strings.Builder{}
		for buf := make([]byte, 1000); !strings.Contains(got.String(), "xx\"}]}"); { // 1000 bytes every 15 s
			time.Sleep(15 * time.Second) //nolint:forbidigo // the bubble's time
			_ = raw.SetReadDeadline(time.Now().Add(time.Minute))
			n, err := raw.Read(buf)
			require.NoError(t, err, "dropped after %d bytes, %s", got.Len(), time.Since(began))
			got.Write(buf[:n])
		}
		require.Greater(t, time.Since(began), 10*b.hub.cfg.PongTimeout)

		// Now it has come to the end, takes nothing, and says nothing either.
		for n := 1; n > 0; n = b.hub.Stats().Sockets {
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
			require.Less(t, time.Since(began), time.Hour)
		}
	})
}

// TestASlowReaderOfABacklog: the same through the buffers of a real connection, with pings that are answered when the
// client comes to them. It needs several times the pong timeout, and gets every line.
func TestASlowReaderOfABacklog(t *testing.T) {
	t.Parallel()
	const lines, size, pong = 220, 30_000, 7 * time.Second // a busy machine may need some seconds for nothing
	b := unserved(func(c *Config) { c.PongTimeout, c.WriteTimeout = pong, pong })
	server := httptest.NewUnstartedServer(b.hub.Handler())
	server.Listener = shortListener{server.Listener}
	server.Start()
	b.serve(t, server)
	id := b.src.create(0)
	b.src.write(id, lines, "RUNNING", strings.Repeat("x", size))

	d := websocket.Dialer{ReadBufferSize: 16 << 10, NetDial: func(network, address string) (net.Conn, error) {
		c, err := net.Dial(network, address)
		if err != nil {
			return nil, err
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(64 << 10)
		}
		pace := time.NewTicker(50 * time.Millisecond)
		t.Cleanup(pace.Stop)
		return &slowConn{Conn: c, pace: pace.C}, err
	}}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(b.url, "http")+"/v1/feed", nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	defer ws.Close()
	c := &browser{t: t, ws: ws}
	c.expect("welcome", "")
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	began := time.Now()
	c.lines("a", 0, lines)
	require.Greater(t, time.Since(began), 2*pong, "it was not slow")
	c.send(`{"type":"ping"}`)
	c.expect("pong", "")
}

// slowConn reads 16 KiB at most, and no more often than its pace. crypto/tls would read twice as much at once.
type slowConn struct {
	net.Conn
	pace <-chan time.Time
}

func (p *slowConn) Read(b []byte) (int, error) {
	<-p.pace
	return p.Conn.Read(b[:min(len(b), 16<<10)])
}

// shortListener keeps little on the way to a client: on loopback the kernel would take megabytes for it.
type shortListener struct{ net.Listener }

func (l shortListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		err = tcp.SetWriteBuffer(64 << 10)
	}
	return c, err
}
