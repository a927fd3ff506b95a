package wsfeed

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// puller is a subscription pulled by hand.
type puller struct {
	t *testing.T
	s *activitySub
}

func follow(t *testing.T, hub *Hub, id uuid.UUID, afterSeq int) *puller {
	p := &puller{t: t, s: hub.joinTopic(id, "", afterSeq, noSink{})}
	t.Cleanup(p.s.leave)
	return p
}

// frames pulls everything there is and writes it down, such as "snapshot logs:1-3 end:COMPLETE@3".
func (p *puller) frames() string {
	p.t.Helper()
	var all []string
	for {
		f, err := p.s.next(context.Background())
		if err != nil {
			return strings.Join(append(all, "error: "+err.Error()), " ")
		}
		if f == nil {
			return strings.Join(all, " ")
		}
		m, err := decoded(f.Body)
		require.NoError(p.t, err)
		all = append(all, m.String())
		require.Less(p.t, len(all), 1000, "it does not come to an end")
	}
}

func TestReplayThenRing(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(5)
	p := follow(t, hub, id, 2)
	require.Equal(t, "snapshot logs:3-5", p.frames())
	require.Empty(t, p.frames())
	hub.Publish(id, src.append(id, 3))
	require.Equal(t, "logs:6-8", p.frames())
	require.Equal(t, 1, src.calls("Replay"), "the ring was not used")

	late := follow(t, hub, id, 5)
	require.Equal(t, "snapshot logs:6-8", late.frames())
	require.Equal(t, 1, src.calls("Replay"), "the ring reaches back to 6")
	require.Equal(t, "snapshot logs:1-8", follow(t, hub, id, 0).frames())
	require.Equal(t, 2, src.calls("Replay"), "it does not reach back to 1")
}

func TestRepeatedTailLinesAreDropped(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	p := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-2", p.frames())
	b := src.append(id, 4)
	hub.Publish(id, b)
	require.Equal(t, "logs:3-6", p.frames())
	hub.Publish(id, b)                                          // a read that failed on the way is made again
	hub.Publish(id, Batch{Lines: b.Lines[1:2], State: b.State}) // in other pieces
	require.Empty(t, p.frames())
	hub.Publish(id, src.append(id, 1))
	require.Equal(t, "logs:7", p.frames())
}

func TestMissingTailLinesAreReadFromPostgres(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	p := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-2", p.frames())
	src.append(id, 3) // unseen by the tail
	require.Empty(t, p.frames())
	hub.Publish(id, src.append(id, 1))
	require.Equal(t, "logs:3-6", p.frames())

	src.append(id, 2)
	src.confirm(hub, id)
	require.Equal(t, "logs:7-8", p.frames())
	src.confirm(hub, id)
	require.Empty(t, p.frames())

	src.replayLines = 1 // one line is as much as fits into a read
	src.append(id, 2)
	src.confirm(hub, id)
	require.Equal(t, "logs:9-10", joined(p.frames()))
}

func TestReadAheadOfTailIsShared(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	p, late := follow(t, hub, id, 0), follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-2", p.frames())
	b := src.append(id, 3)
	require.Empty(t, p.frames())
	require.Equal(t, "snapshot logs:1-2", late.frames())
	ahead := follow(t, hub, id, 4) // it knows of lines that the tail does not
	require.Equal(t, "snapshot logs:5", ahead.frames())
	reads := src.calls("Replay")
	require.Equal(t, "logs:3-5", p.frames())
	require.Equal(t, "logs:3-5", late.frames())
	require.LessOrEqual(t, src.calls("Replay"), reads+1)
	hub.Publish(id, b)
	require.Empty(t, p.frames()+late.frames()+ahead.frames())
}

func TestEnd(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, lines int) (*Hub, *script, uuid.UUID, *puller) {
		hub, src := newHub(t)
		id := src.create(lines)
		p := follow(t, hub, id, 0)
		require.NotEmpty(t, p.frames())
		return hub, src, id, p
	}

	t.Run("AfterTheLastLine", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := begin(t, 1)
		hub.Publish(id, src.write(id, 1, "COMPLETE", "done"))
		require.Equal(t, "logs:2 end:COMPLETE@2", p.frames())
		require.Empty(t, p.frames())
	})

	t.Run("AtOnceWhereTheClientHasAllOfIt", func(t *testing.T) {
		t.Parallel()
		hub, src, id, _ := begin(t, 1)
		hub.Publish(id, src.write(id, 1, "CANCELED", "no more"))
		require.Equal(t, "snapshot end:CANCELED@2", follow(t, hub, id, 2).frames())
		require.Equal(t, "snapshot logs:2 end:CANCELED@2", follow(t, hub, id, 1).frames())
	})

	t.Run("AgainForTrailingLines", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := begin(t, 1)
		for range 3 {
			hub.Publish(id, src.write(id, 1, "COMPLETE", "trailing"))
		}
		require.Equal(t, "logs:2-4 end:COMPLETE@4", p.frames())
		hub.Publish(id, src.write(id, 1, "COMPLETE", "later"))
		require.Equal(t, "logs:5 end:COMPLETE@5", p.frames())
	})

	t.Run("GoesOnAfterARetry", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := begin(t, 1)
		hub.Publish(id, src.write(id, 1, "ERROR", "broken"))
		require.Equal(t, "logs:2 end:ERROR@2", p.frames())
		hub.Publish(id, src.write(id, 1, "RUNNING", "again"))
		require.Equal(t, "logs:3", p.frames())
		hub.Publish(id, src.write(id, 1, "ERROR", "broken"))
		require.Equal(t, "logs:4 end:ERROR@4", p.frames())
	})

	t.Run("NotForAnErrorWhoseRetryIsOnItsWay", func(t *testing.T) {
		t.Parallel()
		hub, src, id, p := begin(t, 1)
		failed := src.write(id, 1, "ERROR", "broken")
		retried := src.write(id, 1, "RUNNING", "again")
		failed.State = retried.State // the tail read both, and hands them over in two pieces
		hub.Publish(id, failed)
		require.Equal(t, "logs:2", p.frames())
		hub.Publish(id, retried)
		require.Equal(t, "logs:3", p.frames())
		// Nor on replay, though the frames of a long history end with the ERROR.
		hub.cfg.FrameBytes = 1
		require.Equal(t, "snapshot logs:1 logs:2 logs:3", follow(t, hub, id, 0).frames())
	})
}

