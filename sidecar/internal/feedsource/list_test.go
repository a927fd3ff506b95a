package feedsource

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/wsfeed"
)

// TestItemsEndWithLastSeenAt: an item of a live list says what list_activities says, and last_seen_at is its last key, whatever
// else the item holds. By that, wsfeed tells a heartbeat from a change.
func TestItemsEndWithLastSeenAt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := db.Pool(t)
	var id uuid.UUID
	require.NoError(t, pool.QueryRow(t.Context(), `select agentexec.create_activity('research', 'queued', metadata => '{"last_seen_at":"never"}')`).Scan(&id))
	db.Exec(t, `select agentexec.append_log($1::uuid, '"last_seen_at":"', status => 'RUNNING')`, id)
	db.Exec(t, `select agentexec.cancel($1::uuid, '"last_seen_at":"', requested_by => '{"last_seen_at":"now"}')`, id)

	read := func() string {
		db.Exec(t, `select agentexec.heartbeat($1::uuid, '1 min')`, id)
		items, err := New(pool, "agentexec").List(t.Context(), wsfeed.ListFilter{Limit: 50, IncludeMetadata: true}, client.Scope{}, nil)
		require.NoError(t, err)
		require.Len(t, items, 1)
		require.Equal(t, id, items[0].AgentID)
		return string(items[0].JSON)
	}
	cut := func(item string) (rest, seen string) {
		i := strings.LastIndex(item, `"last_seen_at":"`)
		require.Positive(t, i)
		return item[:i], item[i:]
	}
	before, seenBefore := cut(read())
	item := read()
	after, seenAfter := cut(item)
	require.Equal(t, before, after)
	require.Regexp(t, `^"last_seen_at":"[-0-9T:.]+Z"}$`, seenAfter)
	require.NotEqual(t, seenBefore, seenAfter)

	var listed string
	require.NoError(t, pool.QueryRow(t.Context(), "select agentexec.list_activities(include_metadata => true)->'items'->>0").Scan(&listed))
	require.JSONEq(t, listed, item)
}

// TestHeldItemsAreLeftOut: in a list, the items that the feed holds come without their JSON, at their places, and the others whole.
func TestHeldItemsAreLeftOut(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := db.Pool(t)
	var ids []uuid.UUID
	for range 4 {
		var id uuid.UUID
		require.NoError(t, pool.QueryRow(t.Context(), `select agentexec.create_activity('research', 'queued', metadata => jsonb_build_object('long', repeat('x', 400)))`).Scan(&id))
		ids = append([]uuid.UUID{id}, ids...) // the newest comes first
	}
	for _, filter := range []wsfeed.ListFilter{
		{Limit: 3}, {Limit: 3, IncludeMetadata: true}, {Limit: 3, Sort: "activity"}, {Limit: 3, AgentType: "research", Order: "desc"},
	} {
		read := func(held ...uuid.UUID) []wsfeed.ListItem {
			items, err := New(pool, "agentexec").List(t.Context(), filter, client.Scope{}, held)
			require.NoError(t, err)
			return items
		}
		whole := read()
		require.Len(t, whole, 3)
		want := []wsfeed.ListItem{{AgentID: ids[0]}, whole[1], {AgentID: ids[2]}}
		require.Equal(t, want, read(ids[2], uuid.New(), ids[3], ids[0]))
		require.Equal(t, []wsfeed.ListItem{{AgentID: ids[0]}, {AgentID: ids[1]}, {AgentID: ids[2]}}, read(ids...))
	}
}
