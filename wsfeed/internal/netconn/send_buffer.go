package netconn

import "net"

// BoundSendBuffer bounds the bytes that the kernel holds for a connection. Linux reserves twice what it is asked for, for its own
// bookkeeping, so half of the bound is asked for.
func BoundSendBuffer(conn net.Conn, bytes int) {
	for outer, ok := conn.(interface{ NetConn() net.Conn }); ok; outer, ok = conn.(interface{ NetConn() net.Conn }) {
		conn = outer.NetConn() // such as of TLS
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(bytes / 2)
	}
}
