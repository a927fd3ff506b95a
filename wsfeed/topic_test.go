package wsfeed

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

func TestRingIsBounded(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t, func(c *Config) { c.RingLines, c.RingBytes = 10, 2000 })
	id := src.create(1)
	p := follow(t, hub, id, 1)
	require.Equal(t, "snapshot", p.frames())
	topic := hub.topic(id)
	size := func() (bytes int) {
		for _, l := range topic.ring {
			bytes += len(l.JSON)
		}
		require.Equal(t, bytes, topic.size)
		return bytes
	}

	for n := range 100 {
		hub.Publish(id, src.append(id, 1))
		require.Equal(t, fmt.Sprint("logs:", n+2), p.frames())
	}
	require.Len(t, topic.ring, 10)
	for n := range 100 {
		hub.Publish(id, src.write(id, 1, "RUNNING", strings.Repeat("x", 500)))
		require.Equal(t, fmt.Sprint("logs:", n+102), p.frames())
	}
	require.Len(t, topic.ring, 3)
	require.LessOrEqual(t, size(), 2000)

	// These serve no subscriber.
	hub.Publish(id, src.append(id, 100))
	require.LessOrEqual(t, size(), 2000/8)
	require.Equal(t, "logs:202-301", joined(p.frames()))
	for range 100 {
		hub.Publish(id, src.append(id, 1))
		require.NotEmpty(t, p.frames())
	}
	require.Len(t, topic.ring, 10, "a subscriber is there again")

	hub.Publish(id, src.write(id, 1, "RUNNING", strings.Repeat("x", 5000)))
	require.Len(t, topic.ring, 1, "one line is kept, whatever its size")
	hub.Publish(id, src.append(id, 1))
	require.Len(t, topic.ring, 1)
	require.LessOrEqual(t, size(), 2000)
	require.Equal(t, "logs:402-403", joined(p.frames()))
}

func TestSubscriptionsAtTheSamePlaceShareOneFrame(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(1)
	join := func(name string) *activitySub {
		s := hub.joinTopic(id, name, 1, noSink{})
		t.Cleanup(s.leave)
		_, err := s.next(t.Context())
		require.NoError(t, err)
		return s
	}
	named := []*activitySub{join(id.String()), join(id.String())}
	nameless := []*activitySub{join(""), join("")}
	var own []*activitySub
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		own = append(own, join(name))
	}
	for range 3 {
		hub.Publish(id, src.append(id, 2))
		next := func(s *activitySub) *wire.Frame {
			f, err := s.next(t.Context())
			require.NoError(t, err)
			require.Equal(t, "logs", f.Kind)
			return f
		}
		first, second := next(named[0]), next(nameless[0])
		for _, s := range own {
			next(s)
		}
		require.Same(t, first, next(named[1]))
		require.Same(t, second, next(nameless[1]))
		require.NotSame(t, first, second)
	}
}

func TestSnapshotReadsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		src.before = func(context.Context, string) { time.Sleep(time.Second) } //nolint:forbidigo // the bubble's time
		id := src.create(1)
		var opened atomic.Int32
		for range 100 {
			go func() {
				s := hub.joinTopic(id, "", 1, noSink{})
				defer s.leave()
				if f, err := s.next(t.Context()); err == nil && f.Kind == "snapshot" {
					opened.Add(1)
				}
				<-t.Context().Done()
			}()
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
		require.EqualValues(t, 100, opened.Load())
		require.Equal(t, 1, src.calls("Snapshot"))
	})
}

func TestSnapshotFromBeforeCrashIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(3)
		p := follow(t, hub, id, 0)
		require.Equal(t, "snapshot logs:1-3", p.frames())
		hub.Publish(id, src.append(id, 4))
		require.Equal(t, "logs:4-7", p.frames())

		src.after = func(_ context.Context, kind string) {
			if kind == "Snapshot" {
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
			}
		}
		late := follow(t, hub, id, 0)
		opened := make(chan struct{})
		go func() {
			defer close(opened)
			_, _ = late.s.next(context.Background())
		}()
		synctest.Wait() // it has seen seq 7, and is on its way back
		src.crash(id, 5)
		src.confirm(hub, id)
		<-opened
		require.Equal(t, "gap:reset@7-6", p.frames())
		hub.Publish(id, src.write(id, 1, "COMPLETE", "done"))
		require.Equal(t, "logs:6 end:COMPLETE@6", p.frames(), "the state of seq 7 got in the way")
		require.Equal(t, "logs:1-6 end:COMPLETE@6", joined(late.frames()))
	})
}

func TestStuckReadIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := unserved()
		defer b.hub.Shutdown(t.Context())
		id := b.src.create(1)
		var stuck atomic.Int32
		b.src.before = func(ctx context.Context, _ string) {
			if stuck.Add(1) <= 10 { // more than there are places for
				<-ctx.Done()
			}
		}
		for range 10 {
			go func() { _, _ = b.hub.replay(t.Context(), id, 0, 1<<20, nil, nil, nil) }()
		}
		synctest.Wait()
		began := time.Now()
		p := follow(t, b.hub, id, 0)
		frames := p.frames()
		for strings.HasPrefix(frames, "error: ") { // a connection tries again too
			frames = p.frames()
		}
		require.Equal(t, "snapshot logs:1", frames)
		require.Less(t, time.Since(began), 5*time.Minute)
	})
}

func TestWakingIsSpreadOverTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		id := src.create(1)
		const subs = 500 // 10 ms between two wakes
		var wakes atomic.Int32
		for range subs {
			s := hub.joinTopic(id, "", 1, sinkFunc(func() { wakes.Add(1) }))
			defer s.leave()
		}
		for range 1000 {
			hub.Publish(id, src.append(id, 1))
			time.Sleep(time.Millisecond / 10) //nolint:forbidigo // the bubble's time
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		require.LessOrEqual(t, wakes.Load(), int32(12*subs), "100 ms of lines")
		require.GreaterOrEqual(t, wakes.Load(), int32(9*subs))
		wakes.Store(0)
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		hub.Publish(id, src.append(id, 1))
		synctest.Wait()
		require.EqualValues(t, subs, wakes.Load(), "a line after a pause does not wait")
	})
}

// TestSharedFramesAreBounded: what is kept for others who come to the same place is little, and nothing where there are
// none.
func TestSharedFramesAreBounded(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t, func(c *Config) { c.FrameBytes = 5000 })
	id := src.create(1)
	p := follow(t, hub, id, 1)
	require.Equal(t, "snapshot", p.frames())
	kept := func() (bytes int) {
		for _, c := range hub.topic(id).frames {
			if c.frame != nil {
				bytes += len(c.frame.Raw)
			}
		}
		return bytes
	}
	write := func(size int) {
		hub.Publish(id, src.write(id, 1, "RUNNING", strings.Repeat("x", size)))
		require.NotEmpty(t, p.frames())
	}
	write(1000)
	require.Zero(t, kept(), "there is no other to share with")
	defer hub.joinTopic(id, "", 1, noSink{}).leave()
	for range 10 {
		write(1000)
	}
	require.Greater(t, kept(), 4000)
	for range 10 {
		write(2000)
		require.LessOrEqual(t, kept(), 5000)
	}
	write(10_000)
	require.Greater(t, kept(), 10_000, "the newest is always kept")
	write(1000)
	require.Less(t, kept(), 2000)
}
