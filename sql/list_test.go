package sql_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// listRow is what a list is ordered and filtered by.
type listRow struct {
	ID        uuid.UUID
	AgentID   uuid.UUID
	AgentType string
	Status    string
	Org       *string
	CreatedAt time.Time
}

func rank(status string) int {
	return map[string]int{"RUNNING": 2, "QUEUED": 1}[status]
}

// setupList makes activities with many equal created_at, and returns them in the order of a list.
func setupList(t *testing.T, n int) (*bundle, []listRow) {
	t.Helper()
	b := setup(t)
	for i := range n {
		agent := b.in([]string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}[i*7%5])
		b.exec(`update agentexec.activity set agent_type = $2, metadata = $3 where agent_id = $1`,
			agent, []string{"a", "b"}[i%2], []byte(fmt.Sprintf(`{"org": "%d"}`, i%3)))
		if i%4 > 0 { // all times of an activity move, so that the invariants hold
			b.exec(`update agentexec.activity a set created_at = d.at, started_at = a.started_at + (d.at - a.created_at),
					updated_at = a.updated_at + (d.at - a.created_at), finished_at = a.finished_at + (d.at - a.created_at)
				from (select timestamptz '2026-05-05' + make_interval(secs => $2)) d(at) where a.agent_id = $1`, agent, i%5)
		}
	}
	b.exec(`update agentexec.activity_log l set created_at = l.created_at + (a.created_at - f.created_at)
		from agentexec.activity a join agentexec.activity_log f on f.activity_id = a.id and f.seq = 1 where l.activity_id = a.id`)
	rows, err := b.pool.Query(t.Context(), `select a.id, a.agent_id, a.agent_type, a.status::text as status,
		a.metadata->>'org' as org, a.created_at from agentexec.activity a`)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[listRow])
	require.NoError(t, err)
	slices.SortFunc(list, func(a, b listRow) int {
		return cmp.Or(cmp.Compare(rank(b.Status), rank(a.Status)), b.CreatedAt.Compare(a.CreatedAt), bytes.Compare(b.AgentID[:], a.AgentID[:]))
	})
	return b, list
}

// page is an ActivityList, read as a client would.
type page struct {
	Items []struct {
		AgentID uuid.UUID `json:"agent_id"`
	} `json:"items"`
	Total    *int    `json:"total"`
	Page     *int    `json:"page"`
	PageSize int     `json:"page_size"`
	Pages    *int    `json:"pages"`
	Next     *string `json:"next"`
}

func (p page) agents() []uuid.UUID {
	agents := []uuid.UUID{}
	for _, item := range p.Items {
		agents = append(agents, item.AgentID)
	}
	return agents
}

// filter narrows a list.
type filter struct {
	statuses  []string
	agentType *string
	org       *string
}

func (f filter) matches(r listRow) bool {
	return (f.statuses == nil || slices.Contains(f.statuses, r.Status)) && (f.agentType == nil || *f.agentType == r.AgentType) &&
		(f.org == nil || r.Org != nil && *f.org == *r.Org)
}

func (f filter) of(list []listRow) []uuid.UUID {
	agents := []uuid.UUID{}
	for _, r := range list {
		if f.matches(r) {
			agents = append(agents, r.AgentID)
		}
	}
	return agents
}

func readPage(t *testing.T, q querier, f filter, number, size int, after *string) page {
	t.Helper()
	var metadata []byte
	if f.org != nil {
		metadata = fmt.Appendf(nil, `{"org": %q}`, *f.org)
	}
	var p page
	require.NoError(t, json.Unmarshal(one[json.RawMessage](t, q, `select agentexec.list_activities(page => $1, page_size => $2,
		statuses => $3::text[]::agentexec.status[], agent_type => $4, metadata_filter => $5, after => $6)`,
		number, size, f.statuses, f.agentType, metadata, after), &p))
	return p
}

// Pages by number and pages by key reach the same rows in the same order, whatever the filter.
func TestListPages(t *testing.T) {
	t.Parallel()
	b, list := setupList(t, 83)
	conn := b.db.Conn(t)
	all := []string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}
	for subset := range 1 << len(all) {
		f := filter{statuses: []string{}}
		for i, status := range all {
			if subset&(1<<i) != 0 {
				f.statuses = append(f.statuses, status)
			}
		}
		for _, agentType := range []*string{nil, ptr("a"), ptr("unknown")} {
			for _, org := range []*string{nil, ptr("1")} {
				f.agentType, f.org = agentType, org
				requirePages(t, conn, f, list, []int{1, 7, 20, 83, 1000}[subset%5])
			}
		}
	}
	for _, size := range []int{1, 2, 82, 83, 84} {
		requirePages(t, conn, filter{}, list, size)
	}
	requirePages(t, conn, filter{statuses: []string{"ERROR", "ERROR", "QUEUED"}}, list, 10)

	start := one[string](t, conn, "select agentexec._list_start()")
	for _, f := range []filter{{}, {statuses: []string{"RUNNING"}}, {statuses: []string{"ERROR"}}, {agentType: ptr("a")}} {
		require.Equal(t, f.of(list), readPage(t, conn, f, 1, 1000, &start).agents(), "by key from the start")
	}
}

