package sql_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// sortedRow has the columns that decide where an activity is in a list.
type sortedRow struct {
	AgentID    uuid.UUID
	AgentType  string
	Status     string
	Org        int
	CreatedAt  time.Time
	StartedAt  *time.Time
	UpdatedAt  time.Time
	FinishedAt *time.Time
}

// sortedList asks for a list in every way.
type sortedList struct {
	Sort, Order  string
	Statuses     []string
	AgentType    *string
	Org          *int
	Since, Until *time.Time
	Prefix       *string
}

func (l sortedList) has(r sortedRow) bool {
	return (l.Statuses == nil || slices.Contains(l.Statuses, r.Status)) && (l.AgentType == nil || *l.AgentType == r.AgentType) &&
		(l.Org == nil || *l.Org == r.Org) && (l.Since == nil || r.FinishedAt == nil || !r.FinishedAt.Before(*l.Since)) &&
		(l.Until == nil || r.CreatedAt.Before(*l.Until)) &&
		(l.Prefix == nil || strings.HasPrefix(strings.ReplaceAll(r.AgentID.String(), "-", ""), strings.ToLower(*l.Prefix)))
}

// key is what grows with the sort: how long an activity has run, or a time.
func (l sortedList) key(r sortedRow, now time.Time) int64 {
	started := r.CreatedAt
	if r.StartedAt != nil && r.Status != "QUEUED" {
		started = *r.StartedAt
	}
	switch {
	case l.Sort == "created":
		return r.CreatedAt.UnixMicro()
	case l.Sort == "duration" && r.FinishedAt == nil:
		return now.Sub(started).Microseconds()
	case l.Sort == "duration":
		return r.FinishedAt.Sub(started).Microseconds()
	case r.FinishedAt == nil:
		return r.UpdatedAt.UnixMicro()
	}
	return r.FinishedAt.UnixMicro()
}

// of returns the model's list of the rows.
func (l sortedList) of(rows []sortedRow) []uuid.UUID {
	now, found := time.Now(), []sortedRow{}
	for _, r := range rows {
		if l.has(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b sortedRow) int {
		within := cmp.Or(cmp.Compare(l.key(a, now), l.key(b, now)), bytes.Compare(a.AgentID[:], b.AgentID[:]))
		if l.Order == "desc" {
			within = -within
		}
		return cmp.Or(cmp.Compare(rank(b.Status), rank(a.Status)), within)
	})
	ids := make([]uuid.UUID, len(found))
	for i, r := range found {
		ids[i] = r.AgentID
	}
	return ids
}

func (l sortedList) read(t *testing.T, q querier, number, size int, after *string) page {
	t.Helper()
	var metadata []byte
	if l.Org != nil {
		metadata = fmt.Appendf(nil, `{"org": %d}`, *l.Org)
	}
	var p page
	require.NoError(t, json.Unmarshal(one[json.RawMessage](t, q, `select agentexec.list_activities(page => $1, page_size => $2,
		statuses => $3::text[]::agentexec.status[], agent_type => $4, metadata_filter => $5, after => $6, sort => $7, "order" => $8,
		since => $9, until => $10, id_prefix => $11)`,
		number, size, l.Statuses, l.AgentType, metadata, after, l.Sort, l.Order, l.Since, l.Until, l.Prefix), &p))
	return p
}

// requireSorted reads a list by number and by key, and compares both with the model.
func requireSorted(t *testing.T, q querier, l sortedList, rows []sortedRow, size int) {
	t.Helper()
	what, err := json.Marshal(l)
	require.NoError(t, err)
	want := l.of(rows)
	byNumber, byKey := []uuid.UUID{}, []uuid.UUID{}
	after := ptr(one[string](t, q, "select agentexec._list_start()"))
	for n := 1; ; n++ {
		p := l.read(t, q, n, size, nil)
		require.Equal(t, len(want), *p.Total, "%s", what)
		byNumber = append(byNumber, p.agents()...)
		if n >= *p.Pages {
			break
		}
	}
	for after != nil {
		p := l.read(t, q, 1, size, after)
		require.Nil(t, p.Total)
		byKey = append(byKey, p.agents()...)
		after = p.Next
	}
	require.Equal(t, want, byNumber, "%s", what)
	require.Equal(t, want, byKey, "%s by key", what)
}

