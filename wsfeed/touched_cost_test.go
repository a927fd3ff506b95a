package wsfeed

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// TestTouchedCostIgnoresWatchedCount: to find the lists of an activity takes as much with one list as with 2,000 of other
// scopes and filters, be its metadata known already or not.
func TestTouchedCostIgnoresWatchedCount(t *testing.T) { // not parallel: it counts allocations
	hub, _ := newHub(t)
	join := func(n int) {
		scope := client.Scope{Metadata: map[string]any{"org": fmt.Sprint(n)}}
		filter := ListFilter{Limit: 50, Metadata: json.RawMessage(fmt.Sprintf(`{"team":%d}`, n))}
		t.Cleanup(hub.joinList(filter, "l", viewer{scope: newFeedScope(scope)}).leave)
	}
	activity := []Activity{{ID: uuid.New(), AgentID: uuid.New(), AgentType: "research"}}
	looks := 0
	touch := func() {
		require.NoError(t, hub.Touched(activity, func(_ []Activity, take func(int, json.RawMessage)) error {
			looks++
			take(0, json.RawMessage(`{"org":"1","team":2,"data":{"a":[1,2,3]}}`))
			return nil
		}))
	}
	newcomer := func() {
		activity[0].ID = uuid.New()
		touch()
	}
	cost := func() (known, unknown float64) {
		newcomer()
		before := looks
		known = testing.AllocsPerRun(100, touch)
		require.Equal(t, before, looks, "the metadata is known")
		return known, testing.AllocsPerRun(100, newcomer)
	}
	join(1)
	known, unknown := cost()
	for n := range 2000 {
		join(n + 2)
	}
	knownMany, unknownMany := cost()
	require.LessOrEqual(t, knownMany, known+2)
	require.LessOrEqual(t, unknownMany, unknown+5)
}
