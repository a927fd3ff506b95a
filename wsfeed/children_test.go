package wsfeed

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
)

var rootsOnly = ListFilter{Limit: 50, RootsOnly: true}

// unread is for lists whose filters need no metadata.
func unread(t *testing.T) func([]Activity, func(int, json.RawMessage)) error {
	return func([]Activity, func(int, json.RawMessage)) error {
		t.Error("metadata is read")
		return nil
	}
}

// childOf returns an activity below two others.
func childOf(parent, root uuid.UUID) Activity {
	return Activity{ID: uuid.New(), AgentID: uuid.New(), ParentAgentID: parent, RootAgentID: root}
}

// A line of a child refreshes the items of its parent and its root: the first at once, then at most ten times a second, and the last
// state arrives. Lists that hold neither are not read.
func TestChildRefreshesParentAndRoot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t, func(c *Config) { c.ListInterval, c.ListRefresh = time.Millisecond, time.Hour })
		root, parent := uuid.New(), uuid.New()
		others := ListFilter{Limit: 50, RootsOnly: true, AgentType: "other"}
		above := ListFilter{Limit: 50, RootAgentID: root.String(), Statuses: []string{"RUNNING"}}
		src.setList(others, []testItem{{AgentID: uuid.New()}})
		src.setList(above, []testItem{{AgentID: parent}})
		src.setList(rootsOnly, []testItem{{AgentID: root}})
		lists := []*mirror{watchList(t, hub, rootsOnly), watchList(t, hub, above), watchList(t, hub, others)}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		for _, m := range lists {
			m.pull()
		}

		child := childOf(parent, root)
		src.setList(rootsOnly, []testItem{{root, 1}})
		require.NoError(t, hub.Touched([]Activity{child}, unread(t)))
		synctest.Wait()
		lists[0].pull()
		require.Equal(t, 1, lists[0].items[root], "the first change is shown at once")

		const lines = 5000 // one a millisecond
		for n := range lines {
			src.setList(rootsOnly, []testItem{{root, n}})
			src.setList(above, []testItem{{parent, n}})
			require.NoError(t, hub.Touched([]Activity{child, childOf(parent, root)}, unread(t)))
			time.Sleep(time.Millisecond) //nolint:forbidigo // the bubble's time
			lists[0].pull()
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		for _, m := range lists {
			m.pull()
		}
		require.Equal(t, lines-1, lists[0].items[root])
		require.Equal(t, lines-1, lists[1].items[parent])
		require.LessOrEqual(t, len(lists[0].kinds), 2+lines/100+1)
		require.Greater(t, len(lists[0].kinds), lines/200)
		require.Equal(t, []string{"snapshot"}, lists[2].kinds)

		// Without a list that holds the parent or the root, nothing is scheduled.
		lists[0].s.leave()
		lists[1].s.leave()
		require.NoError(t, hub.Touched([]Activity{child}, unread(t)))
		due, _, _ := hub.parents.Take()
		require.Empty(t, due)
		lists[2].s.leave()
		require.False(t, hub.parents.Note([]match.Activity{match.Activity(child)}), "a list that has left is not read")
	})
}

// A child writes while a list is being read, and the answer is older than the line. The list did not hold the parent before.
func TestChildWritesDuringRead(t *testing.T) {
	t.Parallel()
	for _, when := range []time.Duration{10 * time.Millisecond, 190 * time.Millisecond} { // the second is told after the read
		synctest.Test(t, func(t *testing.T) {
			hub, src := newHub(t, func(c *Config) { c.ListRefresh = time.Hour })
			root := uuid.New()
			src.setList(rootsOnly, []testItem{{root, 1}})
			src.after = func(_ context.Context, kind string) {
				if kind == "List" {
					time.Sleep(200 * time.Millisecond) //nolint:forbidigo // the bubble's time
				}
			}
			hub.children.Schedule(0, func() {}) // so that it is told 100 ms later
			synctest.Wait()
			m := watchList(t, hub, rootsOnly)
			time.Sleep(when) //nolint:forbidigo // the bubble's time
			src.setList(rootsOnly, []testItem{{root, 2}})
			require.NoError(t, hub.Touched([]Activity{childOf(root, root)}, unread(t)))
			time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
			m.pull()
			m.shows([]testItem{{root, 2}})
		})
	}
}

// Lines of children come at any time, while lists are read, change and come and go: the last state of each parent arrives. Nothing
// else tells a list that it has changed.
func TestParentsModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			hub, src := newHub(t, func(c *Config) { c.ListRefresh = time.Hour })
			var delay atomic.Int64
			src.after = func(context.Context, string) { time.Sleep(time.Duration(delay.Load())) } //nolint:forbidigo // the bubble's time
			src.before = src.after
			var roots []testItem
			for range 3 {
				roots = append(roots, testItem{AgentID: uuid.New()})
			}
			src.setList(rootsOnly, roots)
			var all []*mirror
			for range 300 {
				delay.Store(r.Int64N(int64(100 * time.Millisecond)))
				switch {
				case len(all) < 3 && r.IntN(10) == 0:
					all = append(all, watchList(t, hub, rootsOnly))
				case len(all) > 0 && r.IntN(30) == 0:
					all[0].s.leave()
					all = all[1:]
				}
				at := r.IntN(len(roots))
				roots[at].Version++
				src.setList(rootsOnly, roots)
				require.NoError(t, hub.Touched([]Activity{childOf(uuid.New(), roots[at].AgentID)}, unread(t)))
				time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond) //nolint:forbidigo // the bubble's time
			}
			time.Sleep(20 * time.Second) //nolint:forbidigo // the bubble's time
			for _, m := range all {
				m.pull()
				m.shows(roots)
			}
		})
	}
}
