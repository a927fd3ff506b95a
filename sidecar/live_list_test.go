package sidecar_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// liveList is a client's copy of a list, kept by the frames of one subscription on a socket of its own.
type liveList struct {
	so     *socket
	from   func(testing.TB) message // where the frames come from, nil for the socket
	items  map[uuid.UUID]map[string]any
	counts map[string]int
	frames []string
	// metadata is whether each item must have it.
	metadata bool
}

func (s *service) list(t testing.TB, filter string) *liveList {
	t.Helper()
	l := &liveList{so: s.open(t), metadata: strings.Contains(filter, "include_metadata")}
	l.so.send(t, `{"type":"subscribe","sub":"l","list":`+filter+`}`)
	m := l.next(t)
	require.Equal(t, "snapshot", m.Type, m.raw)
	require.NotContains(t, m.raw, `"removed"`)
	return l
}

// next takes one frame into the copy.
func (l *liveList) next(t testing.TB) message {
	t.Helper()
	if l.from == nil {
		l.from = l.so.next
	}
	m := l.from(t)
	require.Equal(t, "l", m.sub(), m.raw)
	var frame struct {
		Items   []map[string]any `json:"items"`
		Removed []uuid.UUID      `json:"removed"`
	}
	require.NoError(t, json.Unmarshal([]byte(m.raw), &frame))
	switch m.Type {
	case "snapshot":
		l.items = make(map[uuid.UUID]map[string]any)
	case "changes":
		require.NotNil(t, frame.Removed, m.raw)
	default:
		t.Fatalf("unexpected frame: %s", m.raw)
	}
	require.NotNil(t, frame.Items, m.raw)
	for _, id := range frame.Removed {
		delete(l.items, id)
	}
	for _, item := range frame.Items {
		id := uuid.MustParse(fmt.Sprint(item["agent_id"]))
		require.NotContains(t, frame.Removed, id)
		require.Contains(t, item, "latest_log")
		_, ok := item["metadata"]
		require.Equal(t, l.metadata, ok)
		l.items[id] = item
	}
	l.counts = m.Counts
	require.Len(t, l.counts, 6, m.raw)
	l.frames = append(l.frames, m.Type)
	return m
}

// shows takes frames until the copy is what Postgres has, and fails when that does not happen.
func (l *liveList) shows(t testing.TB, s *service, sql string, args ...any) {
	t.Helper()
	var text, counts string
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(), sql, args...).Scan(&text, &counts))
	var items []map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &items))
	want := make(map[uuid.UUID]map[string]any)
	for _, item := range items {
		want[uuid.MustParse(fmt.Sprint(item["agent_id"]))] = item
	}
	var wantCounts map[string]int
	require.NoError(t, json.Unmarshal([]byte(counts), &wantCounts))
	same := func() bool { return equalJSON(want, l.items) && equalJSON(wantCounts, l.counts) }
	for deadline := time.Now().Add(patience); !same() && time.Now().Before(deadline); {
		l.next(t)
	}
	require.Equal(t, want, l.items)
	require.Equal(t, wantCounts, l.counts)
}

func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	s := setup(t)
	create := func(kind string, metadata map[string]any, status client.Status) uuid.UUID {
		id, err := s.c.Create(t.Context(), kind, "queued", client.WithMetadata(metadata))
		require.NoError(t, err)
		if status != client.StatusQueued {
			s.write(t, id, status, "now "+string(status))
		}
		return id
	}
	org := func(n any) map[string]any { return map[string]any{"org": n, "deep": map[string]any{"a": []any{1, 2}}} }
	ids := map[string]uuid.UUID{
		"queued":   create("research", org("1"), client.StatusQueued),
		"running":  create("research", org(1), client.StatusRunning),
		"failed":   create("research", org(true), client.StatusError),
		"complete": create("coding", org("1"), client.StatusComplete),
		"canceled": create("coding", nil, client.StatusCanceled),
	}
	all := []string{"queued", "running", "failed", "complete", "canceled"}
	for filter, want := range map[string][]string{
		`{}`:                                     all,
		`{"statuses":null}`:                      all,
		`{"statuses":[]}`:                        all,
		`{"statuses":["RUNNING"]}`:               {"running"},
		`{"statuses":["ERROR","QUEUED"]}`:        {"failed", "queued"},
		`{"agent_type":"coding"}`:                {"complete", "canceled"},
		`{"agent_type":"unknown's"}`:             {},
		`{"metadata":{}}`:                        all,
		`{"metadata":{"org":"1"}}`:               {"queued", "complete"},
		`{"metadata":{"org":1}}`:                 {"running"},
		`{"metadata":{"org":1.0}}`:               {"running"},
		`{"metadata":[{"org":1},{"org":"1"}]}`:   {"queued", "running", "complete"},
		`{"metadata":[{"org":true},{"none":1}]}`: {"failed"},
		`{"metadata":[{"org":"1"},{}]}`:          all,
		`{"metadata":{"org":true}}`:              {"failed"},
		`{"metadata":{"org":false}}`:             {},
		`{"metadata":{"org":null}}`:              {},
		`{"metadata":{"deep":{"a":[2]}}}`:        {"queued", "running", "failed", "complete"},
		`{"metadata":{"org":"1"},"agent_type":"coding","statuses":["COMPLETE","RUNNING"],"limit":1000}`: {"complete"},
		`{"limit":2}`: {"running", "queued"}, // RUNNING first, then QUEUED
		`{"limit":1}`: {"running"},
	} {
		l := s.list(t, filter)
		var got []string
		for name, id := range ids {
			if _, ok := l.items[id]; ok {
				got = append(got, name)
			}
		}
		require.ElementsMatch(t, want, got, filter)
		require.Len(t, l.items, len(want), filter)
		// The counts are under the type and metadata, whatever the statuses.
		total := 0
		for _, n := range l.counts {
			total += n
		}
		switch {
		case strings.Contains(filter, "{}]"):
			require.Equal(t, len(all), total, filter)
		case strings.Contains(filter, "agent_type") || strings.Contains(filter, `"org"`) || strings.Contains(filter, "deep"):
			if !strings.Contains(filter, "statuses") {
				require.Equal(t, len(want), total, filter)
			}
		default:
			require.Equal(t, len(all), total, filter)
		}
	}
}

