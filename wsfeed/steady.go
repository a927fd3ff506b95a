package wsfeed

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// steadyConn is a connection whose writes go on as long as the other side takes anything: its timeout is measured from
// the last byte that was taken, not from the start of a write. Who is slow stays, who takes nothing at all goes.
//
// Under TLS this has to be beneath: once a write of crypto/tls has timed out nothing can be written any more.
type steadyConn struct {
	net.Conn
	timeout time.Duration
	taken   atomic.Int64 // when a write that had to wait for room went on, in Unix nanoseconds

	mu    sync.Mutex
	until time.Time // the end that others have set, zero for none
}

// Listener makes l's connections steady, and bounds what the kernel holds for each. TLS goes on top of it.
func (h *Hub) Listener(l net.Listener) net.Listener { return &steadyListener{Listener: l, cfg: &h.cfg} }

type steadyListener struct {
	net.Listener
	cfg *Config
}

// Accept implements net.Listener.
func (l *steadyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.cfg.boundSendBuffer(c)
	return &steadyConn{Conn: c, timeout: l.cfg.WriteTimeout}, nil
}

// steadied finds the steady connection at or beneath c; where there is none c becomes one. Only the TLS of a listener
// that is not ours has none.
func steadied(c net.Conn, timeout time.Duration) (top net.Conn, steady *steadyConn) {
	for below := c; ; {
		if s, ok := below.(*steadyConn); ok {
			return c, s
		}
		outer, ok := below.(interface{ NetConn() net.Conn })
		if !ok {
			s := &steadyConn{Conn: c, timeout: timeout}
			return s, s
		}
		below = outer.NetConn()
	}
}

// What takes waitedTime to write, and is no trifle that a busy machine was slow to hand on, had to wait for room.
const (
	waitedBytes = 4 << 10
	waitedTime  = 10 * time.Millisecond
)

// Write implements net.Conn.
func (s *steadyConn) Write(b []byte) (done int, err error) {
	for {
		began := time.Now()
		end, err := s.extend(began.Add(s.timeout))
		if err != nil {
			return done, err
		}
		n, err := s.Conn.Write(b[done:])
		done += n
		late := n > 0 && errors.Is(err, os.ErrDeadlineExceeded)
		if late || (n >= waitedBytes && time.Since(began) >= waitedTime) {
			s.taken.Store(time.Now().UnixNano())
		}
		if !late || end {
			return done, err
		}
	}
}

// extend gives the next write until at, or as long as others have set; then that is the end.
func (s *steadyConn) extend(at time.Time) (end bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.until.IsZero() && s.until.Before(at) {
		at, end = s.until, true
	}
	return end, s.Conn.SetWriteDeadline(at)
}

// SetWriteDeadline implements net.Conn.
func (s *steadyConn) SetWriteDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = at
	return s.Conn.SetWriteDeadline(at)
}

// SetDeadline implements net.Conn.
func (s *steadyConn) SetDeadline(at time.Time) error {
	return errors.Join(s.SetReadDeadline(at), s.SetWriteDeadline(at))
}

// NetConn is what it is made of.
func (s *steadyConn) NetConn() net.Conn { return s.Conn }

// CloseWrite lets net/http and linger half-close the connection.
func (s *steadyConn) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
