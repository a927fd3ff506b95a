package sql_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The key sets of the contract's JSON, sorted.
var (
	listKeys = []string{"items", "next", "page", "page_size", "pages", "total"}
	itemKeys = []string{"agent_id", "agent_type", "attempt", "cancel", "children", "created_at", "expect_every", "finished_at", "last_seen_at", "last_seq",
		"latest_log", "latest_log_truncated", "latest_percentage", "open_questions", "parent_agent_id", "root_agent_id", "stale", "started_at", "status", "updated_at"}
	detailKeys = []string{"agent_id", "agent_type", "attempt", "cancel", "children", "created_at", "expect_every", "finished_at", "last_seen_at", "last_seq",
		"latest_percentage", "logs", "open_questions", "parent_agent_id", "root_agent_id", "stale", "started_at", "status", "updated_at"}
	logKeys = []string{"attempt", "cancel_requested", "created_at", "data", "id", "message", "percentage", "seq", "status"}
)

type object = map[string]any

func keys(o object) []string { return slices.Sorted(maps.Keys(o)) }

func readJSON(t *testing.T, q querier, sql string, args ...any) object {
	t.Helper()
	var o object
	require.NoError(t, json.Unmarshal(one[json.RawMessage](t, q, sql, args...), &o))
	return o
}

func TestJSONShapes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := uuid.New()
	b.exec(`select agentexec.create_activity('research', 'hello', $1, '{"org": "1"}')`, agent)
	b.exec(`select agentexec.append_log($1, 'working', 30, 'RUNNING', '{"n": [1, true, null]}')`, agent)
	b.exec(`select agentexec.append_log($1, 'bare')`, agent)
	a := readActivity(t, b.pool, agent)

	list := readJSON(t, b.pool, "select agentexec.list_activities()")
	require.Equal(t, listKeys, keys(list))
	items, ok := list["items"].([]any)
	require.True(t, ok)
	require.Len(t, items, 1)
	created := readLine(t, b.pool, agent, 1).CreatedAt
	item := object{
		"agent_id": agent.String(), "agent_type": "research", "status": "RUNNING", "latest_log": "bare", "latest_log_truncated": false,
		"latest_percentage": 30.0, "last_seq": 3.0, "attempt": 1.0, "created_at": utc(created),
		"updated_at": utc(a.UpdatedAt), "started_at": utc(*a.StartedAt), "finished_at": nil,
		"last_seen_at": utc(a.UpdatedAt), "expect_every": nil, "stale": false, "cancel": nil,
		"parent_agent_id": nil, "root_agent_id": nil, "children": nil, "open_questions": 0.0,
	}
	require.Equal(t, itemKeys, keys(item))
	require.Equal(t, item, items[0])
	delete(list, "items")
	require.Equal(t, object{"total": 1.0, "page": 1.0, "page_size": 50.0, "pages": 1.0, "next": nil}, list)

	detail := readJSON(t, b.pool, "select agentexec.activity_detail($1)", agent)
	require.Equal(t, detailKeys, keys(detail))
	logs, ok := detail["logs"].([]any)
	require.True(t, ok)
	delete(detail, "logs")
	delete(item, "latest_log")
	delete(item, "latest_log_truncated")
	require.Equal(t, item, detail)

	require.Len(t, logs, 3)
	for i, want := range []object{
		{"seq": 1.0, "message": "hello", "status": "QUEUED", "percentage": 0.0, "data": nil},
		{"seq": 2.0, "message": "working", "status": "RUNNING", "percentage": 30.0, "data": object{"n": []any{1.0, true, nil}}},
		{"seq": 3.0, "message": "bare", "status": "RUNNING", "percentage": nil, "data": nil},
	} {
		want["id"] = one[float64](t, b.pool, "select id::float8 from agentexec.activity_log where seq = $1", i+1)
		want["created_at"] = utc(readLine(t, b.pool, agent, i+1).CreatedAt)
		want["attempt"], want["cancel_requested"] = 1.0, false
		require.Equal(t, logKeys, keys(want))
		require.Equal(t, want, logs[i])
	}

	// With metadata, and nothing else, on request.
	list = readJSON(t, b.pool, "select agentexec.list_activities(include_metadata => true)->'items'->0")
	require.Equal(t, object{"org": "1"}, list["metadata"])
	delete(list, "metadata")
	require.Equal(t, itemKeys, keys(list))
	detail = readJSON(t, b.pool, "select agentexec.activity_detail($1, include_metadata => true)", agent)
	require.Equal(t, object{"org": "1"}, detail["metadata"])
	delete(detail, "metadata")
	require.Equal(t, detailKeys, keys(detail))
	none := b.create("research")
	detail = readJSON(t, b.pool, "select agentexec.activity_detail($1, include_metadata => true)", none)
	require.Contains(t, detail, "metadata")
	require.Nil(t, detail["metadata"])
}

