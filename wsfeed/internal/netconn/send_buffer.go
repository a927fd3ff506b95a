package netconn

import "net"

// BoundSendBuffer bounds the bytes that the kernel holds for a connection. Linux doubles the requested size for its own
// bookkeeping, so half of the bound is requested.
func BoundSendBuffer(conn net.Conn, bytes int) {
	for outer, ok := conn.(interface{ NetConn() net.Conn }); ok; outer, ok = conn.(interface{ NetConn() net.Conn }) {
		conn = outer.NetConn() // TLS, for example
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(bytes / 2)
	}
}
