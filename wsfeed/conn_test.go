package wsfeed

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func TestSubscribeAgainWhileNotFoundIsUnderWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, gone := b.src.create(1), b.src.create(1)
	b.src.remove(gone)
	looked, answer := make(chan struct{}, 1), make(chan struct{})
	b.src.after = func(context.Context, string) {
		select {
		case looked <- struct{}{}:
			<-answer
		default: // only the first read is held up
		}
	}
	c := b.open(t)
	c.subscribe("a", gone, 0)
	eventually(t, "the database is asked", func() bool { return len(looked) > 0 })
	c.send(`{"type":"unsubscribe","sub":"a"}`)
	c.subscribe("a", id, 0)
	c.send(`{"type":"ping"}`)
	theirs := b.conn()
	eventually(t, "all three are handled", func() bool {
		theirs.mu.Lock()
		defer theirs.mu.Unlock()
		return len(theirs.replies) == 2 && b.hub.topic(id) != nil
	}) // both answers wait, because the writer does
	close(answer)

	c.expect("unsubscribed", "a")
	c.expect("pong", "")
	c.expect("snapshot", "a") // and not the error of the first one
	c.lines("a", 0, 1)
	require.NoError(t, c.ws.Close())
	eventually(t, "nothing is watched", func() bool { return b.hub.Stats().Activities == 0 })
}

func TestTooSlowClosesWithCode(t *testing.T) {
	t.Parallel()
	b, l := gated(t, func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	c := b.open(t)
	l.last().once = true
	l.last().hold()
	c.send(`{"type":"ping"}`)
	require.Equal(t, CloseTooSlow, c.closed())
}

func TestTooSlowInTheMiddleOfAFrameIsCut(t *testing.T) {
	t.Parallel()
	// A real socket: the kernel takes a part of the frame, and a close frame would end up in its payload.
	b := setup(t, func(c *Config) { c.WriteTimeout = 100 * time.Millisecond })
	id := b.src.create(0)
	b.src.write(id, 200, "RUNNING", strings.Repeat("x", 100_000))
	c := b.open(t)
	c.subscribe("a", id, 0)
	eventually(t, "the socket is dropped", func() bool { return b.hub.Stats().Sockets == 0 })
	require.Equal(t, websocket.CloseAbnormalClosure, c.closed())
}

func TestTooBigClosesBusySocketWithCode(t *testing.T) {
	t.Parallel()
	b, l := gated(t)
	c := b.open(t)
	l.last().hold()
	c.send(`{"type":"ping"}`)
	l.last().blocked(t)
	c.send(`{"type":"ping","sub":"` + strings.Repeat("x", MaxMessageBytes) + `"}`)
	eventually(t, "the frame is refused", func() bool { return b.isClosing() })
	l.last().release()
	require.Equal(t, "pong", c.next().Type)
	require.Equal(t, websocket.CloseMessageTooBig, c.closed())
}

// isClosing reports whether the only connection is about to be closed, or is.
func (b *bundle) isClosing() bool {
	c := b.conn()
	return c == nil || c.isClosing()
}

// conn is the server's end of the only connection.
func (b *bundle) conn() *conn {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	for p := range b.hub.conns {
		if c, ok := p.(*conn); ok {
			return c
		}
	}
	return nil
}

func TestReadLinesAreSentBeforeNextRead(t *testing.T) {
	t.Parallel()
	// Otherwise each of a thousand subscriptions of a slow socket would keep the rest of a read in memory.
	b := setup(t, func(c *Config) { c.FrameBytes = 300 })
	b.src.replayLines = 20
	const subs, lines = 30, 60
	c := b.open(t)
	for n := range subs {
		c.subscribe(fmt.Sprint(n), b.src.create(lines), 0)
	}
	for left, last := subs*lines, ""; left > 0; {
		m := c.next()
		if m.Type == "snapshot" && last == "" {
			continue
		}
		require.Equal(t, "logs", m.Type)
		if last != "" {
			require.Equal(t, last, m.Sub, "a read is interrupted: %s", m.raw)
		}
		left -= len(m.Logs)
		last = m.Sub
		if m.Logs[len(m.Logs)-1].Seq%b.src.replayLines == 0 {
			last = ""
		}
	}
}

func TestGoingAwayWithABacklog(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.DrainTimeout = time.Second })
	b.src.replayLines = 1
	id := b.src.create(1)
	b.src.after = func(_ context.Context, kind string) {
		if kind == "Replay" {
			b.src.append(id, 1)
			b.src.confirm(b.hub, id) // there is always one more
		}
	}
	c := b.open(t)
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.hub.Shutdown(t.Context())
	}()
	require.Equal(t, websocket.CloseGoingAway, c.closed())
	<-done
}

func TestShutdownTwice(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.DrainTimeout = 100 * time.Millisecond })
	c := b.open(t)
	for range 2 {
		b.hub.Shutdown(t.Context())
	}
	require.Equal(t, websocket.CloseGoingAway, c.closed())
}

func TestFramesAfterCloseAreIgnored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.src.create(1)
	c := b.open(t)
	require.NoError(t, c.ws.WriteMessage(websocket.BinaryMessage, []byte("x")))
	for range 3 * maxReplies { // more than may wait for an answer
		c.send(`{"type":"ping"}`)
	}
	c.subscribe("a", id, 0)
	began := time.Now()
	require.Equal(t, websocket.CloseUnsupportedData, c.closed())
	eventually(t, "the connection is gone", func() bool { return b.hub.Stats().Sockets == 0 })
	require.Less(t, time.Since(began), 4*time.Second, "the drain timeout was waited out")
}

func TestOneActivitySocketNamesNoSubscription(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.src.create(1)
	c := b.dial(t, "/v1/feed/"+id.String())
	c.expect("snapshot", "")
	c.lines("", 0, 1)
	c.send(`{"type":"subscribe","sub":"a","agent_id":"` + id.String() + `"}`)
	require.Equal(t, "invalid", c.expect("error", "").Code)
	c.send(`{"type":"subscribe","sub":"a","nonsense":true}`)
	require.Equal(t, "invalid", c.expect("error", "").Code)
	c.send(`{"type":"ping"}`)
	c.expect("pong", "")
}

func TestUnsubscribeByAgentIDInAnyCase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.src.create(1)
	c := b.open(t)
	upper := strings.ToUpper(id.String())
	c.send(`{"type":"subscribe","agent_id":"` + upper + `"}`)
	c.expect("snapshot", id.String())
	c.lines(id.String(), 0, 1)
	c.send(`{"type":"unsubscribe","agent_id":"` + upper + `"}`)
	c.expect("unsubscribed", id.String())
}

func TestInvalidUTF8(t *testing.T) {
	t.Parallel()
	c := setup(t).open(t)
	c.send("{\"type\":\"ping\",\"sub\":\"\xff\"}")
	require.Equal(t, websocket.CloseInvalidFramePayloadData, c.closed())
}
