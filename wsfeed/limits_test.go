package wsfeed

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// refusals counts what Config.Limited is told.
type refusals struct {
	mu sync.Mutex
	of map[string]int
}

func (r *refusals) note(limit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = make(map[string]int)
	}
	r.of[limit]++
}

func (r *refusals) count(limit string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[limit]
}

// attempt is what came of one to open a socket.
type attempt struct {
	ws         *websocket.Conn
	status     int
	retryAfter string
	text       string
}

// try dials as a subject.
func (b *bundle) try(t *testing.T, path, from string) attempt {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(b.url, "http")+path, http.Header{"X-From": {from}})
	require.NotNil(t, resp, "%v", err)
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil {
		t.Cleanup(func() { _ = ws.Close() })
	}
	return attempt{ws, resp.StatusCode, resp.Header.Get("Retry-After"), string(text)}
}

// requireOver checks a refusal: 429, when to come back, and what to do.
func requireOver(t *testing.T, a attempt, says string) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, a.status, a.text)
	seconds, err := strconv.Atoi(a.retryAfter)
	require.NoError(t, err)
	require.True(t, seconds >= 2 && seconds < 10, seconds)
	require.Contains(t, a.text, says)
}

// TestMaxSockets: sockets and event streams share the places, of all and of one address; who leaves makes room.
func TestMaxSockets(t *testing.T) {
	t.Parallel()
	var refused refusals
	b := setup(t, func(c *Config) {
		c.MaxSockets, c.MaxSocketsPerAddress, c.Limited = 4, 2, refused.note
		c.Address = func(r *http.Request) string { return r.Header.Get("X-From") }
	})
	id := b.src.create(1)
	first := b.try(t, "/v1/feed", "a").ws
	request, err := http.NewRequest(http.MethodGet, b.url+"/v1/feed/"+id.String(), nil)
	require.NoError(t, err)
	request.Header = http.Header{"Accept": {"text/event-stream"}, "X-From": {"a"}}
	stream, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, stream.StatusCode)
	for _, path := range []string{"/v1/feed", "/v1/feed/" + id.String()} {
		requireOver(t, b.try(t, path, "a"), "your address has 2 sockets open")
	}
	require.Equal(t, 2, refused.count(LimitSocketsPerAddress))
	// Neither an unknown activity nor no WebSocket at all keeps a place.
	for range 10 {
		require.Equal(t, http.StatusNotFound, b.try(t, "/v1/feed/"+uuid.NewString(), "b").status)
		plain, err := http.Get(b.url + "/v1/feed/" + id.String())
		require.NoError(t, err)
		_ = plain.Body.Close()
		require.Equal(t, http.StatusUpgradeRequired, plain.StatusCode)
	}
	b.try(t, "/v1/feed/"+id.String(), "b")
	b.try(t, "/v1/feed", "")
	requireOver(t, b.try(t, "/v1/feed", "c"), "this server has 4 sockets open")
	require.Equal(t, 1, refused.count(LimitSockets))

	require.NoError(t, first.Close())
	_ = stream.Body.Close()
	for _, from := range []string{"a", "a"} {
		eventually(t, "there is room", func() bool { return b.try(t, "/v1/feed", from).status == http.StatusSwitchingProtocols })
	}
	b.hub.Shutdown(t.Context())
	for _, address := range []string{"a", "a", "b", "b"} {
		_, limit, _ := b.hub.slots.Take("", address)
		require.Empty(t, limit, "a socket that has left keeps a place")
	}
}

// TestMessagesPerSecond: as much as a page that changes needs goes at once; a flood is told why it ends.
func TestMessagesPerSecond(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(ws *websocket.Conn) error{
		"Messages": func(ws *websocket.Conn) error {
			return ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`))
		},
		"Pings": func(ws *websocket.Conn) error { return ws.WriteControl(websocket.PingMessage, nil, time.Time{}) },
		"Pongs": func(ws *websocket.Conn) error { return ws.WriteControl(websocket.PongMessage, nil, time.Time{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused refusals
			b := setup(t, func(c *Config) { c.MessagesPerSecond, c.MaxSubscriptions, c.Limited = 1, 50, refused.note })
			c := b.open(t)
			const atOnce = 10 * 50
			for range atOnce {
				require.NoError(t, send(c.ws))
			}
			c.send(`{"type":"ping"}`)
			for range atOnce {
				if name == "Messages" {
					c.expect("pong", "")
				}
			}
			c.expect("pong", "")
			go func() {
				for range 10_000 {
					if send(c.ws) != nil {
						return
					}
				}
			}()
			require.Equal(t, CloseOverLimit, c.closed())
			require.Equal(t, 1, refused.count(LimitMessages))
		})
	}
}

// TestLimitsOfOneSocket: what is over a bound is refused with what to do, and the socket lives on unless it says 1009.
func TestLimitsOfOneSocket(t *testing.T) {
	t.Parallel()
	var refused refusals
	b := setup(t, func(c *Config) {
		c.MaxSubscriptions, c.ListItems, c.MessageBytes, c.Limited = 2, 60, 1000, refused.note
	})
	c := b.open(t)
	c.send(`{"type":"subscribe","sub":"l","list":{"limit":61}}`)
	m := c.expect("error", "l")
	require.Equal(t, "limit", m.Code)
	require.Contains(t, m.Message, "at most 60 here, got 61")
	for _, sub := range []string{"a", "b"} {
		c.send(`{"type":"subscribe","sub":"` + sub + `","list":{"limit":60}}`)
		c.expect("snapshot", sub)
	}
	c.send(`{"type":"subscribe","sub":"c","list":{}}`)
	m = c.expect("error", "c")
	require.Equal(t, "limit", m.Code)
	require.Contains(t, m.Message, "unsubscribe from some")
	c.send(`{"type":"ping"` + strings.Repeat(" ", 985) + `}`)
	c.expect("pong", "")
	c.send(`{"type":"ping"` + strings.Repeat(" ", 986) + `}`)
	require.Equal(t, websocket.CloseMessageTooBig, c.closed())
	for _, limit := range []string{LimitSubscriptions, LimitListItems, LimitMessageBytes} {
		require.Equal(t, 1, refused.count(limit), limit)
	}
}
