package wsfeed

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// secured is setup on our own listener with TLS on top, the buffers between short. dial opens a socket whose client
// reads no more than once a pace, which is all the time for 0.
func secured(t *testing.T, tweak func(*Config)) (b *bundle, dial func(t *testing.T, pace time.Duration) *browser) {
	t.Helper()
	b = unserved(tweak)
	server := httptest.NewUnstartedServer(b.hub.Handler())
	server.Listener = b.hub.Listener(shortListener{server.Listener})
	server.StartTLS()
	b.serve(t, server)
	certificate := server.Certificate()
	return b, func(t *testing.T, pace time.Duration) *browser {
		d := websocket.Dialer{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots(certificate)}}
		d.NetDial = func(network, address string) (net.Conn, error) {
			c, err := net.Dial(network, address)
			if err != nil || pace == 0 {
				return c, err
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				err = tcp.SetReadBuffer(64 << 10)
			}
			ticks := time.NewTicker(pace)
			t.Cleanup(ticks.Stop)
			return &slowConn{Conn: c, pace: ticks.C}, err
		}
		ws, resp, err := d.Dial("wss"+strings.TrimPrefix(b.url, "https")+"/v1/feed", nil)
		require.NoError(t, err)
		_ = resp.Body.Close()
		t.Cleanup(func() { _ = ws.Close() })
		c := &browser{t: t, ws: ws}
		c.expect("welcome", "")
		return c
	}
}

// TestASlowReaderUnderTLS: who takes a frame for longer than the write timeout, but takes it, gets it whole. Once a
// write of crypto/tls has timed out nothing more can be written, so it must not.
func TestASlowReaderUnderTLS(t *testing.T) {
	t.Parallel()
	const timeout = 12 * time.Second // a busy machine may need some seconds for nothing, and for what the kernel has of the frame
	b, dial := secured(t, func(c *Config) { c.PongTimeout, c.WriteTimeout = timeout, timeout })
	id := b.src.create(0)
	b.src.write(id, 1, "RUNNING", strings.Repeat("x", 6<<20))
	c := dial(t, 50*time.Millisecond)
	c.patience = 2 * patience // its one frame takes 19 s, and longer on a busy machine
	began := time.Now()
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	c.lines("a", 0, 1)
	require.Greater(t, time.Since(began), timeout*5/4, "it was not slow")
	c.send(`{"type":"ping"}`)
	c.expect("pong", "")
}

// TestTakingNothingUnderTLS: it is cut, and no other client is affected.
func TestTakingNothingUnderTLS(t *testing.T) {
	t.Parallel()
	b, dial := secured(t, func(c *Config) { c.WriteTimeout = 500 * time.Millisecond })
	id := b.src.create(0)
	b.src.write(id, 1, "RUNNING", strings.Repeat("x", 16<<20))
	dead, healthy := dial(t, 0), dial(t, 0)
	dead.subscribe("a", id, 0)
	eventually(t, "the socket is closed", func() bool { return b.hub.Stats().Sockets == 1 })
	healthy.send(`{"type":"ping"}`)
	healthy.expect("pong", "")
}

// TestShutdownUnderTLS: sockets are told 1001, and those that take nothing do not hold it up.
func TestShutdownUnderTLS(t *testing.T) {
	t.Parallel()
	b, dial := secured(t, func(c *Config) { c.DrainTimeout = time.Second })
	id := b.src.create(0)
	b.src.write(id, 1, "RUNNING", strings.Repeat("x", 16<<20))
	for range 3 {
		dial(t, 0).subscribe("a", id, 0)
	}
	healthy := dial(t, 0)
	eventually(t, "they are being written to", func() bool { return b.hub.Stats().Subscriptions == 3 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.hub.Shutdown(t.Context())
	}()
	require.Equal(t, websocket.CloseGoingAway, healthy.closed())
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the shutdown hangs")
	}
}

func roots(c *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool
}
