package sql_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// setupTies makes n activities of one created_at, and returns their agent_ids in the order of a list.
func setupTies(b *bundle, n int) []uuid.UUID {
	b.Helper()
	b.exec(`with a as (insert into agentexec.activity (agent_id, agent_type, latest_percentage, last_seq, created_at, updated_at)
			select gen_random_uuid(), 'research', 0, 1, '2026-05-05', '2026-05-05' from generate_series(1, $1) returning id, created_at)
		insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, created_at)
		select nextval('agentexec.activity_log_id_seq'), a.id, 1, 'x', 'QUEUED', 0, a.created_at from a`, n)
	return all[uuid.UUID](b.T, b.pool, "select agent_id from agentexec.activity order by agent_id desc")
}

// Of a thousand activities of one created_at each is listed exactly once, and clients that sort by agent_id sort alike.
func TestTiesAreOrderedByAgentID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := setupTies(b, 1000)
	for _, f := range []filter{{}, {statuses: []string{"QUEUED"}}, {statuses: []string{"QUEUED", "RUNNING"}}, {agentType: ptr("research")}} {
		var byNumber, byKey []uuid.UUID
		var after *string
		for n := 1; n <= 10; n++ {
			byNumber = append(byNumber, readPage(t, b.pool, f, n, 100, nil).agents()...)
			p := readPage(t, b.pool, f, 1, 100, after)
			byKey = append(byKey, p.agents()...)
			after = p.Next
		}
		require.Equal(t, want, byNumber)
		require.Equal(t, want, byKey)
		require.Nil(t, after)
	}
	slices.Reverse(want)
	require.Equal(t, want, all[uuid.UUID](t, b.pool, "select agentexec.pending_ids()"))
}

// A cursor of an older version, which names the hidden id, goes on behind the same activity.
func TestCursorOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := setupTies(b, 20)
	old := one[string](t, b.pool, `select '1.' || (extract(epoch from a.created_at) * 1000000)::bigint || '.' || a.id
		from agentexec.activity a where a.agent_id = $1`, want[6])
	require.Equal(t, want[7:], readPage(t, b.pool, filter{}, 1, 100, &old).agents())
}

// listItem is an item with what a long line or metadata make of it.
type listItem struct {
	AgentID   uuid.UUID       `json:"agent_id"`
	LatestLog *string         `json:"latest_log"`
	Truncated *bool           `json:"latest_log_truncated"`
	Metadata  json.RawMessage `json:"metadata"`
}

func TestLatestLogIsCutAt500Characters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for message, truncated := range map[string]bool{
		"": false, "short": false, strings.Repeat("x", 500): false, strings.Repeat("x", 501): true, strings.Repeat("\U0001F642", 500): false,
		strings.Repeat("\U0001F642", 501): true, strings.Repeat("é", 250_000): true, strings.Repeat("a\u0301", 400): true,
	} {
		agent := b.create("research")
		b.exec("select agentexec.append_log($1, $2)", agent, message)
		item := one[listItem](t, b.pool, "select agentexec.list_activities(page_size => 1)->'items'->0")
		require.Equal(t, agent, item.AgentID)
		require.Equal(t, truncated, *item.Truncated)
		require.LessOrEqual(t, utf8.RuneCountInString(*item.LatestLog), 500)
		require.True(t, strings.HasPrefix(message, *item.LatestLog))
		require.Equal(t, truncated, len(message) > len(*item.LatestLog))
	}
}

