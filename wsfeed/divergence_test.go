package wsfeed

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestDivergence(t *testing.T) {
	t.Parallel()

	t.Run("AfterACrash", func(t *testing.T) {
		t.Parallel()
		hub, src := newHub(t)
		id := src.create(3)
		p, behind, ended := follow(t, hub, id, 0), follow(t, hub, id, 0), follow(t, hub, id, 0)
		require.Equal(t, "snapshot logs:1-3", p.frames())
		require.Equal(t, "snapshot logs:1-3", behind.frames())
		hub.Publish(id, src.write(id, 1, "ERROR", "broken"))
		require.Equal(t, "logs:4 end:ERROR@4", p.frames())
		hub.Publish(id, src.write(id, 3, "COMPLETE", "done"))
		require.Equal(t, "logs:5-7 end:COMPLETE@7", p.frames())
		require.Equal(t, "snapshot logs:1-7 end:COMPLETE@7", joined(ended.frames()))

		src.crash(id, 4)
		src.confirm(hub, id)
		require.Equal(t, "gap:reset@7-5 end:ERROR@4", p.frames())
		require.Equal(t, "logs:4 end:ERROR@4", behind.frames(), "it has seen nothing of what was lost")
		require.Equal(t, "snapshot logs:1-4 end:ERROR@4", follow(t, hub, id, 0).frames())
		hub.Publish(id, src.append(id, 1))
		require.Equal(t, "logs:5", p.frames())
		require.Equal(t, "logs:5", behind.frames())
	})

	t.Run("FoundByAReadBeforeTheTailFindsIt", func(t *testing.T) {
		t.Parallel()
		hub, src := newHub(t)
		id := src.create(3)
		p := follow(t, hub, id, 0)
		require.Equal(t, "snapshot logs:1-3", p.frames())
		hub.Publish(id, src.append(id, 4))
		require.Equal(t, "logs:4-7", p.frames())
		src.crash(id, 5)
		require.Empty(t, p.frames())
		require.Equal(t, "snapshot logs:1-5", follow(t, hub, id, 0).frames()) // its replay shows less than was known
		require.Equal(t, "gap:reset@7-6", p.frames())
	})

	// seen is an activity of seven lines that a subscriber has seen, the last four of them live.
	seen := func(t *testing.T, tweaks ...func(*Config)) (*Hub, *script, uuid.UUID, *puller) {
		hub, src := newHub(t, tweaks...)
		id := src.create(3)
		p := follow(t, hub, id, 0)
		require.Equal(t, "snapshot logs:1-3", p.frames())
		hub.Publish(id, src.append(id, 4))
		require.Equal(t, "logs:4-7", p.frames())
		return hub, src, id, p
	}

	t.Run("OtherLinesInTheirPlace", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{1, 2, 3, 4} { // fewer than were lost, as many, more
			hub, src, id, p := seen(t)
			src.crash(id, 5)
			src.append(id, n)
			src.confirm(hub, id)
			require.Equal(t, "gap:reset@7-6 logs:6"+[]string{"", "-7", "-8", "-9"}[n-1], p.frames())
			hub.Publish(id, src.append(id, 1))
			require.Equal(t, []string{"logs:7", "logs:8", "logs:9", "logs:10"}[n-1], p.frames())
		}
	})

	t.Run("FoundByAReadOfAnother", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := seen(t, func(c *Config) { c.RingLines = 2 })
		src.crash(id, 6)
		src.append(id, 5)
		require.Empty(t, p.frames())
		require.Equal(t, "snapshot logs:1-11", joined(follow(t, hub, id, 0).frames()))
		require.Equal(t, "gap:reset@7-7 logs:7-11", p.frames())
		src.confirm(hub, id)
		require.Empty(t, p.frames())
	})

	t.Run("BeyondTheRing", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := seen(t, func(c *Config) { c.RingLines = 2 })
		src.crash(id, 4)
		src.append(id, 4)
		src.confirm(hub, id)
		require.Equal(t, "gap:reset@7-1 logs:1-8", p.frames(), "all is sent again where nothing is known to be good")
	})

	t.Run("TwiceBeforeTheNextRead", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := seen(t)
		src.crash(id, 6)
		src.confirm(hub, id)
		hub.Publish(id, src.append(id, 2))
		src.crash(id, 4)
		src.append(id, 1)
		src.confirm(hub, id)
		require.Equal(t, "gap:reset@7-1 logs:1-5", p.frames())
	})

	t.Run("TwiceWithAReadBetween", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := seen(t)
		late := follow(t, hub, id, 0)
		require.Equal(t, "snapshot logs:1-7", joined(late.frames()))
		src.crash(id, 4)
		src.confirm(hub, id)
		require.Equal(t, "gap:reset@7-5", p.frames())
		hub.Publish(id, src.append(id, 4))
		require.Equal(t, "logs:5-8", p.frames())
		src.crash(id, 6)
		src.append(id, 1)
		src.confirm(hub, id)
		require.Equal(t, "gap:reset@8-7 logs:7", p.frames())
		require.Equal(t, "gap:reset@7-5 logs:5-7", late.frames(), "it has slept through both")
	})

	t.Run("NotWhereTheOwnerChangesOrDeletesLines", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := seen(t)
		src.mu.Lock()
		src.activities[id].lines = slices.Clone(src.activities[id].lines)
		src.activities[id].lines[6].Message = "redacted"
		src.mu.Unlock()
		src.confirm(hub, id)
		require.Empty(t, p.frames())
		require.Equal(t, "snapshot logs:1-7", joined(follow(t, hub, id, 0).frames()))
		src.prune(id, 6, 7)
		src.confirm(hub, id)
		hub.Publish(id, src.append(id, 1))
		require.Equal(t, "logs:8", p.frames())
	})
}
