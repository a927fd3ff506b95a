package examples_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
)

// losesOneAnswer returns the URL of a proxy to the database. It passes everything on, except for one answer: when a client has
// sent a statement that contains text, and the query written is true, the proxy closes that connection. lost reports whether
// that has happened.
func (b *bench) losesOneAnswer(text, written string) (to string, lost func() bool) {
	b.Helper()
	u, err := url.Parse(b.db.URL)
	require.NoError(b, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := u.Host
	u.Host = listener.Addr().String()
	p := &proxy{bench: b, server: server, text: []byte(text), query: written}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
	return u.String(), p.lost.Load
}

type proxy struct {
	bench  *bench
	server string
	text   []byte
	query  string
	lost   atomic.Bool
}

// pass connects a client with the server, until either ends.
func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var silent atomic.Bool // the proxy must not pass the answer on
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if n > 0 && !silent.Load() {
				_, _ = client.Write(buffer[:n])
			}
			if err != nil {
				_ = client.Close()
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		found := bytes.Contains(buffer[:n], p.text) && p.lost.CompareAndSwap(false, true)
		silent.Store(found)
		if _, writeErr := server.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
		if found && p.written() {
			return
		}
	}
}

// written waits until the query is true. It reports false when that takes more than 20 s.
func (p *proxy) written() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		var found bool
		err := p.bench.pool.QueryRow(ctx, p.query).Scan(&found)
		if err == nil && found {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}
