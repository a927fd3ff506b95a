package sql_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// stats is what stats returns, read as a client would.
type stats struct {
	Since   time.Time      `json:"since"`
	Until   time.Time      `json:"until"`
	Bucket  float64        `json:"bucket"`
	Counts  map[string]int `json:"counts"`
	Active  int            `json:"active"`
	Stop    int            `json:"stopping"`
	Queued  *time.Time     `json:"oldest_queued_at"`
	Stale   *time.Time     `json:"oldest_stale_at"`
	Ended   ended          `json:"ended"`
	Series  []statsBucket  `json:"series"`
	Types   []statsType    `json:"types"`
	Fail    []failure      `json:"failures"`
	Counted int            `json:"failures_counted"`
}

type ended struct {
	Complete int `json:"complete"`
	Error    int `json:"error"`
	Canceled int `json:"canceled"`
}

type statsBucket struct {
	At      time.Time `json:"at"`
	Started int       `json:"started"`
	ended
}

type statsType struct {
	AgentType string   `json:"agent_type"`
	Running   int      `json:"running"`
	Ended     int      `json:"ended"`
	Error     int      `json:"error"`
	Canceled  int      `json:"canceled"`
	P50       *float64 `json:"p50"`
	P95       *float64 `json:"p95"`
	Series    []int    `json:"series"`
}

type failure struct {
	Message   string    `json:"message"`
	AgentType string    `json:"agent_type"`
	Count     int       `json:"count"`
	LastAt    time.Time `json:"last_at"`
	AgentID   uuid.UUID `json:"agent_id"`
}

func readStats(t *testing.T, q querier, arguments string, args ...any) (s stats) {
	t.Helper()
	text := one[json.RawMessage](t, q, "select agentexec.stats("+arguments+")", args...)
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&s))
	return s
}

// wantStats is the model: it computes from all rows what s says of its range.
func wantStats(s stats, rows []sortedRow) (want stats) {
	want = stats{Since: s.Since, Until: s.Until, Bucket: s.Bucket, Queued: nil, Stale: s.Stale, Fail: s.Fail, Stop: s.Stop,
		Counts: map[string]int{"QUEUED": 0, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0, "stale": s.Counts["stale"]}}
	width := time.Duration(s.Bucket * float64(time.Second))
	for at := s.Since; at.Before(s.Until); at = at.Add(width) {
		want.Series = append(want.Series, statsBucket{At: at})
	}
	types, took := map[string]*statsType{}, map[string][]float64{}
	within := func(at *time.Time) bool { return at != nil && !at.Before(s.Since) && at.Before(s.Until) }
	for _, r := range rows {
		want.Counts[r.Status]++
		if r.Status == "QUEUED" && (want.Queued == nil || r.CreatedAt.Before(*want.Queued)) {
			want.Queued = ptr(r.CreatedAt.UTC())
		}
		if within(r.StartedAt) {
			want.Series[r.StartedAt.Sub(s.Since)/width].Started++
		}
		if r.Status != "RUNNING" && !within(r.FinishedAt) {
			continue
		}
		of := types[r.AgentType]
		if of == nil {
			of = &statsType{AgentType: r.AgentType, Series: make([]int, 20)}
			types[r.AgentType] = of
		}
		if r.Status == "RUNNING" {
			of.Running++
			continue
		}
		for _, e := range []*ended{&want.Ended, &want.Series[r.FinishedAt.Sub(s.Since)/width].ended} {
			switch r.Status {
			case "COMPLETE":
				e.Complete++
			case "ERROR":
				e.Error++
			default:
				e.Canceled++
			}
		}
		of.Ended++
		of.Series[min(19, int(20*r.FinishedAt.Sub(s.Since)/s.Until.Sub(s.Since)))]++
		switch {
		case r.Status == "ERROR":
			of.Error++
		case r.Status == "CANCELED":
			of.Canceled++
		case r.StartedAt != nil:
			took[r.AgentType] = append(took[r.AgentType], r.FinishedAt.Sub(*r.StartedAt).Seconds())
		}
	}
	want.Active = want.Counts["QUEUED"] + want.Counts["RUNNING"]
	want.Counted = want.Ended.Error
	want.Types = []statsType{}
	for _, of := range types {
		of.P50, of.P95 = percentile(took[of.AgentType], 0.5), percentile(took[of.AgentType], 0.95)
		want.Types = append(want.Types, *of)
	}
	slices.SortFunc(want.Types, func(a, b statsType) int {
		if n := b.Running + b.Ended - a.Running - a.Ended; n != 0 {
			return n
		}
		return strings.Compare(a.AgentType, b.AgentType)
	})
	return want
}

