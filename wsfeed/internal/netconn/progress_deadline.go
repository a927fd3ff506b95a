package netconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// progressDeadlineConn is a connection whose writes continue while the other side takes bytes. The timeout is measured from
// the last byte taken, not from the start of a write. A slow client stays connected; one that takes nothing does not.
//
// It must be beneath TLS: once a write of crypto/tls has timed out, nothing can be written any more.
type progressDeadlineConn struct {
	net.Conn
	timeout time.Duration
	taken   atomic.Int64 // when a write that had waited for room made progress, in Unix nanoseconds

	mu    sync.Mutex
	until time.Time // the deadline set by SetWriteDeadline, zero for none
}

// NewListener returns l with progress deadlines for its connections: timeout from the last byte taken. The kernel holds at
// most about sendBuffer bytes for each.
func NewListener(l net.Listener, timeout time.Duration, sendBuffer int) net.Listener {
	return &progressDeadlineListener{Listener: l, timeout: timeout, sendBuffer: sendBuffer}
}

type progressDeadlineListener struct {
	net.Listener
	timeout    time.Duration
	sendBuffer int
}

// Accept implements net.Listener.
func (l *progressDeadlineListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	BoundSendBuffer(c, l.sendBuffer)
	return &progressDeadlineConn{Conn: c, timeout: l.timeout}, nil
}

// findProgressDeadline returns the progressDeadlineConn at or beneath c; where there is none it wraps c. Only the TLS of a
// listener that Hub.Listener did not make has none.
func findProgressDeadline(c net.Conn, timeout time.Duration) (top net.Conn, progress *progressDeadlineConn) {
	for below := c; ; {
		if s, ok := below.(*progressDeadlineConn); ok {
			return c, s
		}
		outer, ok := below.(interface{ NetConn() net.Conn })
		if !ok {
			s := &progressDeadlineConn{Conn: c, timeout: timeout}
			return s, s
		}
		below = outer.NetConn()
	}
}

// A write of at least waitedBytes that takes at least waitedTime had to wait for room. A smaller one may be late only because
// the machine is busy.
const (
	waitedBytes = 4 << 10
	waitedTime  = 10 * time.Millisecond
)

// Write implements net.Conn.
func (c *progressDeadlineConn) Write(b []byte) (done int, err error) {
	for {
		began := time.Now()
		end, err := c.extend(began.Add(c.timeout))
		if err != nil {
			return done, err
		}
		n, err := c.Conn.Write(b[done:])
		done += n
		late := n > 0 && errors.Is(err, os.ErrDeadlineExceeded)
		if late || (n >= waitedBytes && time.Since(began) >= waitedTime) {
			c.taken.Store(time.Now().UnixNano())
		}
		if !late || end {
			return done, err
		}
	}
}

// extend lets the next write run until at, or until an earlier deadline of SetWriteDeadline; end reports the second case.
func (c *progressDeadlineConn) extend(at time.Time) (end bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.until.IsZero() && c.until.Before(at) {
		at, end = c.until, true
	}
	return end, c.Conn.SetWriteDeadline(at)
}

// SetWriteDeadline implements net.Conn.
func (c *progressDeadlineConn) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = at
	return c.Conn.SetWriteDeadline(at)
}

// SetDeadline implements net.Conn.
func (c *progressDeadlineConn) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

// NetConn returns the connection beneath.
func (c *progressDeadlineConn) NetConn() net.Conn { return c.Conn }

// CloseWrite lets net/http and linger half-close the connection.
func (c *progressDeadlineConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