// TestListKeepsUp: under random changes, copies of lists of every kind become what list_activities and
// count_by_status say.
func TestListKeepsUp(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.ListRefresh = 300 * time.Millisecond }) // for what leaves no line
	type watch struct {
		filter, list, counts string
	}
	var copies []*liveList
	watches := []watch{
		{`{}`, `page_size => 50`, ``},
		{`{"limit":5}`, `page_size => 5`, ``},
		{`{"statuses":["RUNNING","QUEUED"],"limit":7}`, `page_size => 7, statuses => '{RUNNING,QUEUED}'`, ``},
		{`{"statuses":["ERROR"],"agent_type":"a"}`, `statuses => '{ERROR}', agent_type => 'a'`, `agent_type => 'a'`},
		{`{"metadata":{"vip":true},"limit":3}`, `page_size => 3, metadata_filter => '{"vip":true}'`, `metadata_filter => '{"vip":true}'`},
		{`{"sort":"created","order":"asc","limit":9}`, `page_size => 9, "order" => 'asc'`, ``},
		{`{"sort":"duration","limit":8}`, `page_size => 8, sort => 'duration'`, ``},
		{`{"sort":"activity","limit":8,"statuses":["RUNNING"]}`, `page_size => 8, sort => 'activity', statuses => '{RUNNING}'`, ``},
		{`{"sort":"activity","order":"asc","since":"1h","agent_type":"a"}`, `sort => 'activity', "order" => 'asc', since => now() - interval '1 h', agent_type => 'a'`,
			`agent_type => 'a', since => now() - interval '1 h'`},
		{`{"include_metadata":true,"limit":20}`, `page_size => 20, include_metadata => true`, ``},
		{`{"until":"1d"}`, `until => now() - interval '1 day'`, `until => now() - interval '1 day'`},
	}
	for _, w := range watches {
		copies = append(copies, s.list(t, w.filter))
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() { churn(t, s, w) })
	}
	writers.Wait()
	for i, w := range watches {
		sql := fmt.Sprintf(`select (agentexec.list_activities(%s)->'items')::text, agentexec.count_by_status(%s)::text`, w.list, w.counts)
		copies[i].shows(t, s, sql)
		require.Equal(t, "snapshot", copies[i].frames[0])
		require.NotContains(t, copies[i].frames[1:], "snapshot")
		// And a new subscriber gets the same.
		s.list(t, w.filter).shows(t, s, sql)
	}
	s.db.Exec(t, "delete from agentexec.activity")
	for i := range watches {
		copies[i].shows(t, s, `select '[]', agentexec.count_by_status()::text`)
	}
}

// churn creates, moves and deletes activities at random.
func churn(t *testing.T, s *service, worker int) {
	r := rand.New(rand.NewPCG(uint64(worker), 7))
	pool := s.db.Pool(t)
	statuses := []client.Status{client.StatusQueued, client.StatusRunning, client.StatusComplete, client.StatusError, client.StatusCanceled}
	var mine []uuid.UUID
	for range 60 {
		switch n := r.IntN(10); {
		case n < 3 || len(mine) == 0:
			id, err := s.c.Create(t.Context(), string("ab"[r.IntN(2)]), "queued", client.WithMetadata(map[string]any{"vip": r.IntN(2) == 0}))
			noError(t.Context(), t, err)
			mine = append(mine, id)
		case n == 9:
			at := r.IntN(len(mine))
			_, err := pool.Exec(t.Context(), "delete from agentexec.activity where agent_id = $1", mine[at])
			noError(t.Context(), t, err)
			mine = slices.Delete(mine, at, at+1)
		default:
			// Refused where the state machine forbids it.
			_, _ = s.c.Update(t.Context(), mine[r.IntN(len(mine))], "line", client.WithStatus(statuses[r.IntN(5)]), client.WithPercentage(r.IntN(101)))
		}
	}
}

