package wsfeed

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/memory"
)

// longItems are items of so many bytes each.
func longItems(n, size int) (items []ListItem) {
	for range n {
		id := uuid.New()
		items = append(items, ListItem{AgentID: id, JSON: json.RawMessage(fmt.Sprintf(`{"agent_id":%q,"latest_log":%q}`, id, strings.Repeat("x", size)))})
	}
	return items
}

func (s *script) setItems(filter ListFilter, items []ListItem) {
	key, _ := json.Marshal(filter)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[string(key)] = items
}

// TestListFramesAreAtMostAMebibyte: a long list comes as a snapshot and changes, in its order, and what changes between two
// frames comes in its newest state.
func TestListFramesAreAtMostAMebibyte(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t)
		filter := ListFilter{Limit: match.MaxLimit}
		items := longItems(match.MaxLimit, 4000)
		src.setItems(filter, items)
		m := watchList(t, hub, filter)
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		have := make(map[uuid.UUID]string)
		var kinds []string
		var order []uuid.UUID
		pull := func() bool {
			f, err := m.s.next(t.Context())
			require.NoError(t, err)
			if f == nil {
				return false
			}
			require.LessOrEqual(t, len(f.Raw), 1<<20)
			var got struct {
				Items []struct {
					AgentID   uuid.UUID `json:"agent_id"`
					LatestLog string    `json:"latest_log"`
				}
				Removed []uuid.UUID
			}
			require.NoError(t, json.Unmarshal(f.Body, &got))
			for _, id := range got.Removed {
				delete(have, id)
			}
			for _, i := range got.Items {
				have[i.AgentID] = i.LatestLog
				order = append(order, i.AgentID)
			}
			kinds = append(kinds, f.Kind)
			hub.done(f, m.s.out.socket())
			return true
		}
		require.True(t, pull())
		require.True(t, m.s.holding())
		last, gone := items[len(items)-1].AgentID, items[len(items)-2].AgentID
		changed := append([]ListItem(nil), items[:len(items)-2]...)
		changed = append(changed, ListItem{AgentID: last, JSON: json.RawMessage(fmt.Sprintf(`{"agent_id":%q,"latest_log":"new"}`, last))})
		src.setItems(filter, changed)
		hub.ListsChanged(hub.Watched())
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		for pull() {
		}
		require.Equal(t, append([]string{"snapshot"}, strings.Split(strings.Repeat("changes ", len(kinds)-1), " ")[:len(kinds)-1]...), kinds)
		require.InDelta(t, 4, len(kinds), 1)
		require.Len(t, have, match.MaxLimit-1)
		require.Equal(t, "new", have[last])
		require.NotContains(t, have, gone)
		for i, item := range changed {
			require.Equal(t, item.AgentID, order[i], "each item comes once, in the list's order")
		}
		require.True(t, hub.budget.Take(new(memory.Hold), hub.cfg.MaxFrameBytes), "no bytes are counted any more")
	})
}
