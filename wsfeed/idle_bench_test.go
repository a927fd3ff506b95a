package wsfeed

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkIdleSocket weighs sockets that watch an idle activity: heap and stacks, by the number
// of sockets. The clients are bare connections in the same process, which cost it a few hundred bytes each.
func BenchmarkIdleSocket(b *testing.B) {
	const sockets = 5000
	src := newScript()
	hub := New(src, Config{})
	server := httptest.NewServer(hub.Handler())
	defer server.Close()
	defer hub.Shutdown(context.Background())
	id := src.create(3)
	for b.Loop() {
		before := inUse()
		conns := make([]net.Conn, sockets)
		for i := range conns {
			conns[i] = dialBare(b, server, "/v1/feed/"+id.String()+"?after_seq=3")
		}
		for hub.Stats().WebSocket.Frames < sockets {
			runtime.Gosched()
		}
		b.ReportMetric(float64(inUse()-before)/sockets, "B/socket")
		b.ReportMetric(float64(runtime.NumGoroutine())/sockets, "goroutines/socket")
		for _, c := range conns {
			require.NoError(b, c.Close())
		}
		for hub.Stats().Sockets > 0 {
			runtime.Gosched()
		}
	}
}

// inUse is the memory of heap and stacks that is in use.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// dialBare opens a WebSocket and reads the answer to the handshake, no more.
func dialBare(b *testing.B, server *httptest.Server, path string) net.Conn {
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(b, err)
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
	require.NoError(b, err)
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
	require.NoError(b, err)
	_ = resp.Body.Close()
	require.Equal(b, http.StatusSwitchingProtocols, resp.StatusCode)
	return c
}