func TestListItemsLeaveTheWindow(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var ids []uuid.UUID
	for range 4 {
		ids = append(ids, s.create(t))
	}
	l := s.list(t, `{"limit":2}`)
	holds := func(want ...uuid.UUID) {
		t.Helper()
		for {
			var have []uuid.UUID
			for id := range l.items {
				have = append(have, id)
			}
			if len(have) == len(want) && !slices.ContainsFunc(want, func(id uuid.UUID) bool { return !slices.Contains(have, id) }) {
				return
			}
			l.next(t)
		}
	}
	holds(ids[3], ids[2])
	s.write(t, ids[0], client.StatusRunning, "up")
	holds(ids[0], ids[3])
	s.write(t, ids[1], client.StatusRunning, "up")
	holds(ids[0], ids[1])
	_, err := s.c.Complete(t.Context(), ids[0], "")
	require.NoError(t, err)
	_, err = s.c.Complete(t.Context(), ids[1], "")
	require.NoError(t, err)
	holds(ids[3], ids[2])
}

// many makes n activities of one created_at, of every status, each with one line. messages is SQL.
func (s *service) many(t *testing.T, n int, message string) {
	t.Helper()
	s.db.Exec(t, fmt.Sprintf(`
		with a as (
			insert into agentexec.activity (agent_id, agent_type, status, latest_percentage, last_seq, created_at, updated_at, started_at, finished_at)
			select gen_random_uuid(), 'research', v.status, 0, 1, v.at, v.at, case when v.status <> 'QUEUED' then v.at end,
				case when v.status not in ('QUEUED', 'RUNNING') then v.at end
			from generate_series(1, %d) n
			cross join lateral (select timestamptz '2026-05-05', (enum_range(null::agentexec.status))[1 + n %% 5]) v(at, status)
			returning id, status, created_at)
		insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, created_at)
		select nextval('agentexec.activity_log_id_seq'), a.id, 1, %s, a.status, 0, a.created_at from a`, n, message))
}

// listed subscribes to a list and returns its items in the order they come in, once n are there, and the sizes of the frames.
func (s *service) listed(t *testing.T, filter string, n int) (items []listed, sizes []int) {
	t.Helper()
	so := s.open(t)
	so.send(t, `{"type":"subscribe","sub":"l","list":`+filter+`}`)
	for len(items) < n {
		m := so.next(t)
		var frame struct{ Items []listed }
		require.NoError(t, json.Unmarshal([]byte(m.raw), &frame))
		require.Equal(t, len(sizes) == 0, m.Type == "snapshot", m.Type)
		require.NotEmpty(t, frame.Items)
		items, sizes = append(items, frame.Items...), append(sizes, len(m.raw))
	}
	return items, sizes
}

type listed struct {
	AgentID   uuid.UUID     `json:"agent_id"`
	Status    client.Status `json:"status"`
	LatestLog string        `json:"latest_log"`
	Truncated bool          `json:"latest_log_truncated"`
}

// TestListOfLongLines: a list of 300 activities whose last line has 1 MB comes with the first 500 characters of each.
func TestListOfLongLines(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.many(t, 300, "repeat('é', 500000)")
	items, sizes := s.listed(t, `{"limit":1000}`, 300)
	require.Len(t, items, 300)
	for _, item := range items {
		require.Equal(t, strings.Repeat("é", 500), item.LatestLog)
		require.True(t, item.Truncated)
	}
	require.Len(t, sizes, 1)
	require.Less(t, sizes[0], 1<<20)
}

