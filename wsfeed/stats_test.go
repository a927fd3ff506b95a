package wsfeed

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrafficAndSubscriptionsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.src.create(3)
	c := b.open(t)
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	c.expect("logs", "a")
	c.send(`{"type":"subscribe","sub":"l","list":{}}`)
	c.expect("snapshot", "l")
	n := b.hub.Stats()
	require.Equal(t, 1, n.Sockets)
	require.Equal(t, 2, n.Subscriptions)
	require.Equal(t, 1, n.Activities)
	require.Equal(t, 1, n.Lists)
	eventually(t, "welcome, snapshot, logs and snapshot are counted", func() bool { return b.hub.Stats().WebSocket.Frames == 4 })
	require.Greater(t, b.hub.Stats().WebSocket.Bytes, uint64(100))
	require.Zero(t, b.hub.Stats().SSE)
	require.Equal(t, Reads{Snapshots: 1, Replays: 1, Lists: 1, Counts: 1}, b.hub.Stats().Reads)
	c.send(`{"type":"unsubscribe","sub":"a"}`)
	c.expect("unsubscribed", "a")
	require.Equal(t, 1, b.hub.Stats().Subscriptions)
}

// TestBehind: a socket counts as behind, once, from the first read of Postgres for it until it has caught up or gone.
func TestBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.src.create(3), b.src.create(3)
	held, release := make(chan struct{}), make(chan struct{})
	var hold sync.Once
	b.src.before = func(_ context.Context, kind string) {
		if kind == "Replay" {
			hold.Do(func() { close(held); <-release })
		}
	}
	c := b.open(t)
	c.subscribe("a", first, 0)
	c.expect("snapshot", "a")
	<-held
	c.subscribe("b", second, 0)
	eventually(t, "both are there", func() bool { return b.hub.Stats().Subscriptions == 2 })
	n := b.hub.Stats()
	require.Equal(t, 1, n.Behind)
	require.Equal(t, 1, n.Reads.InProgress)
	close(release)
	c.expect("logs", "a")
	c.expect("snapshot", "b")
	c.expect("logs", "b")
	eventually(t, "it has caught up", func() bool { return b.hub.Stats().Behind == 0 })
}

func TestBehindEndsWithTheSocket(t *testing.T) {
	t.Parallel()
	b, l := gated(t)
	id := b.src.create(2000)
	c := b.open(t)
	b.src.before = func(_ context.Context, kind string) {
		if kind == "Replay" {
			l.last().hold()
		}
	}
	c.subscribe("a", id, 0)
	l.last().blocked(t)
	eventually(t, "it is behind", func() bool { return b.hub.Stats().Behind == 1 })
	require.NoError(t, c.ws.Close())
	l.last().release()
	eventually(t, "it is gone", func() bool { n := b.hub.Stats(); return n.Sockets+n.Behind+n.Subscriptions == 0 })
}

// TestDelivered: the time from commit to frame is told of live lines, and of no others.
func TestDelivered(t *testing.T) {
	t.Parallel()
	told := make(chan time.Duration, 10)
	b := setup(t, func(c *Config) { c.Delivered = func(took time.Duration) { told <- took } })
	id := b.src.create(3)
	c := b.open(t)
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	c.expect("logs", "a")
	eventually(t, "all is written", func() bool { return b.hub.Stats().WebSocket.Frames == 3 })
	require.Empty(t, told, "what was read from Postgres is no update")

	live := b.src.append(id, 2)
	live.Lines[0].CommittedAt = time.Now().Add(-time.Hour).UnixNano()
	live.Lines[1].CommittedAt = time.Now().Add(-time.Minute).UnixNano()
	b.hub.Publish(id, live)
	c.expect("logs", "a")
	took := <-told
	require.Greater(t, took, 59*time.Second, "the newest line counts")
	require.Less(t, took, 59*time.Minute)

	late := b.open(t)
	late.subscribe("a", id, 3) // from the ring
	late.expect("snapshot", "a")
	late.expect("logs", "a")
	eventually(t, "all is written", func() bool { return b.hub.Stats().WebSocket.Frames == 7 })
	require.Empty(t, told, "it has caught up, which is no update")

	ahead := b.src.append(id, 1)
	ahead.Lines[0].CommittedAt = time.Now().Add(time.Hour).UnixNano()
	b.hub.Publish(id, ahead)
	require.Zero(t, <-told, "clocks are never exact")
	require.Zero(t, <-told)
}
