package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// The names of the limits that are noted here.
const (
	LimitConnections   = "connections"
	LimitHeaderTimeout = "header_timeout"
)

// LimitListener counts the open connections and rejects those above the limit at once. Without it, the kernel would let them
// wait for ever once the file descriptors are used up.
type LimitListener struct {
	net.Listener
	most   int // negative for no limit
	secret bool
	note   func(limit string)
	open   *atomic.Int64
	places chan struct{} // one slot for each connection that is being rejected
}

// NewListener returns l with at most so many connections open at once (negative for no limit), which it counts in open. secret is
// whether TLS goes on top: a rejected connection is then closed without an answer. note counts rejections by the limit's name.
func NewListener(l net.Listener, open *atomic.Int64, most int, secret bool, note func(string)) *LimitListener {
	return &LimitListener{Listener: l, open: open, most: most, secret: secret, note: note, places: make(chan struct{}, placesToRefuse(most))}
}

// Accept implements net.Listener.
func (l *LimitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.most < 0 || l.open.Load() < int64(l.most) {
			l.open.Add(1)
			if tcp, ok := c.(*net.TCPConn); ok {
				return &countedConn{TCPConn: tcp, left: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
			}
			return c, nil
		}
		l.note(LimitConnections)
		l.reject(c)
	}
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	*net.TCPConn
	left func()
	late atomic.Bool // its last read timed out
}

// Read implements net.Conn.
func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.late.Store(errors.Is(err, os.ErrDeadlineExceeded))
	return n, err
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.left()
	return c.TCPConn.Close()
}

const tooManyConnections = `{"type":"about:blank","title":"Too Many Requests","status":429,"code":"over_limit",` +
	`"detail":"this server has as many connections open as it takes; come back later"}`

// reject answers 429, where an answer is possible before a handshake, and closes the connection. A close with unread data may
// overtake the answer, so for a few connections a goroutine reads until the client has closed.
func (l *LimitListener) reject(c net.Conn) {
	select {
	case l.places <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	go func() {
		defer func() { <-l.places }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if l.secret {
			return
		}
		answer := []string{"HTTP/1.1 429 Too Many Requests", "Content-Type: " + problem.ContentType, "Retry-After: 5", "Connection: close", "", tooManyConnections}
		_, _ = io.WriteString(c, strings.Join(answer, "\r\n"))
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 64<<10))
	}()
}

// HeaderTimeouts counts the connections that net/http closes because a header, or a TLS handshake, did not arrive in time.
// net/http itself reports none.
type HeaderTimeouts struct {
	note func(limit string)

	mu    sync.Mutex
	heads map[net.Conn]*heading
}

// heading records whether a request's header is arriving on a connection. An idle connection has no header due.
type heading struct {
	conn  *countedConn // the underlying connection; nil where it is not TCP
	begun atomic.Bool
}

type headingKey struct{}

// NewHeaderTimeouts returns a HeaderTimeouts that counts with note.
func NewHeaderTimeouts(note func(string)) *HeaderTimeouts {
	return &HeaderTimeouts{note: note, heads: make(map[net.Conn]*heading)}
}

// ConnContext is for http.Server.ConnContext.
func (l *HeaderTimeouts) ConnContext(ctx context.Context, c net.Conn) context.Context {
	h := &heading{conn: countedConnOf(c)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[c] = h
	return context.WithValue(ctx, headingKey{}, h)
}

func countedConnOf(c net.Conn) *countedConn {
	for {
		switch outer := c.(type) {
		case *countedConn:
			return outer
		case interface{ NetConn() net.Conn }:
			c = outer.NetConn()
		default:
			return nil
		}
	}
}

// ConnState is for http.Server.ConnState.
func (l *HeaderTimeouts) ConnState(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heads[c]
	if h == nil {
		return
	}
	switch state {
	case http.StateNew, http.StateActive: // net/http sets these when a header has arrived, or has begun and can no longer complete
		h.begun.Store(true)
	case http.StateIdle:
		h.begun.Store(false)
	case http.StateHijacked, http.StateClosed:
		delete(l.heads, c)
		if state == http.StateClosed && h.begun.Load() && h.conn != nil && h.conn.late.Load() {
			l.note(LimitHeaderTimeout)
		}
	}
}

// HeaderArrived notes that a header has arrived.
func HeaderArrived(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := r.Context().Value(headingKey{}).(*heading); ok {
			h.begun.Store(false)
		}
		next.ServeHTTP(w, r)
	})
}

// ConnOf returns the connection of a request, nil where it is not one of a LimitListener.
func ConnOf(ctx context.Context) io.Closer {
	if h, ok := ctx.Value(headingKey{}).(*heading); ok && h.conn != nil {
		return h.conn
	}
	return nil
}
