package wsfeed

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInFlight: a socket that takes nothing holds, of an activity of megabytes, one frame and the rest of one read, and
// these are as small as they are meant to be.
func TestInFlight(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{64 << 10, 256 << 10} {
		b, l := gated(t, func(c *Config) { c.InFlightBytes = limit })
		id := b.src.create(0)
		b.src.write(id, 4000, "RUNNING", strings.Repeat("x", 1000))
		c := b.open(t)
		var hold sync.Once
		held := func() (frame, rest int) {
			l.last().blocked(t) // so the writer has left conn and subscription alone
			for _, s := range b.conn().subs {
				if a, ok := s.subscription.(*activitySub); ok {
					for _, line := range a.rest.Lines {
						rest += len(line.JSON)
					}
					whole := a.rest.Lines[:cap(a.rest.Lines)]
					for _, line := range whole[len(a.rest.Lines):] {
						require.Nil(t, line.JSON, "what was cut off is kept")
					}
				}
			}
			return l.last().held(), rest
		}
		b.src.before = func(_ context.Context, kind string) {
			if kind == "Replay" {
				hold.Do(l.last().hold)
			}
		}
		c.subscribe("a", id, 0)
		c.expect("snapshot", "a")
		for last := 0; last < 4000; {
			frame, rest := held()
			require.LessOrEqual(t, frame+rest, limit/2+1000) // the frame's other words
			l.last().step()
			m := c.next()
			require.Equal(t, last+1, m.Logs[0].Seq)
			last = m.Logs[len(m.Logs)-1].Seq
		}
		l.last().release()
	}
}

// TestLargeLineIsSentAlone: the bound does not stop a line, and nothing else waits beside it.
func TestLargeLineIsSentAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.InFlightBytes = 16 << 10 })
	id := b.src.create(1)
	b.src.write(id, 3, "RUNNING", strings.Repeat("x", 100_000))
	b.src.append(id, 3)
	c := b.open(t)
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	for last := 0; last < 7; {
		m := c.expect("logs", "a")
		for _, line := range m.Logs {
			last++
			require.Equal(t, last, line.Seq)
			if len(line.Message) == 100_000 {
				require.Len(t, m.Logs, 1)
			}
		}
	}
}

// TestSleepersInMemory: fifty sockets that take nothing of two megabytes each. It is not parallel: it weighs the heap.
func TestSleepersInMemory(t *testing.T) { //nolint:paralleltest // it weighs the heap
	const sleepers = 50
	b, l := gated(t)
	b.src.replayLines = 200
	id := b.src.create(0)
	b.src.write(id, 2000, "RUNNING", strings.Repeat("x", 1000))
	var all []*browser
	for range sleepers {
		all = append(all, b.open(t))
	}
	before := heap()
	for n, c := range all {
		l.accepted()[n].hold()
		c.subscribe("a", id, n) // each at a place of its own
	}
	for _, g := range l.accepted() {
		g.blocked(t)
	}
	for n, c := range all { // past the snapshot
		l.accepted()[n].step()
		c.expect("snapshot", "a")
		l.accepted()[n].blocked(t)
	}
	grown := heap() - before
	t.Logf("%d KiB a socket", grown/sleepers>>10)
	require.Less(t, grown, sleepers*b.hub.cfg.InFlightBytes/2*5/4+b.hub.cfg.RingBytes)
	for n, c := range all {
		l.accepted()[n].release()
		for last := n; last < 2000; {
			m := c.next()
			require.Equal(t, last+1, m.Logs[0].Seq)
			last = m.Logs[len(m.Logs)-1].Seq
		}
	}
}

func heap() int {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
