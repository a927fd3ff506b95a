package wsfeed

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// patientConn measures the write timeout from the last byte the other side took, not from the start of a write: who
// is slow stays, who takes nothing at all goes. The deadlines gorilla sets for data frames are the write's whole
// time and are ignored; it sets none for them unless asked.
//
// What was taken counts as a sign of life, too: a ping waits behind all that a slow client has yet to take, and the
// pong with it.
type patientConn struct {
	net.Conn
	timeout time.Duration
	silence time.Duration // how long after a sign of life the read deadline counts
	taken   atomic.Int64  // when a write that had to wait for room went on, in Unix nanoseconds
	// refused says that a write timed out before its first byte. gorilla hides which error a write ended with.
	refused bool
}

// What takes waitedTime to write, and is no trifle that a busy machine was slow to hand on, had to wait for room.
const (
	waitedBytes = 4 << 10
	waitedTime  = 10 * time.Millisecond
)

func (p *patientConn) Read(b []byte) (int, error) {
	for {
		n, err := p.Conn.Read(b)
		until := time.Unix(0, p.taken.Load()).Add(p.silence)
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until) {
			return n, err
		}
		_ = p.Conn.SetReadDeadline(until)
	}
}

func (p *patientConn) Write(b []byte) (int, error) {
	done := 0
	for {
		if err := p.Conn.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
			return done, err
		}
		began := time.Now()
		n, err := p.Conn.Write(b[done:])
		done += n
		late := n > 0 && errors.Is(err, os.ErrDeadlineExceeded)
		if late || n >= waitedBytes && time.Since(began) >= waitedTime {
			p.taken.Store(time.Now().UnixNano())
		}
		if late {
			continue
		}
		p.refused = errors.Is(err, os.ErrDeadlineExceeded) && done == 0
		return done, err
	}
}

// SetWriteDeadline leaves the measuring to Write.
func (p *patientConn) SetWriteDeadline(time.Time) error { return nil }

// lastWord writes a close frame to a connection that refused a frame, past gorilla, which writes nothing after an
// error. Between frames only: in the middle of one it would be taken for its payload.
func (p *patientConn) lastWord(code uint16, reason string) {
	if !p.refused {
		return
	}
	frame := []byte{0x88, byte(2 + len(reason))} // FIN and the close opcode; the length of code and reason
	frame = append(binary.BigEndian.AppendUint16(frame, code), reason...)
	_ = p.Conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = p.Conn.Write(frame)
}

// CloseWrite lets linger half-close the connection.
func (p *patientConn) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// isProtocolError tells a broken rule, which gorilla has answered with a close frame, from a broken connection.
func isProtocolError(err error) bool {
	var closed *websocket.CloseError
	var broken net.Error
	return err != nil && !errors.As(err, &closed) && !errors.As(err, &broken) &&
		!errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// lingerTime is long enough for a close frame to arrive and be answered.
const lingerTime = time.Second

// linger says that nothing follows and reads away what the client still sends: closing with unread data would reset
// the connection, and a reset may overtake the close frame.
func linger(c net.Conn) {
	if p, ok := c.(*patientConn); ok {
		_ = p.CloseWrite()
		c = p.Conn // what is taken meanwhile does not prolong this
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(c, 16<<20))
}