// setupSorted makes n activities with many equal times, past the functions.
func setupSorted(b *bundle, n int) []sortedRow {
	b.Helper()
	b.exec(`with a as (
			insert into agentexec.activity (agent_id, agent_type, status, latest_percentage, last_seq, metadata, created_at, started_at, updated_at, finished_at)
			select case when n % 9 = 0 then ('abcdef' || substr(md5(n::text), 7))::uuid else md5(n::text)::uuid end, (array['a', 'b'])[1 + n % 2], s.status, 0, 1,
				jsonb_build_object('org', n % 3), t.at, case when s.status <> 'QUEUED' and n % 7 > 0 then t.at + n % 4 * interval '1 s' end,
				t.at + interval '20 s' + n % 3 * interval '1 ms', case when s.status not in ('QUEUED', 'RUNNING') then t.at + n % 5 * interval '3.000001 s' + interval '4 s' end
			from generate_series(1, $1) n
			cross join lateral (select now() - interval '10 min' + (n * 7 % 11) * interval '1 s') t(at)
			cross join lateral (select (enum_range(null::agentexec.status))[1 + n * 3 % 5]) s(status)
			returning id, status, created_at)
		insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, created_at)
		select nextval('agentexec.activity_log_id_seq'), a.id, 1, 'x', a.status, 0, a.created_at from a`, n)
	rows, err := b.pool.Query(b.Context(), `select a.agent_id, a.agent_type, a.status::text as status, (a.metadata->>'org')::int as org,
		a.created_at, a.started_at, a.updated_at, a.finished_at from agentexec.activity a`)
	require.NoError(b, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[sortedRow])
	require.NoError(b, err)
	return all
}

// Pages by number and by key give every row once and in order, whatever the sort, order, range, filter and scope.
func TestListSorts(t *testing.T) {
	t.Parallel()
	b := &bundle{T: t, db: setup(t).db}
	b.pool = b.db.Pool(t)
	rows := setupSorted(b, 120)
	t.Cleanup(func() { b.db.Exec(t, "truncate agentexec.activity cascade") }) // these rows have one line each
	conn := b.db.Conn(t)
	for _, sort := range []string{"created", "duration", "activity"} {
		for _, order := range []string{"desc", "asc"} {
			for _, size := range []int{1, 7, 120, 1000} {
				requireSorted(t, conn, sortedList{Sort: sort, Order: order}, rows, size)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	maybe := func() bool { return r.IntN(3) == 0 }
	for range 120 {
		l := sortedList{Sort: []string{"created", "duration", "activity"}[r.IntN(3)], Order: []string{"desc", "asc"}[r.IntN(2)]}
		visible := rows
		if maybe() {
			for _, status := range []string{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"} {
				if r.IntN(2) == 0 {
					l.Statuses = append(l.Statuses, status)
				}
			}
		}
		if maybe() {
			l.AgentType = ptr([]string{"a", "b", "none"}[r.IntN(3)])
		}
		if maybe() {
			l.Org = ptr(r.IntN(4))
		}
		if maybe() { // a time that some activities have, so that the bounds are looked at
			l.Until = ptr(rows[r.IntN(len(rows))].CreatedAt)
		}
		if at := rows[r.IntN(len(rows))].FinishedAt; maybe() && at != nil {
			l.Since = at
		}
		if r.IntN(6) == 0 {
			l.Prefix = ptr([]string{"ABCDEF", "abcd", strings.ReplaceAll(rows[0].AgentID.String(), "-", "")}[r.IntN(3)])
		}
		scope := ""
		if maybe() {
			org := r.IntN(3)
			scope = fmt.Sprintf(`{"agent_types": ["a"], "metadata": {"org": %d}}`, org)
			visible = slices.DeleteFunc(slices.Clone(rows), func(x sortedRow) bool { return x.AgentType != "a" || x.Org != org })
		}
		_, err := conn.Exec(t.Context(), "select set_config('agentexec.scope', $1, false)", scope)
		require.NoError(t, err)
		requireSorted(t, conn, l, visible, 1+r.IntN(40))
		requireCounts(t, conn, l, visible)
	}
}

// requireCounts compares count_by_status with the model, under the filter but for its statuses and prefix.
func requireCounts(t *testing.T, q querier, l sortedList, rows []sortedRow) {
	t.Helper()
	l.Statuses, l.Prefix = nil, nil
	want := map[string]int{"QUEUED": 0, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0, "stale": 0}
	for _, r := range rows {
		if l.has(r) {
			want[r.Status]++
		}
	}
	var metadata []byte
	if l.Org != nil {
		metadata = fmt.Appendf(nil, `{"org": %d}`, *l.Org)
	}
	require.Equal(t, want, one[map[string]int](t, q, "select agentexec.count_by_status($1, $2, $3, $4)", l.AgentType, metadata, l.Since, l.Until))
}

// A key belongs to its sort: with another one it would go on anywhere.
func TestListKeyOfAnotherSort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.in("RUNNING")
	b.in("RUNNING")
	for _, sort := range []string{"created", "duration", "activity"} {
		next := one[string](t, b.pool, "select agentexec.list_activities(page_size => 1, sort => $1)->>'next'", sort)
		for _, other := range []string{"created", "duration", "activity"} {
			_, err := b.pool.Exec(t.Context(), "select agentexec.list_activities(after => $1, sort => $2)", next, other)
			if other == sort {
				require.NoError(t, err)
				continue
			}
			requireRefused(t, err, "TA422", "after", "same sort")
		}
	}
}

func TestListSortRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for arguments, words := range map[string][]string{
		`sort => 'name'`:                  {"sort must be created, duration or activity", `"name"`},
		`sort => ''`:                      {"sort"},
		`sort => null`:                    {"sort", "null"},
		`"order" => 'up'`:                 {"order must be desc or asc", `"up"`},
		`"order" => null`:                 {"order", "null"},
		`id_prefix => 'abc'`:              {"id_prefix must be 4 to 32 hexadecimal digits", `"abc"`},
		`id_prefix => ''`:                 {"id_prefix"},
		`id_prefix => 'xyzw'`:             {"id_prefix"},
		`id_prefix => repeat('a', 33)`:    {"id_prefix"},
		`sort => 'duration', page => 0`:   {"page"},
		`sort => 'duration', after => ''`: {"after"},
		`sort => 'activity', after => 'a9.1~00000000-0000-0000-0000-000000000000'`: {"after"},
	} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.list_activities("+arguments+")")
		requireRefused(t, err, "TA422", words...)
	}
}

