package wsfeed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

const anID = "6f2c1d1e-0b7a-4f52-9a53-3e8f0c1b2a3d"

// patience bounds every wait for something that must happen; it is not waited out when it does.
const patience = time.Minute

// bundle is a hub that serves a script.
type bundle struct {
	src *script
	hub *Hub
	url string
}

func setup(t *testing.T, tweaks ...func(*Config)) *bundle {
	t.Helper()
	b := unserved(tweaks...)
	b.serve(t, httptest.NewServer(b.hub.Handler()))
	return b
}

func unserved(tweaks ...func(*Config)) *bundle {
	var cfg Config
	for _, tweak := range tweaks {
		tweak(&cfg)
	}
	b := &bundle{src: newScript()}
	b.hub = New(b.src, cfg)
	return b
}

// newHub is setup without a server.
func newHub(t *testing.T, tweaks ...func(*Config)) (*Hub, *script) {
	b := unserved(tweaks...)
	t.Cleanup(func() { b.hub.Shutdown(context.Background()) })
	return b.hub, b.src
}

// sinkFunc is a subscriber that is called.
type sinkFunc func()

func (f sinkFunc) wake() { f() }

func (sinkFunc) behind(bool) {}

func (sinkFunc) feedScope() *feedScope { return nil }

func (sinkFunc) socket() any { return nil }

func (sinkFunc) holds(int) bool { return true }

func (sinkFunc) cut() {}

// noSink is a subscriber that looks for itself.
type noSink struct{}

func (noSink) wake() {}

func (noSink) behind(bool) {}

func (noSink) feedScope() *feedScope { return nil }

func (noSink) socket() any { return nil }

func (noSink) holds(int) bool { return true }

func (noSink) cut() {}

func (b *bundle) serve(t *testing.T, server *httptest.Server) {
	b.url = server.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // a test that wants a slow end has had it by now
		b.hub.Shutdown(ctx)
		server.Close()
	})
}

// publish writes n lines and has the tail hand them on.
func (b *bundle) publish(id uuid.UUID, n int) { b.hub.Publish(id, b.src.append(id, n)) }

// message is any frame of the server.
type message struct {
	Type     string          `json:"type"`
	Sub      string          `json:"sub"`
	Activity json.RawMessage `json:"activity"`
	Logs     []scriptedLine  `json:"logs"`
	Status   string          `json:"status"`
	Stale    bool            `json:"stale"`
	LastSeq  int             `json:"last_seq"`
	AfterSeq int             `json:"after_seq"`
	NextSeq  int             `json:"next_seq"`
	Reason   string          `json:"reason"`
	Code     string          `json:"code"`
	Message  string          `json:"message"`
	Items    []testItem      `json:"items"`
	Removed  []uuid.UUID     `json:"removed"`
	Counts   map[string]int  `json:"counts"`
	raw      string
}

func decoded(data []byte) (message, error) {
	m := message{raw: string(data)}
	return m, json.Unmarshal(data, &m)
}

// browser is the other end of a socket.
type browser struct {
	t        *testing.T
	ws       *websocket.Conn
	patience time.Duration // for one frame; 0 is the usual
}

func (b *bundle) dial(t *testing.T, path string, with ...http.Header) *browser {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{Protocol}, HandshakeTimeout: patience}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(b.url, "http")+path, append(with, http.Header{})[0])
	require.NoError(t, err)
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &browser{t: t, ws: ws}
}

// open dials the socket of many subscriptions and takes the welcome.
func (b *bundle) open(t *testing.T) *browser {
	t.Helper()
	c := b.dial(t, "/v1/feed")
	require.Equal(t, "welcome", c.next().Type)
	return c
}

func (c *browser) send(text string) {
	c.t.Helper()
	require.NoError(c.t, c.ws.WriteMessage(websocket.TextMessage, []byte(text)))
}

func (c *browser) subscribe(sub string, id uuid.UUID, afterSeq int) {
	c.t.Helper()
	b, _ := json.Marshal(map[string]any{"type": "subscribe", "sub": sub, "agent_id": id, "after_seq": afterSeq})
	c.send(string(b))
}

func (c *browser) next() message {
	c.t.Helper()
	m, err := c.read()
	require.NoError(c.t, err)
	return m
}

func (c *browser) read() (message, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(cmp.Or(c.patience, patience)))
	_, data, err := c.ws.ReadMessage()
	if err != nil {
		return message{}, err
	}
	return decoded(data)
}

// expect reads a frame of a type.
func (c *browser) expect(kind, sub string) message {
	c.t.Helper()
	m := c.next()
	require.Equal(c.t, kind, m.Type, m.raw)
	require.Equal(c.t, sub, m.Sub, m.raw)
	return m
}

// lines reads frames until n lines after seq have come, in order and nothing else among them.
func (c *browser) lines(sub string, after, n int) {
	c.t.Helper()
	for end := after + n; after < end; {
		for _, l := range c.expect("logs", sub).Logs {
			after++
			require.Equal(c.t, after, l.Seq)
		}
		require.LessOrEqual(c.t, after, end)
	}
}

// closed reads until the socket is closed and returns the code. A reset, which is what a client sees where the server had
// not read all, is an abnormal closure.
func (c *browser) closed() int {
	c.t.Helper()
	for {
		_ = c.ws.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := c.ws.ReadMessage(); err != nil {
			if errors.Is(err, syscall.ECONNRESET) {
				return websocket.CloseAbnormalClosure
			}
			var closed *websocket.CloseError
			require.ErrorAs(c.t, err, &closed)
			return closed.Code
		}
	}
}

// eventually waits for a state that no signal announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 2*time.Millisecond, what)
}

// String is the frame in a word: its type and seqs.
func (m message) String() string {
	switch m.Type {
	case "logs":
		first, last := m.Logs[0].Seq, m.Logs[len(m.Logs)-1].Seq
		if first == last {
			return fmt.Sprintf("logs:%d", first)
		}
		return fmt.Sprintf("logs:%d-%d", first, last)
	case "gap":
		return fmt.Sprintf("gap:%s@%d-%d", m.Reason, m.AfterSeq, m.NextSeq)
	case "end":
		return fmt.Sprintf("end:%s@%d", m.Status, m.LastSeq)
	case "state":
		state, _ := decoded(m.Activity)
		return fmt.Sprintf("state:%t@%d", state.Stale, state.LastSeq)
	}
	return m.Type
}

var twoFrames = regexp.MustCompile(`logs:(\d+)(?:-(\d+))? logs:(\d+)(?:-(\d+))?`)

// joined puts frames of lines that follow each other into one: how lines are spread over frames is free.
func joined(frames string) string {
	for {
		m := twoFrames.FindStringSubmatch(frames)
		if m == nil {
			return frames
		}
		frames = strings.Replace(frames, m[0], "logs:"+m[1]+"-"+cmp.Or(m[4], m[3]), 1)
	}
}
