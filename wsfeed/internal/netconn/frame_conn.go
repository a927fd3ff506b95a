package netconn

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// FrameConn writes whole frames to a WebSocket, one after the other. It has two users: gorilla, which writes control frames,
// and the connection's writer, which writes encoded data frames (WriteFrame). A progressDeadlineConn waits for a slow client:
// it is the connection itself or, with TLS between, lies beneath it.
//
// Bytes that the client takes count as a sign of life, because a ping and its pong wait behind all bytes that a slow client
// has not taken yet.
type FrameConn struct {
	net.Conn
	progress *progressDeadlineConn
	silence  time.Duration // how long after a sign of life the read deadline counts
	turn     chan struct{} // full while a frame is being written
	until    time.Time     // when gorilla gives up on the control frame it is about to write

	// Guarded by turn.
	err     error // nothing is written after an error, or after a close frame
	refused bool  // a frame timed out before its first byte
}

// NewFrameConn returns a FrameConn on c. The client may be silent for the time silence after a sign of life; a write ends
// when the client takes nothing for writeTimeout.
func NewFrameConn(c net.Conn, silence, writeTimeout time.Duration) *FrameConn {
	p := &FrameConn{silence: silence, turn: make(chan struct{}, 1)}
	p.Conn, p.progress = findProgressDeadline(c, writeTimeout)
	return p
}

func (p *FrameConn) Read(b []byte) (int, error) {
	for {
		n, err := p.Conn.Read(b)
		until := time.Unix(0, p.progress.taken.Load()).Add(p.silence)
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until) {
			return n, err
		}
		_ = p.SetReadDeadline(until)
	}
}

// AwaitReadable returns when there is something to read, or when nothing will come. It returns at once where that cannot be
// known, as under TLS, which holds back bytes that it has read from the network.
func (p *FrameConn) AwaitReadable() {
	if p.Conn != net.Conn(p.progress) {
		return
	}
	if c, ok := p.progress.Conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Read(readable) // the next read returns the error
		}
	}
}

// closeFrame is the first byte of a close frame, which is the last frame of a connection.
const closeFrame = 0x80 | websocket.CloseMessage

// Write writes a control frame, or the answer to the handshake, for gorilla. A control frame that gets no turn in time is
// dropped without an error: after an error, gorilla would write no other frame.
func (p *FrameConn) Write(b []byte) (int, error) {
	select {
	case p.turn <- struct{}{}:
	default:
		var late <-chan time.Time
		if !p.until.IsZero() {
			timer := time.NewTimer(time.Until(p.until))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case p.turn <- struct{}{}:
		case <-late:
			return len(b), nil
		}
	}
	defer func() { <-p.turn }()
	n, err := p.write(b)
	if err == nil && b[0] == closeFrame {
		p.err = websocket.ErrCloseSent
	}
	return n, err
}

// WriteFrame writes a data frame with its head.
func (p *FrameConn) WriteFrame(wire []byte) error {
	p.turn <- struct{}{}
	_, err := p.write(wire)
	<-p.turn
	return err
}

func (p *FrameConn) write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.Conn.Write(b)
	// Under TLS it is unknown how much of the frame was written: crypto/tls writes nothing more after a timeout.
	p.refused = n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && p.Conn == net.Conn(p.progress)
	p.err = err
	return n, err
}

// SetWriteDeadline limits how long gorilla's next control frame waits for its turn. It does not limit the write itself.
func (p *FrameConn) SetWriteDeadline(at time.Time) error {
	p.until = at
	return nil
}

// LastWord writes a close frame to a connection that refused a frame. It writes only between frames: in the middle of a
// frame, the close frame would count as payload.
func (p *FrameConn) LastWord(code uint16, reason string) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if !p.refused {
		return
	}
	frame := []byte{closeFrame, byte(2 + len(reason))}
	frame = append(binary.BigEndian.AppendUint16(frame, code), reason...)
	_ = p.Conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = p.Conn.Write(frame)
}

// Cut closes the connection without a goodbye; TLS would send one, and wait for room to do so.
func (p *FrameConn) Cut() error { return p.progress.NetConn().Close() }

// CloseWrite lets Linger half-close the connection.
func (p *FrameConn) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// IsProtocolError tells a protocol error, which gorilla has answered with a close frame, from a broken connection.
func IsProtocolError(err error) bool {
	var closed *websocket.CloseError
	var broken net.Error
	return err != nil && !errors.As(err, &closed) && !errors.As(err, &broken) &&
		!errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// lingerTime is long enough for a close frame to arrive and be answered.
const lingerTime = time.Second

// Linger half-closes the connection and discards the bytes that the client still sends. Closing with unread data would reset
// the connection, and a reset may overtake the close frame.
func Linger(p *FrameConn) {
	_ = p.CloseWrite()
	_ = p.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(p, 16<<20))
}
