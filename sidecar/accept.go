package sidecar

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
)

// doorman is the listener: it counts the connections that are open and turns away those above the limit at once, where
// the kernel would let them wait for ever once the files are used up.
type doorman struct {
	net.Listener
	most   int // negative for no limit
	secret bool
	note   func(limit string)
	open   *atomic.Int64
	places chan struct{} // of connections that are being turned away
}

func newDoorman(l net.Listener, open *atomic.Int64, most int, secret bool, note func(string)) *doorman {
	return &doorman{Listener: l, open: open, most: most, secret: secret, note: note, places: make(chan struct{}, placesToRefuse(most))}
}

// Accept implements net.Listener.
func (d *doorman) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if d.most < 0 || d.open.Load() < int64(d.most) {
			d.open.Add(1)
			if tcp, ok := c.(*net.TCPConn); ok {
				return &guest{TCPConn: tcp, left: sync.OnceFunc(func() { d.open.Add(-1) })}, nil
			}
			return c, nil
		}
		d.note(limitConnections)
		d.turnAway(c)
	}
}

// guest is a connection that is counted until it is closed.
type guest struct {
	*net.TCPConn
	left func()
	late atomic.Bool // its last read was over because the time for it was
}

// Read implements net.Conn.
func (g *guest) Read(b []byte) (int, error) {
	n, err := g.TCPConn.Read(b)
	g.late.Store(errors.Is(err, os.ErrDeadlineExceeded))
	return n, err
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.left()
	return g.TCPConn.Close()
}

const fullHouse = `{"type":"about:blank","title":"Too Many Requests","status":429,"code":"over_limit",` +
	`"detail":"this server has as many connections open as it takes; come back later"}`

// turnAway says why, where that can be said before a handshake, and closes. It does not wait: with unread data a close
// may overtake the answer, so a few are heard out meanwhile.
func (d *doorman) turnAway(c net.Conn) {
	select {
	case d.places <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	go func() {
		defer func() { <-d.places }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if d.secret {
			return
		}
		answer := []string{"HTTP/1.1 429 Too Many Requests", "Content-Type: " + problemType, "Retry-After: 5", "Connection: close", "", fullHouse}
		_, _ = io.WriteString(c, strings.Join(answer, "\r\n"))
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 64<<10))
	}()
}

// lateness counts the connections that net/http closes because a header, or a TLS handshake, did not come in time: it
// says so to nobody.
type lateness struct {
	note func(limit string)

	mu    sync.Mutex
	heads map[net.Conn]*heading
}

// heading is a connection, and whether the header of a request is on its way. One that is idle owes us none.
type heading struct {
	guest *guest // at the bottom of the connection; nil where it is not of TCP
	begun atomic.Bool
}

type headingKey struct{}

func newLateness(note func(string)) *lateness {
	return &lateness{note: note, heads: make(map[net.Conn]*heading)}
}

// connContext is for http.Server.ConnContext.
func (l *lateness) connContext(ctx context.Context, c net.Conn) context.Context {
	h := &heading{guest: guestOf(c)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[c] = h
	return context.WithValue(ctx, headingKey{}, h)
}

func guestOf(c net.Conn) *guest {
	for {
		switch outer := c.(type) {
		case *guest:
			return outer
		case interface{ NetConn() net.Conn }:
			c = outer.NetConn()
		default:
			return nil
		}
	}
}

// connState is for http.Server.ConnState.
func (l *lateness) connState(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heads[c]
	if h == nil {
		return
	}
	switch state {
	case http.StateNew, http.StateActive: // which net/http says when a header has come, or has begun to and will not any more
		h.begun.Store(true)
	case http.StateIdle:
		h.begun.Store(false)
	case http.StateHijacked, http.StateClosed:
		delete(l.heads, c)
		if state == http.StateClosed && h.begun.Load() && h.guest != nil && h.guest.late.Load() {
			l.note(limitHeaderTimeout)
		}
	}
}

// arrived notes that a header has come.
func arrived(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := r.Context().Value(headingKey{}).(*heading); ok {
			h.begun.Store(false)
		}
		next.ServeHTTP(w, r)
	})
}