func requirePages(t *testing.T, q querier, f filter, list []listRow, size int) {
	t.Helper()
	want := f.of(list)
	pages := (len(want) + size - 1) / size
	byNumber, byKey := []uuid.UUID{}, []uuid.UUID{}
	var next *string
	for n := 1; n <= max(pages, 1); n++ {
		p := readPage(t, q, f, n, size, nil)
		require.Equal(t, []int{len(want), n, size, pages}, []int{*p.Total, *p.Page, p.PageSize, *p.Pages}, f)
		require.Equal(t, n < pages, p.Next != nil, "next says whether there is more")
		byNumber = append(byNumber, p.agents()...)
		if n > 1 {
			k := readPage(t, q, f, 1, size, next)
			require.Nil(t, k.Total)
			require.Nil(t, k.Page)
			require.Nil(t, k.Pages)
			require.Equal(t, size, k.PageSize)
			require.Equal(t, p.Next, k.Next, "both ways have the same next")
			byKey = append(byKey, k.agents()...)
		} else {
			byKey = append(byKey, p.agents()...)
		}
		next = p.Next
	}
	require.Equal(t, want, byNumber, f)
	require.Equal(t, want, byKey, f)
	beyond := readPage(t, q, f, pages+7, size, nil)
	require.Empty(t, beyond.Items)
	require.Nil(t, beyond.Next)
	require.Equal(t, len(want), *beyond.Total)
}

// A cursor is a place in the one order of all activities, so it may be used with another filter.
func TestCursorOfOneListInAnother(t *testing.T) {
	t.Parallel()
	b, list := setupList(t, 40)
	conn := b.db.Conn(t)
	for i := range list[:len(list)-1] {
		after := readPage(t, conn, filter{}, i+1, 1, nil).Next
		for _, statuses := range [][]string{{"RUNNING"}, {"QUEUED"}, {"COMPLETE"}, {"CANCELED"}, {"QUEUED", "ERROR"}, nil} {
			for _, agentType := range []*string{nil, ptr("b")} {
				f := filter{statuses: statuses, agentType: agentType}
				require.Equal(t, f.of(list[i+1:]), readPage(t, conn, f, 1, 1000, after).agents(), "%v after %d", f, i)
			}
		}
	}
}

// Rows created while a client pages by key cause no repetition and hide no row.
func TestRowsInsertedBetweenPages(t *testing.T) {
	t.Parallel()
	b, list := setupList(t, 60)
	var seen []uuid.UUID
	var after *string
	for {
		p := readPage(t, b.pool, filter{}, 1, 7, after)
		seen = append(seen, p.agents()...)
		for status := range transitions { // before and behind the cursor
			b.in(status)
		}
		if after = p.Next; after == nil || len(seen) > 1000 {
			break
		}
	}
	old := filter{}.of(list)
	var got []uuid.UUID
	for _, agent := range seen {
		if slices.Contains(old, agent) {
			got = append(got, agent)
		}
	}
	require.Equal(t, old, got)
	slices.SortFunc(seen, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	require.Len(t, slices.Compact(slices.Clone(seen)), len(seen), "no row twice")
}

// An array is a list of statuses whatever its shape.
func TestStatusesOfAnyShape(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.in("QUEUED")
	for _, statuses := range []string{"{QUEUED}", "[0:0]={QUEUED}", "{{QUEUED}}", "{{QUEUED,ERROR}}"} {
		require.Equal(t, 1, one[int](t, b.pool, "select (agentexec.list_activities(statuses => $1::text::agentexec.status[])->>'total')::int", statuses), statuses)
	}
	require.Zero(t, one[int](t, b.pool, "select (agentexec.list_activities(statuses => '{}')->>'total')::int"))
}

func TestEmptyList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.JSONEq(t, `{"items": [], "total": 0, "page": 1, "page_size": 50, "pages": 0, "next": null}`,
		one[string](t, b.pool, "select agentexec.list_activities()::text"))
	require.JSONEq(t, `{"items": [], "total": null, "page": null, "page_size": 50, "pages": null, "next": null}`,
		one[string](t, b.pool, "select agentexec.list_activities(after => $1)::text", "2.1."+cursorID))
	require.JSONEq(t, `{"QUEUED": 0, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0, "stale": 0}`,
		one[string](t, b.pool, "select agentexec.count_by_status()::text"))
	require.Zero(t, one[int](t, b.pool, "select agentexec.count_active()"))
	require.Empty(t, all[uuid.UUID](t, b.pool, "select agentexec.pending_ids()"))
}

// The counts are those of the list, under the same filter; what is pending comes oldest first.
func TestCounts(t *testing.T) {
	t.Parallel()
	b, list := setupList(t, 40)
	for _, f := range []filter{{}, {agentType: ptr("a")}, {org: ptr("2")}, {agentType: ptr("b"), org: ptr("0")}, {agentType: ptr("x")}} {
		want := map[string]int{"QUEUED": 0, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0, "stale": 0}
		for _, r := range list {
			if f.matches(r) {
				want[r.Status]++
			}
		}
		var metadata []byte
		if f.org != nil {
			metadata = fmt.Appendf(nil, `{"org": %q}`, *f.org)
		}
		var got map[string]int
		require.NoError(t, json.Unmarshal(one[json.RawMessage](t, b.pool, "select agentexec.count_by_status($1, $2)", f.agentType, metadata), &got))
		require.Equal(t, want, got)
		if f.agentType == nil {
			require.Equal(t, want["QUEUED"]+want["RUNNING"], one[int](t, b.pool, "select agentexec.count_active($1)", metadata))
		}
	}
	pending := filter{statuses: []string{"QUEUED", "RUNNING"}}
	oldestFirst := slices.DeleteFunc(slices.Clone(list), func(r listRow) bool { return !pending.matches(r) })
	slices.SortFunc(oldestFirst, func(a, b listRow) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), bytes.Compare(a.AgentID[:], b.AgentID[:]))
	})
	require.Equal(t, filter{}.of(oldestFirst), all[uuid.UUID](t, b.pool, "select agentexec.pending_ids()"))
}
