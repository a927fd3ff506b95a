package wsfeed

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/turns"
)

// testItem is an item of a scripted list.
type testItem struct {
	AgentID uuid.UUID `json:"agent_id"`
	Version int       `json:"version"`
}

func (i testItem) item() ListItem {
	b, _ := json.Marshal(i)
	return ListItem{AgentID: i.AgentID, JSON: b}
}

// setList makes a filter's list what items say, and the count of QUEUED their number.
func (s *script) setList(filter ListFilter, items []testItem) {
	key, _ := json.Marshal(filter)
	var list []ListItem
	for _, i := range items {
		list = append(list, i.item())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[string(key)] = list
	s.counts = json.RawMessage(fmt.Sprintf(`{"QUEUED":%d}`, len(items)))
}

// mirror is a client's copy of a list, kept by the frames of a subscription.
type mirror struct {
	t     *testing.T
	s     *listSub
	wakes chan struct{}
	items map[uuid.UUID]int
	count int
	kinds []string
}

func watchList(t *testing.T, hub *Hub, filter ListFilter) *mirror {
	m := &mirror{t: t, wakes: make(chan struct{}, 1)}
	m.s = hub.joinList(filter, "l", sinkFunc(func() {
		select {
		case m.wakes <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(m.s.leave)
	return m
}

// pull takes everything there is.
func (m *mirror) pull() {
	for {
		f, err := m.s.next(context.Background())
		require.NoError(m.t, err)
		if f == nil {
			return
		}
		got, err := decoded(f.Body)
		require.NoError(m.t, err)
		m.kinds = append(m.kinds, got.Type)
		if got.Type == "snapshot" {
			m.items = make(map[uuid.UUID]int)
		}
		require.NotNil(m.t, m.items, "changes before a snapshot")
		for _, id := range got.Removed {
			delete(m.items, id) // it may be one that came and went unseen
		}
		for _, i := range got.Items {
			m.items[i.AgentID] = i.Version
		}
		m.count = got.Counts["QUEUED"]
	}
}

func (m *mirror) shows(items []testItem) {
	m.t.Helper()
	want := make(map[uuid.UUID]int)
	for _, i := range items {
		want[i.AgentID] = i.Version
	}
	require.Equal(m.t, want, m.items)
	require.Equal(m.t, len(items), m.count)
}

// TestListModel: whatever happens to a list, and however slow its watchers are, their copies become equal to it.
// Some changes are not announced, as when the owner deletes an activity, and reads fail now and then.
func TestListModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { listModel(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func listModel(t *testing.T, r *rand.Rand) {
	hub, src := newHub(t)
	// A read takes a while; the random delays are drawn before, since rand is for one goroutine.
	delay := time.Duration(r.IntN(60)) * time.Millisecond
	src.before = func(context.Context, string) { time.Sleep(delay) } //nolint:forbidigo // the bubble's time
	src.after = src.before
	filter := ListFilter{Limit: 50}
	var items []testItem
	version := 0
	change := func() {
		for range r.IntN(4) {
			version++
			switch at := r.IntN(len(items) + 1); {
			case at == len(items) || r.IntN(4) == 0:
				items = slices.Insert(items, r.IntN(len(items)+1), testItem{uuid.New(), version})
			case r.IntN(3) == 0:
				items = slices.Delete(items, at, at+1)
			default:
				items[at].Version = version
			}
		}
		src.setList(filter, items)
	}
	change()
	all := []*mirror{watchList(t, hub, filter)}
	for range 200 {
		change()
		if r.IntN(4) > 0 {
			hub.ListsChanged(hub.Watched())
		}
		time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond) //nolint:forbidigo // the bubble's time
		src.setDown(r.IntN(10) == 0)
		if len(all) < 5 && r.IntN(20) == 0 {
			all = append(all, watchList(t, hub, filter))
		}
		for _, m := range all {
			if r.IntN(3) == 0 {
				m.pull()
			}
		}
	}
	src.setDown(false)
	time.Sleep(2 * hub.cfg.ListRefresh) //nolint:forbidigo // the bubble's time
	for _, m := range all {
		m.pull()
		m.shows(items)
		require.Empty(t, m.later(), "woken, but there is nothing")
		m.s.leave()
	}
	lists := hub.Stats().Lists
	require.Zero(t, lists)
}

// later forgets the wake-ups so far and returns what comes after another refresh of an unchanged list.
func (m *mirror) later() chan struct{} {
	select {
	case <-m.wakes:
	default:
	}
	time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
	return m.wakes
}

func TestSleepingListClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		filter := ListFilter{Limit: match.MaxLimit}
		var items []testItem
		renew := func() {
			items = nil
			for range match.MaxLimit {
				items = append(items, testItem{AgentID: uuid.New()})
			}
			src.setList(filter, items)
			hub.ListsChanged(hub.Watched())
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		}
		sleeper, awake := watchList(t, hub, filter), watchList(t, hub, filter)
		renew()
		sleeper.pull()
		for range 6 {
			renew()
			awake.pull()
		}
		sleeper.pull()
		require.Equal(t, []string{"snapshot", "snapshot"}, sleeper.kinds, "what was removed is not remembered for ever")
		sleeper.shows(items)
		awake.shows(items)
		require.LessOrEqual(t, len(sleeper.s.list.removed), 5*match.MaxLimit)
	})
}

func TestListReadsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		filter := ListFilter{Limit: 50}
		src.setList(filter, []testItem{{AgentID: uuid.New()}})
		var all []*mirror
		for range 50 {
			all = append(all, watchList(t, hub, filter))
		}
		for range 100 {
			hub.ListsChanged(hub.Watched())
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the bubble's time
		}
		for _, m := range all {
			m.pull()
			require.Equal(t, []string{"snapshot"}, m.kinds)
		}
		require.LessOrEqual(t, src.calls("List"), 12, "one second of changes, a read every 100 ms")
	})
}

func TestListCooldownAfterSlowRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ read, refresh, span, between time.Duration }{
		{50 * time.Millisecond, time.Hour, 40 * time.Second, 625 * time.Millisecond},
		{2 * time.Second, 10 * time.Second, 2 * time.Minute, 10 * time.Second}, // the refresh is the longest cooldown
	} {
		synctest.Test(t, func(t *testing.T) {
			hub, src := newHub(t, func(cfg *Config) { cfg.ListRefresh = c.refresh })
			src.before = func(_ context.Context, kind string) {
				if kind == "List" {
					time.Sleep(c.read) //nolint:forbidigo // the bubble's time
				}
			}
			filter := ListFilter{Limit: 50}
			m := watchList(t, hub, filter)
			for n := range int(c.span / (10 * time.Millisecond)) {
				src.setList(filter, make([]testItem, n%5))
				hub.ListsChanged(hub.Watched())
				time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the bubble's time
			}
			require.InDelta(t, float64(c.span/c.between), src.calls("List"), 2, "reads of %s", c.read)
			src.setList(filter, []testItem{{AgentID: uuid.New(), Version: 7}})
			hub.ListsChanged(hub.Watched())
			time.Sleep(2 * c.between) //nolint:forbidigo // the bubble's time
			m.pull()
			require.Equal(t, []int{7}, slices.Collect(maps.Values(m.items)), "the last change is seen")
		})
	}
}

func TestListCooldownExcludesQueueWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t, func(c *Config) { c.ListRefresh = time.Hour })
		for range hub.cfg.CatchUpReads {
			require.NoError(t, hub.places.Take(t.Context(), turns.Subscriber, nil)) // others read
		}
		filter := ListFilter{Limit: 50}
		watchList(t, hub, filter)
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's time
		for range hub.cfg.CatchUpReads {
			hub.places.Done(turns.Subscriber)
		}
		for range 100 {
			hub.ListsChanged(hub.Watched())
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the bubble's time
		}
		require.InDelta(t, 10, src.calls("List"), 2, "a second of changes, a read every 100 ms")
	})
}

func TestCountsCooldownAfterSlowRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t, func(c *Config) { c.ListRefresh = time.Hour })
		var dear atomic.Bool
		src.before = func(_ context.Context, kind string) {
			if kind == "Counts" && dear.Load() {
				time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time
			}
		}
		dear.Store(true)
		filter := ListFilter{Limit: 50}
		m := watchList(t, hub, filter)
		items := []testItem{{AgentID: uuid.New()}}
		for range 100 {
			items[0].Version++
			src.setList(filter, append(items, make([]testItem, items[0].Version)...))
			hub.ListsChanged(hub.Watched())
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the bubble's time
		}
		require.Equal(t, 1, src.calls("Counts"), "after 2 s of counting the cooldown is 40 s")
		require.Greater(t, src.calls("List"), 50, "the items do not wait for the counts")
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
		m.pull()
		require.Equal(t, 101, m.count, "the last change is counted though nothing came after it")
	})
}

// TestCooldownAfter: a list that is read fast is read often, and one that is read slowly takes a twentieth of a connection's time.
func TestCooldownAfter(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{
		0: 0, 4 * time.Millisecond: 4 * time.Millisecond, 10 * time.Millisecond: 25 * time.Millisecond, 20 * time.Millisecond: 100 * time.Millisecond,
		40 * time.Millisecond: 400 * time.Millisecond, 80 * time.Millisecond: 1600 * time.Millisecond, time.Second: 20 * time.Second, time.Minute: 20 * time.Minute,
	} {
		require.InDelta(t, want, cooldownAfter(took), float64(time.Microsecond), took)
	}
}