func TestLinesThatWereDeleted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines  int
		delete []int
		after  int
		want   string
	}{
		"BeforeTheClient":   {8, []int{1, 2, 3}, 3, "snapshot logs:4-8"},
		"UpToTheClient":     {8, []int{1, 2, 3, 4}, 4, "snapshot logs:5-8"},
		"AtTheBeginning":    {8, []int{1, 2, 3}, 0, "snapshot gap:pruned@0-4 logs:4-8"},
		"BehindTheClient":   {8, []int{3, 4, 5}, 4, "snapshot gap:pruned@4-6 logs:6-8"},
		"InTheMiddle":       {8, []int{3, 4, 6}, 0, "snapshot logs:1-2 gap:pruned@2-5 logs:5 gap:pruned@5-7 logs:7-8"},
		"AtTheEnd":          {8, []int{7, 8}, 0, "snapshot logs:1-6 gap:pruned@6-9"},
		"AtTheEndOfAll":     {8, []int{8}, 8, "snapshot"},
		"All":               {8, []int{1, 2, 3, 4, 5, 6, 7, 8}, 0, "snapshot gap:pruned@0-9"},
		"AllBehindTheFirst": {8, []int{2, 3, 4, 5, 6, 7, 8}, 1, "snapshot gap:pruned@1-9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, limit := range []int{1, 2, 500} { // lines per read: a gap may lie between two reads
				hub, src := newHub(t)
				src.replayLines = limit
				id := src.create(c.lines)
				src.prune(id, c.delete...)
				got := follow(t, hub, id, c.after).frames()
				require.Equal(t, c.want, joined(got), "reads of %d lines", limit)

				// And live: a subscriber that lags behind the ring finds the same.
				hub, src = newHub(t, func(cfg *Config) { cfg.RingLines = 1 })
				id = src.create(1)
				p := follow(t, hub, id, max(1, c.after))
				require.NotEmpty(t, p.frames())
				if c.after > 1 {
					continue // its seq is above all there is
				}
				hub.Publish(id, src.append(id, c.lines-1))
				src.prune(id, c.delete...)
				p.s.cursor = c.after
				if c.delete[len(c.delete)-1] == c.lines {
					hub.topic(id).ring = nil // the last line is kept there, deleted or not
				}
				require.Equal(t, strings.TrimSpace(strings.TrimPrefix(c.want, "snapshot")), joined(p.frames()))
			}
		})
	}
}

func TestEndAfterLinesThatWereDeleted(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(3)
	src.write(id, 1, "COMPLETE", "done")
	src.prune(id, 1, 2, 3, 4)
	require.Equal(t, "snapshot gap:pruned@0-5 end:COMPLETE@4", follow(t, hub, id, 0).frames())
}

func TestReset(t *testing.T) {
	t.Parallel()

	t.Run("AboveTheLastLine", func(t *testing.T) {
		t.Parallel()
		hub, src := newHub(t)
		id := src.create(3)
		p := follow(t, hub, id, 7)
		require.Equal(t, "snapshot gap:reset@7-4", p.frames())
		hub.Publish(id, src.append(id, 2))
		require.Equal(t, "logs:4-5", p.frames())
	})

	t.Run("AboveTheEnd", func(t *testing.T) {
		t.Parallel()
		hub, src := newHub(t)
		id := src.create(1)
		src.write(id, 1, "COMPLETE", "done")
		require.Equal(t, "snapshot gap:reset@7-3 end:COMPLETE@2", follow(t, hub, id, 7).frames())
	})

	t.Run("NotForAClientThatIsFasterThanTheSnapshot", func(t *testing.T) {
		t.Parallel()
		hub, src := newHub(t)
		id := src.create(3)
		require.Equal(t, "snapshot logs:1-3", follow(t, hub, id, 0).frames()) // the topic keeps this snapshot
		src.append(id, 4)                                                     // another sidecar has sent these
		p := follow(t, hub, id, 6)
		require.Equal(t, "snapshot logs:7", p.frames())
		hub.Publish(id, src.append(id, 1))
		require.Equal(t, "logs:8", p.frames())
	})
}

func TestDeleted(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(3)
	p := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-3", p.frames())
	src.remove(id)
	src.deleted(hub, id)
	require.Equal(t, "error: "+errOver.Error(), p.frames())
	require.Equal(t, "error: "+errOver.Error(), follow(t, hub, id, 0).frames())
	require.Equal(t, "error: "+errOver.Error(), follow(t, hub, uuid.New(), 0).frames())

	src.activities[id] = &scripted{id: id, statuses: []string{"QUEUED"}}
	src.append(id, 1)
	require.Equal(t, "snapshot logs:1", follow(t, hub, id, 0).frames(), "made anew under the same id")
	require.Equal(t, "error: "+errOver.Error(), p.frames(), "it was told so")
}