// readAll follows "next" to the end, and checks the bounds of every page.
func readAll(t *testing.T, q querier, arguments string) (items []listItem, pages int) {
	t.Helper()
	var after *string
	for {
		text := one[string](t, q, "select agentexec.list_activities(after => $1, "+arguments+")::text", after)
		var p struct {
			Items []listItem `json:"items"`
			Next  *string    `json:"next"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &p))
		require.NotEmpty(t, p.Items)
		if len(p.Items) > 1 {
			require.LessOrEqual(t, len(text), 4<<20)
		}
		items = append(items, p.Items...)
		if pages, after = pages+1, p.Next; after == nil {
			return items, pages
		}
	}
}

func requireEachOnce(t *testing.T, n int, items []listItem) {
	t.Helper()
	seen := map[uuid.UUID]bool{}
	for _, item := range items {
		seen[item.AgentID] = true
	}
	require.Len(t, items, n)
	require.Len(t, seen, n)
}

// A page ends early once it holds 4 MiB, whatever its items are made of, and "next" goes on, also behind a numbered page.
func TestListPageHoldsFourMebibytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	setupTies(b, 1000)
	// The longest items without metadata: what JSON escapes, six bytes for each character.
	b.exec(`update agentexec.activity set agent_type = repeat(e'\x01', 255)`)
	b.exec(`update agentexec.activity_log set message = repeat(e'\x01', 1000)`)
	items, pages := readAll(t, b.pool, "page_size => 1000")
	requireEachOnce(t, 1000, items)
	require.Equal(t, 2, pages)
	for _, arguments := range []string{"page_size => 1000", "page_size => 1000, statuses => '{QUEUED}'"} {
		text := one[string](t, b.pool, "select agentexec.list_activities("+arguments+")::text")
		require.LessOrEqual(t, len(text), 4<<20)
		require.Contains(t, text, `"total": 1000`)
		require.Contains(t, text, `"next": "1.`)
	}

	for name, metadata := range map[string]string{
		"Compressible": "jsonb_build_object('a', repeat('x', 1000000))",
		"Long":         "(select jsonb_build_object('a', string_agg(md5(i::text), '')) from generate_series(1, 30000) i)",
		"WideNumbers":  "(select jsonb_build_object('a', jsonb_agg(1e1000::numeric)) from generate_series(1, 900) i)",
		"Huge":         "jsonb_build_object('a', repeat('x', 5000000))",
	} {
		b.exec("delete from agentexec.activity")
		setupTies(b, 12)
		b.exec("update agentexec.activity set metadata = " + metadata)
		items, pages := readAll(t, b.pool, "page_size => 1000, include_metadata => true")
		requireEachOnce(t, 12, items)
		require.GreaterOrEqual(t, pages, 3, name)
		for _, item := range items {
			require.Greater(t, len(item.Metadata), 900_000, name)
		}
		items, pages = readAll(t, b.pool, "page_size => 1000")
		requireEachOnce(t, 12, items)
		require.Equal(t, 1, pages)
	}
	items, _ = readAll(t, b.pool, "page_size => 5, include_metadata => true")
	requireEachOnce(t, 12, items)
}

// Each item has its own metadata: none, short, long, or long and stored in few bytes.
func TestItemsHaveTheirMetadata(t *testing.T) {
	t.Parallel()
	b := setup(t)
	setupTies(b, 40)
	b.exec(`update agentexec.activity a set metadata = case r.n % 4 when 0 then null when 1 then jsonb_build_object('n', r.n)
		when 2 then jsonb_build_object('n', r.n, 'text', repeat('x', 10000))
		else jsonb_build_object('n', r.n, 'text', (select string_agg(md5(i::text), '') from generate_series(1, 100) i)) end
		from (select x.id, row_number() over () as n from agentexec.activity x) r where r.id = a.id`)
	require.Equal(t, 10, one[int](t, b.pool, "select count(*)::int from agentexec.activity where pg_column_compression(metadata) is not null and pg_column_size(metadata) <= 300"))
	for _, page := range []string{"page_size => 1000", "page_size => 7"} {
		items, _ := readAll(t, b.pool, "include_metadata => true, "+page)
		requireEachOnce(t, 40, items)
		for _, item := range items {
			require.JSONEq(t, one[string](t, b.pool, "select coalesce(metadata::text, 'null') from agentexec.activity where agent_id = $1", item.AgentID), string(item.Metadata))
		}
	}
}

// A list of long lines reads their beginnings from the TOAST table.
func TestListReadsTheBeginningOfALongLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	setupTies(b, 50)
	b.exec(`update agentexec.activity_log set message = m.message
		from (select string_agg(md5(i::text), '') as message from generate_series(1, 10000) i) m`)
	conn := b.db.Conn(t)
	whole := fewestBlocks(t, conn, "select sum(octet_length(reverse(latest_log))) from agentexec.activity_list")
	for _, arguments := range []string{"", "statuses => '{QUEUED}'", "after => agentexec._list_start()"} {
		require.Less(t, fewestBlocks(t, conn, "select agentexec.list_activities("+arguments+")"), whole/3, arguments) // it also looks for children
	}
}

// A page calls a function only for the activities that need it: a call that is not inlined takes as long as reading several rows.
func TestListCallsFewFunctions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec("select agentexec.create_activity('research') from generate_series(1, 30)")
	parent, canceled := b.create("plan"), b.create("plan")
	b.child(parent, "part")
	b.exec("select agentexec.append_log($1, 'at work', null, 'RUNNING')", canceled)
	b.exec("select agentexec.cancel($1)", canceled)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "set local track_functions = 'all'")
		require.NoError(t, err)
		require.Len(t, one[map[string]any](t, tx, "select agentexec.list_activities()")["items"], 33)
		calls := one[map[string]int](t, tx, `select jsonb_object_agg(f.funcname, f.calls) from pg_stat_xact_user_functions f
			where f.calls > 1 or f.funcname in ('_children_json', '_cancel_json')`)
		require.Equal(t, map[string]int{"_children_json": 1, "_cancel_json": 1, "_visible_id": 2}, calls) // the parent and the root of one
		return nil
	}))
}
