package wsfeed

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzFrames: whatever bytes follow the handshake, the server neither panics nor keeps the connection once they have ended.
func FuzzFrames(f *testing.F) {
	const masked, mask = 0x80, "\x01\x02\x03\x04"
	for _, seed := range []string{
		"", "\x89\x80" + mask, "\x8a\x81" + mask + "x", "\x81\x8f" + mask + string(maskedText(`{"type":"ping"}`)), "\x82\x80" + mask, "\x88\x82" + mask + "\x02\xea",
		"\x89\x00", "\x89\xfe\x00\x7e" + mask, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + mask, "\x01\x81" + mask + "a\x80\x81" + mask + "b",
		"\x01\x81" + mask + "a\x89\x80" + mask + "\x80\x81" + mask + "b", "\x09\x80" + mask, "\xf1\x80" + mask, "\x83\x80" + mask, "\x80\x80" + mask, "\x88\x81" + mask + "x",
		"\x81\x81" + mask, string([]byte{0x81, masked | 126, 0xff, 0xff}) + mask,
	} {
		f.Add([]byte(seed))
	}
	b := unserved(func(c *Config) { c.DrainTimeout, c.MessagesPerSecond = 50*time.Millisecond, -1 })
	server := httptest.NewServer(b.hub.Handler())
	f.Cleanup(func() {
		b.hub.Shutdown(context.Background())
		server.Close()
	})
	f.Fuzz(func(t *testing.T, frames []byte) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = fmt.Fprintf(conn, "GET /v1/feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", base64.StdEncoding.EncodeToString(make([]byte, 16)))
		require.NoError(t, err)
		var first [1]byte
		_, err = io.ReadFull(conn, first[:]) // what comes before the answer is refused
		require.NoError(t, err)
		_, _ = conn.Write(frames)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, err = io.Copy(io.Discard, conn)
		network := net.Error(nil)
		require.False(t, errors.As(err, &network) && network.Timeout(), "the connection is kept")
	})
}

// maskedText is a text as a client with that mask sends it.
func maskedText(text string) []byte {
	b := []byte(text)
	for i := range b {
		b[i] ^= byte(i%4 + 1)
	}
	return b
}

// FuzzURL: whatever the address of one activity holds, and the Last-Event-ID with it, the answer is a refusal that says
// why, or that there is no such activity.
func FuzzURL(f *testing.F) {
	for _, seed := range [][3]string{
		{anID, "after_seq=3", ""}, {anID, "", "7"}, {anID, "after_seq=1", "2147483648"}, {anID, "after_seq=-1", ""}, {"x", "", ""}, {anID, "after_seq=1e3", "\x00"},
		{"{" + anID + "}", "", ""}, {anID, "%zz", "９"}, {anID, "after_seq=1&after_seq=2", " 1"}, {"urn:uuid:" + anID, "after_seq=", "9223372036854775808"},
		{".", strings.Repeat("q", 1000), ""}, // net/http redirects, and repeats the query
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	b := unserved(func(c *Config) {
		c.Problem = func(w http.ResponseWriter, status int, _, detail string) { http.Error(w, detail, status) }
	})
	handler := b.hub.Handler()
	f.Cleanup(func() { b.hub.Shutdown(context.Background()) })
	f.Fuzz(func(t *testing.T, id, query, last string) {
		u := &url.URL{Path: "/v1/feed/" + id, RawQuery: query}
		r := &http.Request{Method: http.MethodGet, URL: u, Host: "x", Header: http.Header{"Last-Event-Id": {last}, "Accept": {"text/event-stream"}}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(t.Context()))
		require.Contains(t, []int{301, 307, 404, 422, 426}, w.Code, "%q %q %q: %s", id, query, last, w.Body)
		require.LessOrEqual(t, w.Body.Len(), 400+10*len(id+query))
	})
}
