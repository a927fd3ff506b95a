package wsfeed

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSlowReadersCostABoundedAmount: docs/limits.md and SECURITY.md promise it. Forty sockets subscribe to ten lists of
// long items each, and to an activity with long lines, and take nothing. It is not parallel: it weighs the heap.
func TestSlowReadersCostABoundedAmount(t *testing.T) { //nolint:paralleltest // it weighs the heap
	const sleepers, lists, items, itemBytes, lines, lineBytes = 40, 10, 1000, 8000, 20, 1 << 20
	const frames = 8 << 20
	b, l := gated(t, func(c *Config) { c.MaxFrameBytes = frames })
	all := longItems(items, itemBytes)
	for n := range lists {
		b.src.setItems(ListFilter{Limit: items - n}, all)
	}
	id := b.src.create(0)
	b.src.write(id, lines, "RUNNING", strings.Repeat("x", lineBytes))
	before := heap()
	var sockets []*browser
	for range sleepers {
		c := b.open(t)
		l.last().hold()
		for list := range lists {
			c.send(fmt.Sprintf(`{"type":"subscribe","sub":"%d","list":{"limit":%d}}`, list, items-list))
		}
		c.subscribe("a", id, 0)
		sockets = append(sockets, c)
	}
	for _, g := range l.accepted() {
		g.blocked(t)
	}
	grown := heap() - before
	t.Logf("%d KiB for %d sockets", grown>>10, sleepers)
	require.Less(t, grown, frames+sleepers*b.hub.cfg.InFlightBytes+b.hub.cfg.CatchUpReads*2*lineBytes)

	// One that reads gets all of it, in spite of the others.
	c := b.open(t)
	c.send(fmt.Sprintf(`{"type":"subscribe","sub":"l","list":{"limit":%d}}`, items))
	have := 0
	for have < items {
		have += len(c.next().Items)
	}
	c.subscribe("a", id, 0)
	c.expect("snapshot", "a")
	for last := 0; last < lines; {
		for _, line := range c.expect("logs", "a").Logs {
			last++
			require.Equal(t, last, line.Seq)
		}
	}
	for n := range sockets {
		l.accepted()[n].release()
	}
}