// Callers of the former signature keep working, by position and by name.
func TestListOfAFormerCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	for _, call := range []string{
		"agentexec.list_activities(1, 50, '{RUNNING}', 'research', '{}', null, false, false)",
		"agentexec.list_activities(page => 1, page_size => 50, statuses => '{RUNNING}', agent_type => 'research', metadata_filter => '{}', after => null, include_metadata => false, stale => false)",
	} {
		require.Equal(t, agent, one[uuid.UUID](t, b.pool, "select ("+call+"->'items'->0->>'agent_id')::uuid"))
	}
	for _, call := range []string{"count_by_status('research', '{}')", "count_by_status(agent_type => 'research', metadata_filter => '{}')"} {
		require.Equal(t, 1, one[int](t, b.pool, "select (agentexec."+call+"->>'RUNNING')::int"))
	}
}

// requireCheapSorts: where most activities are finished, a page in any order reads the rows that it shows, not the table.
func requireCheapSorts(t *testing.T, conn *pgx.Conn, activities int) {
	pending := 2 * activities / 100
	for _, statuses := range []string{"null", "'{COMPLETE}'", "'{COMPLETE,ERROR,CANCELED}'", "'{ERROR,CANCELED}'"} {
		for _, order := range []string{`sort => 'created', "order" => 'asc'`, `sort => 'duration'`, `sort => 'duration', "order" => 'asc'`,
			`sort => 'activity'`, `sort => 'activity', "order" => 'asc'`} {
			call := "agentexec.list_activities(statuses => " + statuses + ", " + order + ", after => $1)"
			after := one[string](t, conn, "select agentexec._list_start()")
			for range 3 {
				most := 4*51 + 51
				if statuses == "null" {
					most += pending // by last activity the unfinished ones are sorted
				}
				c := requireCheap(t, conn, 50, most, "select "+call, after)
				require.Equal(t, 50, c.LogRows, call)
				after = one[string](t, conn, "select "+call+"->>'next'", after)
			}
		}
	}
	// A range is read through the index of its end.
	for _, call := range []string{
		"list_activities(since => $1, after => agentexec._list_start())", `list_activities(since => $1, "order" => 'asc', after => agentexec._list_start())`,
		"list_activities(since => $1, sort => 'activity', after => agentexec._list_start())", "count_by_status(since => $1)", "list_activities(since => $1)",
	} {
		since := one[time.Time](t, conn, "select max(a.finished_at) - interval '50 s' from agentexec.activity a") // 200 activities
		require.Zero(t, measure(t, conn, "select agentexec."+call, since).ActivitySeqScans)
		require.LessOrEqual(t, measure(t, conn, "select agentexec."+call, since).ActivityRows, 2*pending+1000, call)
	}
	for range 2 {
		requireCheap(t, conn, 50, 4*51+51, `select agentexec.list_activities(statuses => '{COMPLETE}', until => $1, after => agentexec._list_start())`,
			time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC))
	}
	prefix := one[string](t, conn, "select left(md5('77'), 6)")
	requireCheap(t, conn, 10, 20, "select agentexec.list_activities(id_prefix => $1)", prefix)
	requireCheap(t, conn, 10, 40, "select agentexec.list_activities(id_prefix => $1, sort => 'duration')", prefix)
}