// percentile interpolates between the two nearest values.
func percentile(values []float64, p float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := p * float64(len(values)-1)
	low := int(at)
	high := min(low+1, len(values)-1)
	return ptr(values[low] + (at-float64(low))*(values[high]-values[low]))
}

// requireStats compares stats with the model.
func requireStats(t *testing.T, s stats, rows []sortedRow) {
	t.Helper()
	want := wantStats(s, rows)
	for i := range want.Types {
		for _, p := range [][2]**float64{{&want.Types[i].P50, &s.Types[i].P50}, {&want.Types[i].P95, &s.Types[i].P95}} {
			if *p[0] != nil && *p[1] != nil && math.Abs(**p[0]-**p[1]) < 1e-5 {
				*p[0] = *p[1]
			}
		}
	}
	require.Equal(t, want, s)
}

// stats says of every range and scope what the rows say.
func TestStats(t *testing.T) {
	t.Parallel()
	b := &bundle{T: t, db: setup(t).db}
	b.pool = b.db.Pool(t)
	t.Cleanup(func() { b.db.Exec(t, "truncate agentexec.activity cascade") })
	conn := b.db.Conn(t)
	requireStats(t, readStats(t, conn, ""), nil)
	rows := setupSorted(b, 300)
	for _, arguments := range []string{"", "now() - interval '11 min', '30 s'", "now() - interval '9 min 50 s', '1 s'", "now() - interval '5 min'",
		"since => now() - interval '2 h', bucket => '7 min'", "now() - interval '365 days', '1 day'", "now() - interval '1 h', '2.5 s'", "bucket => '1 day'"} {
		requireStats(t, readStats(t, conn, arguments), rows)
		_, err := conn.Exec(t.Context(), `set agentexec.scope = '{"agent_types": ["a"], "metadata": {"org": 1}}'`)
		require.NoError(t, err)
		requireStats(t, readStats(t, conn, arguments), slices.DeleteFunc(slices.Clone(rows), func(r sortedRow) bool { return r.AgentType != "a" || r.Org != 1 }))
		_, err = conn.Exec(t.Context(), "reset agentexec.scope")
		require.NoError(t, err)
	}
	s := readStats(t, conn, "now() - interval '9 min 50 s', '7 s'")
	require.Zero(t, s.Since.Unix()%7, "buckets begin at multiples since 1970")
	require.NotZero(t, s.Ended.Complete)
	require.NotZero(t, *s.Types[0].P95)
}

// The 50 types with the most runs are returned.
func TestStatsOfManyTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 60 {
		b.exec("select agentexec.complete(agentexec.create_activity($1))", fmt.Sprintf("type %02d", n))
		if n >= 55 {
			b.exec("select agentexec.append_log(agentexec.create_activity($1), 'x', status => 'RUNNING')", fmt.Sprintf("type %02d", n))
		}
	}
	s := readStats(t, b.pool, "")
	require.Len(t, s.Types, 50)
	require.Equal(t, "type 55", s.Types[0].AgentType)
	require.Equal(t, 1, s.Types[0].Running)
	require.Equal(t, "type 44", s.Types[49].AgentType)
	require.Nil(t, s.Types[0].P50, "it never was RUNNING")
}