// TestListOfOneMoment: of a thousand activities of one created_at each comes exactly once, in the order of a list, in frames
// of at most 1 MiB.
func TestListOfOneMoment(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const n = 1000
	s.many(t, n, `repeat(e'\x01', 500)`) // six bytes each in JSON
	rank := map[client.Status]int{client.StatusRunning: 0, client.StatusQueued: 1, client.StatusComplete: 2, client.StatusError: 2, client.StatusCanceled: 2}
	inOrder := func(a, b listed) int {
		return cmp.Or(cmp.Compare(rank[a.Status], rank[b.Status]), -bytes.Compare(a.AgentID[:], b.AgentID[:]))
	}
	for filter, want := range map[string]int{`{"limit":1000}`: n, `{"limit":1000,"statuses":["RUNNING","ERROR"]}`: 2 * n / 5} {
		items, sizes := s.listed(t, filter, want)
		require.Len(t, items, want)
		require.True(t, slices.IsSortedFunc(items, inOrder), filter)
		ids := make(map[uuid.UUID]bool)
		for _, item := range items {
			ids[item.AgentID] = true
		}
		require.Len(t, ids, want, filter)
		total := 0
		for _, size := range sizes {
			require.LessOrEqual(t, size, 1<<20)
			total += size
		}
		require.Less(t, total, 4<<20)
		require.Greater(t, len(sizes), 1)
	}
}

// TestBadListHarmsNoOtherList: what one client asks for must not stop the feed of another.
func TestBadListHarmsNoOtherList(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	so, bad := s.open(t), s.open(t)
	so.sub(t, "a", id, 1)
	for n, filter := range []string{
		`{"metadata":{"a":"\u0000"}}`, `{"metadata":{"\u0000":1}}`, `{"metadata":{"a":1e131072}}`, `{"metadata":{"a":1e-16384}}`,
		`{"metadata":{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`, `{"agent_type":"\u0000"}`,
		`{"metadata":{"a":0.` + strings.Repeat("9", 30000) + `}}`, `{"metadata":{"a":1e1000,"b":1e-1000}}`,
		`{"metadata":{"a":"\ud800"},"agent_type":"\ud800"}`, `{"metadata":{"a":` + strings.Repeat("9", 1000) + `}}`,
		`{"metadata":{"a":` + strings.Repeat(`{"b":`, 99) + "1" + strings.Repeat("}", 99) + `}}`,
		`{"agent_type":"` + strings.Repeat("x", 60000) + `"}`,
		`{"agent_type":"'; drop table agentexec.activity; --"}`,
	} {
		bad.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"%d","list":%s}`, n, filter))
		m := bad.next(t) // an error or a list, but an answer
		require.Contains(t, []string{"error", "snapshot"}, m.Type, filter)
		s.append(t, id, fmt.Sprint(n))
		require.Equal(t, fmt.Sprint(n), so.lines(t, n+1, 1)[0].Message)
	}
}

// snapshotOrder subscribes to a list and returns the names of its items in the order of the snapshot.
func (s *service) snapshotOrder(t *testing.T, filter string, ids map[uuid.UUID]string, n int) (names []string) {
	t.Helper()
	items, _ := s.listed(t, filter, n)
	for _, item := range items {
		names = append(names, ids[item.AgentID])
	}
	return names
}

// The items of a snapshot come in the order that was asked for, within the range that was asked for.
func TestListOrdersAndRanges(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ids := map[uuid.UUID]string{}
	for name, times := range map[string][2]string{"long": {"20 min", "5 min"}, "short": {"10 min", "9 min"}, "old": {"3 h", "175 min"}} {
		id := s.create(t)
		ids[id] = name
		s.write(t, id, client.StatusComplete, "done")
		s.db.Exec(t, "update agentexec.activity set created_at = now() - $2::text::interval, finished_at = now() - $3::text::interval where agent_id = $1", id, times[0], times[1])
	}
	for filter, want := range map[string][]string{
		`{}`:                                 {"short", "long", "old"},
		`{"sort":"created","order":"asc"}`:   {"old", "long", "short"},
		`{"sort":"duration"}`:                {"long", "old", "short"},
		`{"sort":"duration","order":"asc"}`:  {"short", "old", "long"},
		`{"sort":"activity","order":"desc"}`: {"long", "short", "old"},
		`{"since":"1h","sort":"duration"}`:   {"long", "short"},
		`{"until":"1h"}`:                     {"old"},
		`{"since":"2h","until":"15m"}`:       {"long"},
		`{"since":"` + time.Now().Add(-time.Hour).Format(time.RFC3339Nano) + `"}`: {"short", "long"},
	} {
		require.Equal(t, want, s.snapshotOrder(t, filter, ids, len(want)), filter)
		total := 0
		for _, n := range s.list(t, filter).counts {
			total += n
		}
		require.Equal(t, len(want), total, filter)
	}
}

// A range that is a duration moves on: an activity leaves a list without a line.
func TestListRangeSlides(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.ListRefresh = 200 * time.Millisecond })
	id := s.create(t)
	s.write(t, id, client.StatusComplete, "done")
	l := s.list(t, `{"since":"3s"}`)
	for len(l.items) == 0 { // unless it has left already
		if l.counts["COMPLETE"] == 0 {
			break
		}
		l.next(t)
	}
	for len(l.items) > 0 || l.counts["COMPLETE"] > 0 {
		l.next(t)
	}
}
