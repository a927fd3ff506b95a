package wsfeed

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestClientSendsWithoutReading(t *testing.T) {
	t.Parallel()
	b, l := gated(t, func(c *Config) { c.WriteTimeout = 500 * time.Millisecond })
	c := b.open(t)
	l.last().hold()
	theirs := b.conn()
	// Far more than fits between the two of us: the server stops reading, then we cannot write any more.
	junk := []byte(`{"type":"` + strings.Repeat("x", 10_000) + `"}`)
	written := 0
	for {
		_ = c.ws.SetWriteDeadline(time.Now().Add(patience))
		if err := c.ws.WriteMessage(websocket.TextMessage, junk); err != nil {
			break
		}
		written++
		theirs.mu.Lock()
		waiting := len(theirs.replies)
		theirs.mu.Unlock()
		require.LessOrEqual(t, waiting, maxReplies)
		require.Less(t, written, 100_000, "a gigabyte was taken")
	}
	eventually(t, "it is dropped", func() bool { return b.hub.Stats().Sockets == 0 })
}

func TestSubscriptionsAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxSubscriptions = 3 })
	id := b.src.create(1)
	c := b.open(t)
	for n := range 3 {
		c.subscribe(fmt.Sprint(n), id, 1)
		c.expect("snapshot", fmt.Sprint(n))
	}
	c.subscribe("3", id, 1)
	require.Equal(t, "limit", c.expect("error", "3").Code)
	c.send(`{"type":"subscribe","sub":"3","list":{}}`)
	require.Equal(t, "limit", c.expect("error", "3").Code)
	c.subscribe("2", id, 1)
	require.Equal(t, "invalid", c.expect("error", "2").Code, "the name is taken, and that is what to say")
	c.send(`{"type":"unsubscribe","sub":"0"}`)
	c.expect("unsubscribed", "0")
	c.send(`{"type":"subscribe","sub":"3","list":{}}`)
	c.expect("snapshot", "3")
	c.send(`{"type":"unsubscribe","sub":"0"}`)
	require.Equal(t, "invalid", c.expect("error", "0").Code)
}

func TestNothingFollowsUnsubscribed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.src.create(1)
	c := b.open(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for ctx.Err() == nil {
			b.publish(id, 1)
			runtime.Gosched()
		}
	}()
	for n := range 100 {
		name := fmt.Sprint(n)
		c.subscribe(name, id, b.src.state(id).LastSeq)
		c.expect("snapshot", name)
		c.send(`{"type":"unsubscribe","sub":"` + name + `"}`)
		m := c.next()
		for ; m.Type == "logs"; m = c.next() {
			require.Equal(t, name, m.Sub)
		}
		require.Equal(t, "unsubscribed", m.Type)
		require.Equal(t, name, m.Sub)
	}
}

// TestSubscribeAndLeaveLeavesNothing is not parallel: it counts goroutines.
func TestSubscribeAndLeaveLeavesNothing(t *testing.T) { //nolint:paralleltest // it counts goroutines
	before := goleak.IgnoreCurrent()
	b := setup(t)
	server := goleak.IgnoreCurrent()
	var ids []uuid.UUID
	for range 20 {
		ids = append(ids, b.src.create(3))
	}
	for round := range 10 {
		var all []*browser
		for range 10 {
			c := b.open(t)
			all = append(all, c)
			for n := range 40 {
				name := fmt.Sprint(n)
				if n%4 == 0 {
					c.send(fmt.Sprintf(`{"type":"subscribe","sub":%q,"list":{"limit":%d}}`, name, 1+n))
				} else {
					c.subscribe(name, ids[(n+round)%len(ids)], n%5)
				}
				if n%3 > 0 {
					c.send(`{"type":"unsubscribe","sub":"` + name + `"}`)
				}
			}
		}
		b.publish(ids[round], 1)
		for n, c := range all {
			if n%2 == 0 {
				c.send(`{"type":"ping"}`)
				for c.next().Type != "pong" {
				}
			}
			require.NoError(t, c.ws.Close())
		}
	}
	eventually(t, "nothing is left", func() bool {
		n := b.hub.Stats()
		return n.Sockets+n.Subscriptions+n.Activities+n.Lists+n.Behind == 0
	})
	require.Empty(t, b.hub.lists)
	require.True(t, b.hub.Watched().Empty())
	goleak.VerifyNone(t, before, server)
}