// A failure has the first line of the message that ended its activity, also with trailing lines behind it, and each message is
// counted once for a type.
func TestStatsFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fail := func(agentType, message string) uuid.UUID {
		id := b.create(agentType)
		b.exec("select agentexec.append_log($1, 'go', status => 'RUNNING')", id)
		b.exec("select agentexec.error($1, $2)", id, message)
		return id
	}
	fail("a", "out of memory\nat line 1")
	trailing := fail("a", "\r\n out of memory\r\nat line 2")
	b.exec("select agentexec.append_log($1, 'trailing ' || n) from generate_series(1, 3) n", trailing)
	other := fail("b", "out of memory")
	long := fail("b", strings.Repeat("é", 300))
	retried := fail("c", "first attempt")
	b.exec("select agentexec.append_log($1, 'again', status => 'RUNNING')", retried)
	b.exec("select agentexec.error($1, 'second attempt')", retried)
	running := fail("c", "it goes on")
	b.exec("select agentexec.append_log($1, 'again', status => 'RUNNING')", running)
	empty := fail("d", "")

	s := readStats(t, b.pool, "")
	for i := range s.Fail {
		require.Equal(t, one[time.Time](t, b.pool, "select finished_at from agentexec.activity where agent_id = $1", s.Fail[i].AgentID).UTC(), s.Fail[i].LastAt)
		s.Fail[i].LastAt = time.Time{}
	}
	require.Equal(t, []failure{
		{Message: "", AgentType: "d", Count: 1, AgentID: empty},
		{Message: "second attempt", AgentType: "c", Count: 1, AgentID: retried},
		{Message: strings.Repeat("é", 200), AgentType: "b", Count: 1, AgentID: long},
		{Message: "out of memory", AgentType: "b", Count: 1, AgentID: other},
		{Message: "out of memory", AgentType: "a", Count: 2, AgentID: trailing},
	}, s.Fail)
	require.Equal(t, 6, s.Ended.Error)
	require.Equal(t, 6, s.Counted)

	for n := range 25 {
		fail("e", fmt.Sprintf("failure %02d", n))
	}
	s = readStats(t, b.pool, "")
	require.Len(t, s.Fail, 20)
	require.Equal(t, "failure 24", s.Fail[0].Message)
	require.Equal(t, "failure 05", s.Fail[19].Message)
}

// Failures are counted among the newest 5,000, and failures_counted says so.
func TestStatsOfManyFailures(t *testing.T) {
	t.Parallel()
	b := &bundle{T: t, db: setup(t).db}
	b.pool = b.db.Pool(t)
	t.Cleanup(func() { b.db.Exec(t, "truncate agentexec.activity cascade") })
	b.exec(`insert into agentexec.activity (agent_id, agent_type, status, last_seq, created_at, updated_at, finished_at)
		select gen_random_uuid(), 'x', 'ERROR', 1, now() - interval '2 min', now() - interval '1 min', now() - interval '1 min' from generate_series(1, 5001)`)
	s := readStats(t, b.pool, "")
	require.Equal(t, 5001, s.Ended.Error)
	require.Equal(t, 5000, s.Counted)
	require.Equal(t, 5000, s.Fail[0].Count)
}

// stats returns the longest wait, the longest silence and the number of requests to cancel.
func TestStatsOfUnfinished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	queued := b.create("a")
	b.create("a")
	for _, silent := range []string{"2 min", "5 min"} {
		id := b.in("RUNNING")
		b.exec("select agentexec.heartbeat($1, '1 min')", id)
		b.exec(`update agentexec.activity_heartbeat h set beat_at = now() - $2::text::interval from agentexec.activity a where a.id = h.activity_id and a.agent_id = $1`, id, silent)
		b.exec(`update agentexec.activity set created_at = created_at - interval '1 h', updated_at = now() - interval '6 min', started_at = started_at - interval '1 h' where agent_id = $1`, id)
		b.exec(`update agentexec.activity_log l set created_at = l.created_at - interval '1 h' from agentexec.activity a where a.id = l.activity_id and a.agent_id = $1`, id)
		b.exec(`update agentexec.activity set updated_at = (select max(l.created_at) from agentexec.activity_log l where l.activity_id = activity.id) where agent_id = $1`, id)
	}
	b.exec("select agentexec.cancel($1)", b.in("RUNNING"))
	b.exec("select agentexec.cancel($1)", b.create("a"))
	s := readStats(t, b.pool, "")
	require.Equal(t, 1, s.Stop)
	require.Equal(t, one[time.Time](t, b.pool, "select created_at from agentexec.activity where agent_id = $1", queued).UTC(), *s.Queued)
	require.Equal(t, s.Counts["stale"], one[int](t, b.pool, "select (agentexec.count_by_status()->>'stale')::int"))
	// The server of a test may be younger than the promise; then nothing is stale yet.
	if s.Counts["stale"] > 0 {
		require.Equal(t, one[time.Time](t, b.pool, "select min(beat_at) from agentexec.activity_heartbeat").UTC(), *s.Stale)
	}
}

func TestStatsRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for arguments, words := range map[string][]string{
		"now() + interval '1 s'":                {"since must be in the past, at most 366 days ago"},
		"now() - interval '367 days'":           {"since", "366 days"},
		"null":                                  {"since", "null"},
		"'-infinity'":                           {"since"},
		"'infinity'":                            {"since"},
		"bucket => '0.5 s'":                     {"bucket must be between 1 second and 366 days", "00:00:00.5"},
		"bucket => '0'":                         {"bucket"},
		"bucket => '-1 min'":                    {"bucket"},
		"bucket => '400 days'":                  {"bucket"},
		"bucket => null":                        {"bucket", "null"},
		"now() - interval '1 day', '1 s'":       {"bucket must be at least 58 seconds for this range", "1500 buckets, got 1"},
		"now() - interval '366 days', '1 hour'": {"bucket must be at least"},
	} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.stats("+arguments+")")
		requireRefused(t, err, "TA422", words...)
	}
	require.LessOrEqual(t, len(readStats(t, b.pool, "now() - interval '1490 s', '1 s'").Series), 1500)
	require.LessOrEqual(t, len(readStats(t, b.pool, "now() - interval '1 day', '58 s'").Series), 1500)
}

// requireCheapStats: stats reads what ended in the range through the indexes, and lines of failures alone. It changes the
// times of the newest rows.
func requireCheapStats(t *testing.T, conn *pgx.Conn, activities int) {
	// The newest of the rows ended now.
	_, err := conn.Exec(t.Context(), `set session_replication_role = replica`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `update agentexec.activity a set created_at = a.created_at + m.d, started_at = a.started_at + m.d, finished_at = a.finished_at + m.d, updated_at = a.updated_at + m.d
		from (select statement_timestamp() - interval '1 s' - max(x.created_at) as d, max(x.created_at) - interval '2000 s' as old from agentexec.activity x) m
		where a.created_at > m.old`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "vacuum analyze agentexec.activity")
	require.NoError(t, err)
	for range 2 {
		c := measure(t, conn, "select agentexec.stats(statement_timestamp() - interval '1000 s')")
		counts := measure(t, conn, "select agentexec.count_by_status()") // which may read all
		require.Equal(t, counts.ActivitySeqScans, c.ActivitySeqScans)
		require.Zero(t, c.LogSeqScans)
		require.LessOrEqual(t, c.ActivityRows-counts.ActivityRows, 3*4*1100+3*activities/100, "what ended in 1,000 s, twice, and what is unfinished")
		require.LessOrEqual(t, c.LogRows, 20*400)
	}
}

// Activities outside the scope are in none of the numbers, types or failures.
func TestStatsInAScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.db.Conn(t)
	b.exec("select agentexec.error(agentexec.create_activity('mine'), 'mine')")
	b.exec("select agentexec.error(agentexec.create_activity('other'), 'other')")
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `set local agentexec.scope = '{"agent_types": ["mine"]}'`)
		require.NoError(t, err)
		text := one[string](t, tx, "select agentexec.stats()::text")
		require.NotContains(t, text, "other")
		require.Contains(t, text, `"message": "mine"`)
		return nil
	}))
}
