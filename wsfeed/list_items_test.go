package wsfeed

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Two lists whose scopes show other children of one activity keep two versions of its item, and a third list shares one of them.
func TestVersionsOfAnItemAreShared(t *testing.T) {
	t.Parallel()
	held := newItems()
	id := uuid.New()
	version := func(n int) []ListItem { return []ListItem{testItem{id, n}.item()} }
	one, two := held.hold(version(1)), held.hold(version(2))
	require.Same(t, one[0], held.hold(version(1))[0])
	require.Same(t, two[0], held.hold(version(2))[0])
	require.Equal(t, len(one[0].json)+len(two[0].json), held.size())
	for range 2 {
		held.drop(one)
		held.drop(two)
	}
	require.Zero(t, held.size())
	require.Empty(t, held.versions)
}

// TestListsShareItems: the lists of one socket that differ in their limits hold each item once.
func TestListsShareItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		items := longItems(50, 4000)
		var subs []*listSub
		for n := range 50 {
			filter := ListFilter{Limit: n + 1}
			var copies []ListItem // as Postgres would return them
			for _, item := range items[:n+1] {
				copies = append(copies, ListItem{item.AgentID, append(json.RawMessage(nil), item.JSON...)})
			}
			src.setItems(filter, copies)
			subs = append(subs, watchList(t, hub, filter).s)
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		require.Equal(t, 50*len(items[0].JSON), hub.items.size())
		for _, s := range subs {
			hub.ListsChanged(hub.Watched())
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
			s.list.mu.Lock()
			require.NotZero(t, s.list.bytes)
			s.list.mu.Unlock()
		}
		require.Equal(t, 50*len(items[0].JSON), hub.items.size())
	})
}

// TestListBytes: a list that the server, or its socket, has no room for ends with an error, and others go on.
func TestListBytes(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*Config){
		LimitListBytes:          func(c *Config) { c.MaxListBytes = 100_000 },
		LimitListBytesPerSocket: func(c *Config) { c.MaxListBytesPerSocket = 100_000 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := make(chan string, 10)
			b := setup(t, limit, func(c *Config) { c.Limited = func(limit string) { limits <- limit } })
			b.src.setItems(ListFilter{AgentType: "small", Limit: 50}, longItems(10, 4000))
			b.src.setItems(ListFilter{AgentType: "large", Limit: 50}, longItems(22, 4000))
			c := b.open(t)
			c.send(`{"type":"subscribe","sub":"small","list":{"agent_type":"small"}}`)
			c.expect("snapshot", "small")
			c.send(`{"type":"subscribe","sub":"large","list":{"agent_type":"large"}}`)
			require.Equal(t, "limit", c.expect("error", "large").Code)
			require.Equal(t, name, <-limits)
			c.send(`{"type":"unsubscribe","sub":"small"}`)
			c.expect("unsubscribed", "small")
			c.send(`{"type":"subscribe","sub":"large","list":{"agent_type":"large"}}`)
			c.expect("snapshot", "large")
		})
	}
}