func TestActivityDetail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := uuid.New()
	b.exec(`select agentexec.create_activity('research', '1', $1, '{"org": "1", "deep": {"a": 1, "b": 2}}')`, agent)
	for i := 2; i <= 6; i++ {
		b.exec("select agentexec.append_log($1, $2::int::text)", agent, i)
	}
	messages := func(arguments string) []string {
		t.Helper()
		return all[string](t, b.pool, `select l.log->>'message' from jsonb_array_elements(
			agentexec.activity_detail(agent_id => $1`+arguments+`)->'logs') with ordinality l(log, n) order by l.n`, agent)
	}
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, messages(""))
	require.Equal(t, []string{"4", "5", "6"}, messages(", after_seq => 3"))
	require.Equal(t, []string{"4", "5"}, messages(", after_seq => 3, log_limit => 2"))
	require.Equal(t, []string{"1"}, messages(", log_limit => 1"))
	require.Empty(t, messages(", log_limit => 0"))
	require.Empty(t, messages(", after_seq => 6"))
	require.Empty(t, messages(", after_seq => 2147483647"))
	require.Len(t, messages(", log_limit => 2147483647"), 6)

	isNull := func(sql string, args ...any) bool {
		t.Helper()
		return one[bool](t, b.pool, "select agentexec.activity_detail("+sql+") is null", args...)
	}
	require.True(t, isNull("$1", uuid.New()))
	require.True(t, isNull("null"))
	for filter, found := range map[string]bool{
		`{}`: true, `null`: true, `{"org": "1"}`: true, `{"deep": {"b": 2}}`: true,
		`{"org": 1}`: false, `{"org": "2"}`: false, `{"other": "1"}`: false, `{"org": "1", "x": 1}`: false,
	} {
		require.Equal(t, !found, isNull("agent_id => $1, metadata_filter => $2", agent, []byte(filter)), filter)
	}
}

// Every time in every JSON is the same text, whatever the session asks for, and no cursor depends on it either.
func TestTimesAreUTCInAnySession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("ERROR")
	b.in("COMPLETE")
	read := func(q querier) []string {
		return all[string](t, q, `select unnest(array[agentexec.list_activities()::text,
			agentexec.list_activities(page_size => 1)->>'next', agentexec.activity_detail($1)::text,
			agentexec.list_activities(page_size => 1, after => agentexec.list_activities(page_size => 1)->>'next')::text])`, agent)
	}
	want := read(b.pool)
	require.Regexp(t, `"finished_at": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`, want[2])
	for _, settings := range [][2]string{
		{"Asia/Kathmandu", "ISO, DMY"}, {"America/St_Johns", "SQL, DMY"}, {"<+14>-14", "German, DMY"}, {"UTC", "Postgres, MDY"},
	} {
		conn := b.db.Conn(t)
		_, err := conn.Exec(t.Context(), "select set_config('TimeZone', $1, false), set_config('DateStyle', $2, false), "+
			"set_config('IntervalStyle', 'sql_standard', false), set_config('extra_float_digits', '-15', false)", settings[0], settings[1])
		require.NoError(t, err)
		require.Equal(t, want, read(conn), settings)
	}
}

// A year far away, and one before 1970, keep their microseconds.
func TestTimesKeepMicroseconds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	for _, at := range []string{"1969-12-31T23:59:59.999999Z", "2026-01-02T03:04:05.000001Z", "2254-06-07T08:09:10.123457Z"} {
		b.exec("update agentexec.activity set created_at = $1::text::timestamptz where agent_id = $2", at, agent)
		require.Equal(t, at, readJSON(t, b.pool, "select agentexec.activity_detail($1)", agent)["created_at"])
		require.True(t, one[bool](t, b.pool, `select p.created_at = a.created_at and p.id = a.agent_id and p.rank = 1
			from agentexec.activity a cross join agentexec._list_position(agentexec._list_key(a)) p`), "in a cursor as well")
	}
	b.exec("delete from agentexec.activity") // made up times break the invariants
}

func utc(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// The view's rows are the table's, with the message of the last line.
func TestActivityListView(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for status := range transitions {
		b.in(status)
	}
	rows, err := b.pool.Query(t.Context(), "select v.*, v.status::text as status from agentexec.activity_list v")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowToMap)
	require.NoError(t, err)
	require.Len(t, got, 5)
	for status, message := range map[string]string{
		"QUEUED": "Agent queued", "RUNNING": "go", "CANCELED": "go", "COMPLETE": "done", "ERROR": "done",
	} {
		i := slices.IndexFunc(got, func(row object) bool { return row["status"] == status })
		require.GreaterOrEqual(t, i, 0)
		require.Equal(t, message, got[i]["latest_log"])
	}
	require.Zero(t, one[int](t, b.pool, `select count(*) from (
		select agent_id, agent_type, status, latest_percentage, last_seq, attempt, created_at, started_at, updated_at,
			finished_at, metadata from agentexec.activity_list
		except select agent_id, agent_type, status, latest_percentage, last_seq, attempt, created_at, started_at, updated_at,
			finished_at, metadata from agentexec.activity) x`))
}
