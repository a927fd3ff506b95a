package sidecar_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy stands between two ends of TCP and does to their connections what networks do: it delays, it throttles, and
// it goes silent, without a word to either end.
type proxy struct {
	to    string
	l     net.Listener
	done  chan struct{} // closed with the test
	tasks sync.WaitGroup
	sent  atomic.Int64 // bytes to the address

	mu    sync.Mutex
	conns []*proxied
	delay time.Duration // of every piece, in each direction
	rate  int           // bytes a second and direction; 0 = as fast as it goes
}

// proxied is one connection.
type proxied struct {
	near, far net.Conn
	mu        sync.Mutex
	thawed    chan struct{} // nil while it works; closed when it works again
}

// newProxy starts a proxy before an address. It goes with the test.
func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{to: to, l: l, done: make(chan struct{})}
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		close(p.done)
		_ = l.Close()
		for _, c := range p.all() {
			c.close()
		}
		p.tasks.Wait()
	})
	return p
}

// before starts a proxy before the server of a URL, and returns the URL through it.
func before(t testing.TB, address string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	p = newProxy(t, u.Host)
	u.Host = p.l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		near, err := p.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		c := &proxied{near: near, far: far}
		p.mu.Lock()
		p.conns = append(p.conns, c)
		p.mu.Unlock()
		select {
		case <-p.done:
			c.close()
		default:
		}
		p.tasks.Go(func() { p.pump(c, c.far, c.near) })
		p.tasks.Go(func() { p.pump(c, c.near, c.far) })
	}
}

// pump hands on what one end sends, its end included.
func (p *proxy) pump(c *proxied, to, from net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if !p.mayPass(c, n) {
			return
		}
		if to == c.far {
			p.sent.Add(int64(n))
		}
		if _, failed := to.Write(buf[:n]); failed != nil {
			err = failed
		}
		if errors.Is(err, io.EOF) {
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			return
		} else if err != nil {
			c.close()
			return
		}
	}
}

// mayPass waits until n bytes may go on; false when there is no more to come.
func (p *proxy) mayPass(c *proxied, n int) bool {
	p.mu.Lock()
	wait := p.delay
	if p.rate > 0 {
		wait += time.Duration(n) * time.Second / time.Duration(p.rate)
	}
	p.mu.Unlock()
	select {
	case <-p.done:
		return false
	case <-time.After(wait):
	}
	c.mu.Lock()
	thawed := c.thawed
	c.mu.Unlock()
	if thawed == nil {
		return true
	}
	select {
	case <-p.done:
		return false
	case <-thawed:
		return true
	}
}

// slow delays what passes and limits its bytes a second, from now on.
func (p *proxy) slow(delay time.Duration, rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.rate = delay, rate
}

// freeze has the connections that stand go silent: nothing of them arrives any more, not even that they were closed.
// New ones work. Where ports are given, only the connections that the far end knows by these ports are meant. thaw has
// everything that was held up arrive.
func (p *proxy) freeze(ports ...int) (thaw func()) {
	chosen := make(map[int]bool)
	for _, port := range ports {
		chosen[port] = true
	}
	thawed := make(chan struct{})
	for _, c := range p.all() {
		local, ok := c.far.LocalAddr().(*net.TCPAddr)
		if len(ports) > 0 && (!ok || !chosen[local.Port]) {
			continue
		}
		c.mu.Lock()
		if c.thawed == nil {
			c.thawed = thawed
		}
		c.mu.Unlock()
	}
	return sync.OnceFunc(func() {
		for _, c := range p.all() {
			c.mu.Lock()
			if c.thawed == thawed {
				c.thawed = nil
			}
			c.mu.Unlock()
		}
		close(thawed)
	})
}

func (p *proxy) all() []*proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*proxied(nil), p.conns...)
}

func (c *proxied) close() {
	_ = c.near.Close()
	_ = c.far.Close()
}
