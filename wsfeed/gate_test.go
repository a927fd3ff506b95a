package wsfeed

import (
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// gate is a server's end of a connection that takes nothing while it is shut, as if the client had stopped reading
// and every buffer on the way were full.
type gate struct {
	*net.TCPConn
	mu       sync.Mutex
	deadline time.Time
	shut     chan struct{} // nil while open; closed when it opens
	waiting  int           // writers held up
	holding  int           // bytes of the last write that was
	pass     chan struct{} // lets one write through
	once     bool          // opens by itself after the first write that timed out
	closed   chan struct{}
	close    sync.Once
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	shut, deadline := g.shut, g.deadline
	if shut == nil {
		g.mu.Unlock()
		return g.TCPConn.Write(b)
	}
	g.waiting++
	g.holding = len(b)
	g.mu.Unlock()
	done := sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting--
	})
	defer done()
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case <-shut:
		return g.TCPConn.Write(b)
	case <-g.pass:
		done() // before the frame is visible
		return g.TCPConn.Write(b)
	case <-g.closed:
		return 0, net.ErrClosed
	case <-late.C:
		if g.once {
			g.release()
		}
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
}

func (g *gate) SetWriteDeadline(at time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deadline = at
	return g.TCPConn.SetWriteDeadline(at)
}

func (g *gate) Close() error {
	g.close.Do(func() { close(g.closed) })
	return g.TCPConn.Close()
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

// step lets one held up write through, and returns when it is on its way.
func (g *gate) step() { g.pass <- struct{}{} }

// held is the size of the write that is held up.
func (g *gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.holding
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// blocked waits until a write is held up.
func (g *gate) blocked(t *testing.T) {
	t.Helper()
	eventually(t, "a write is held up", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.waiting > 0
	})
}

// gates is a listener whose connections are gates, in the order they were accepted.
type gates struct {
	net.Listener
	mu  sync.Mutex
	all []*gate
}

func (l *gates) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	g := &gate{TCPConn: tcp, closed: make(chan struct{}), pass: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, g)
	return g, nil
}

func (l *gates) accepted() []*gate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *gates) last() *gate {
	all := l.accepted()
	return all[len(all)-1]
}

// gated is setup with gates between the hub and its clients.
func gated(t *testing.T, tweaks ...func(*Config)) (*bundle, *gates) {
	t.Helper()
	patient := func(c *Config) { c.WriteTimeout, c.PongTimeout = time.Hour, time.Hour } // else a write that a test holds would end
	b := unserved(append([]func(*Config){patient}, tweaks...)...)
	server := httptest.NewUnstartedServer(b.hub.Handler())
	l := &gates{Listener: server.Listener}
	server.Listener = l
	server.Start()
	b.serve(t, server)
	return b, l
}
