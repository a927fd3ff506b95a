package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// TestAPIRefuses sends everything a client may get wrong. Nothing is written, nothing is logged, and the problem says
// what is wrong.
func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id, taken, done := b.create(t), b.create(t), b.create(t)
	_, err := b.client.Complete(t.Context(), done, "")
	require.NoError(t, err)
	before := b.contents(t)
	logs, unknown := path(id)+"/logs", path(uuid.New())
	const (
		create  = "/v1/activities"
		pending = "/v1/activities/cancel-pending"
		deep    = 10_001
	)

	for _, test := range []struct {
		method, path, body string
		status             int
		code, detail       string
	}{
		// No JSON.
		{"POST", logs, `{`, 400, "malformed", "body: must be JSON: unexpected end of JSON input (at byte 1)"},
		{"POST", logs, `{"message":"x"} {}`, 400, "malformed", "after top-level value"},
		{"POST", logs, `{"message":"x"},`, 400, "malformed", "after top-level value"},
		{"POST", logs, `{"message":"x",}`, 400, "malformed", "invalid character"},
		{"POST", logs, `{'message':'x'}`, 400, "malformed", "invalid character"},
		{"POST", logs, `message=x`, 400, "malformed", "invalid character"},
		{"POST", logs, "{\"message\":\"a\nb\"}", 400, "malformed", "invalid character"},
		{"POST", logs, "{\"message\":\"\xff\"}", 400, "malformed", "UTF-8"},
		{"POST", logs, "\ufeff{\"message\":\"x\"}", 400, "malformed", "invalid character"},
		{"POST", logs, `{"message":"x","data":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}`, 400, "malformed", "max depth"},
		{"POST", path(id) + "/complete", `{`, 400, "malformed", "unexpected end"},
		{"POST", logs, ``, 400, "malformed", "body is required"},
		{"POST", logs, "  \n", 400, "malformed", "body is required"},
		{"POST", create, ``, 400, "malformed", "body is required"},

		// JSON of the wrong shape.
		{"POST", logs, `[]`, 422, "TA422", "body: must be a JSON object"},
		{"POST", logs, `null`, 422, "TA422", "body: must be a JSON object"},
		{"POST", logs, `"x"`, 422, "TA422", "body: must be a JSON object"},
		{"POST", path(id) + "/cancel", `null`, 422, "TA422", "body: must be a JSON object"},
		{"POST", logs, `{}`, 422, "TA422", "message: must be given"},
		{"POST", logs, `{"message":null}`, 422, "TA422", "message: must be given"},
		{"POST", logs, `{"message":5}`, 422, "TA422", "message: must be a string, got 5"},
		{"POST", logs, `{"message":{"a":1}}`, 422, "TA422", "message: must be a string, got an object"},
		{"POST", logs, `{"Message":"x"}`, 422, "TA422", "message: must be given; Message: unknown field"},
		{"POST", logs, `{"message":"x","extra":1,"agent_id":"x"}`, 422, "TA422", "agent_id: unknown field; extra: unknown field"},
		{"POST", logs, `{"message":"x","percentage":"5"}`, 422, "TA422", `percentage: must be a number, got "5"`},
		{"POST", logs, `{"message":"x","percentage":1e999}`, 422, "TA422", "percentage: must be a number, got 1e999"},
		{"POST", logs, `{"message":"x","percentage":NaN}`, 400, "malformed", "must be JSON"},
		{"POST", logs, `{"message":"x","percentage":9999999999}`, 422, "TA422", "percentage must be between 0 and 100, got 9999999999"},
		{"POST", logs, `{"message":"x","percentage":[5]}`, 422, "TA422", "percentage: must be a number, got an array"},
		{"POST", logs, `{"message":"x","status":"runnin"}`, 422, "TA422", `status: must be one of QUEUED, RUNNING, COMPLETE, ERROR, CANCELED, got "runnin"`},
		{"POST", logs, `{"message":"x","status":""}`, 422, "TA422", "status: must be one of"},
		{"POST", logs, `{"message":"x","status":1}`, 422, "TA422", "status: must be one of"},
		{"POST", path(id) + "/complete", `{"status":"ERROR"}`, 422, "TA422", "status: unknown field"},
		{"POST", path(id) + "/error", `{"percentage":5}`, 422, "TA422", "percentage: unknown field"},
		{"POST", path(id) + "/cancel", `{"data":{}}`, 422, "TA422", "data: unknown field"},
		{"POST", create, `{"message":"x"}`, 422, "TA422", "task_name: must be given"},
		{"POST", create, `{"task_name":"x","agent_id":"123"}`, 422, "TA422", "agent_id: must be a UUID such as"},
		{"POST", create, `{"task_name":"x","agent_id":"{8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11}"}`, 422, "TA422", "agent_id: must be a UUID such as"},
		{"POST", create, `{"task_name":"x","agent_id":7}`, 422, "TA422", "agent_id: must be a UUID such as"},
		{"POST", create, `{"task_name":"x","metadata":[]}`, 422, "TA422", "metadata: must be a JSON object, got an array"},
		{"POST", create, `{"task_name":"x","metadata":"{}"}`, 422, "TA422", `metadata: must be a JSON object, got "{}"`},
		{"POST", pending, `{"metadata_filter":1}`, 422, "TA422", "metadata_filter: must be a JSON object, got 1"},
		{"POST", pending, `{"idle_for":"soon"}`, 422, "TA422", `idle_for: must be a duration such as "15m", got "soon"`},
		{"POST", pending, `{"idle_for":900}`, 422, "TA422", "idle_for: must be a duration"},
		{"POST", logs, `{"message":"x","at_seq":"2"}`, 422, "TA422", `at_seq: must be an integer of 32 bits, got "2"`},
		{"POST", logs, `{"message":"x","at_seq":2.5}`, 422, "TA422", "at_seq: must be an integer of 32 bits, got 2.5"},
		{"POST", logs, `{"message":"x","at_seq":2147483648}`, 422, "TA422", "at_seq: must be an integer of 32 bits"},
		{"POST", path(id) + "/cancel", `{"grace":"soon"}`, 422, "TA422", `grace: must be a duration such as "30s", or "never", got "soon"`},
		{"POST", path(id) + "/cancel", `{"grace":30}`, 422, "TA422", `grace: must be a duration such as "30s", or "never", got 30`},
		{"POST", path(id) + "/cancel", `{"grace":"9999999999h"}`, 422, "TA422", "grace: must be a duration"},
		{"POST", path(id) + "/cancel", `{"force":"yes"}`, 422, "TA422", `force: must be true or false, got "yes"`},
		{"POST", path(id) + "/cancel", `{"force":true,"grace":"30s"}`, 422, "TA422", "force: must not be true beside a grace"},
		{"POST", path(id) + "/cancel", `{"requested_by":"eve"}`, 422, "TA422", "requested_by: unknown field"},
		{"POST", path(id) + "/heartbeat", `{"expect_every":"often"}`, 422, "TA422", `expect_every: must be a duration such as "30s", got "often"`},
		{"POST", path(id) + "/heartbeat", `{"expect_every":30}`, 422, "TA422", `expect_every: must be a duration such as "30s", got 30`},
		{"POST", path(id) + "/heartbeat", `{"message":"x"}`, 422, "TA422", "message: unknown field"},
		{"POST", pending, `{"message":"x"}`, 422, "TA422", "message: unknown field"},

		// Values that Postgres cannot store.
		{"POST", logs, `{"message":"a\u0000b"}`, 422, "TA422", "message: must not contain a NUL character"},
		{"POST", logs, `{"message":"x","data":{"deep":["\u0000"]}}`, 422, "TA422", "data: must not contain a NUL character"},
		{"POST", logs, `{"message":"x","data":{"\u0000":1}}`, 422, "TA422", "data: must not contain a NUL character"},
		{"POST", logs, `{"message":"\\\u0000"}`, 422, "TA422", "message: must not contain a NUL character"},
		{"POST", logs, `{"message":"\ud83d"}`, 422, "TA422", "message: must not contain half of a surrogate pair"},
		{"POST", logs, `{"message":"\ude80\ud83d"}`, 422, "TA422", "message: must not contain half of a surrogate pair"},
		{"POST", logs, `{"message":"\ud83d\ud83d\ude80"}`, 422, "TA422", "message: must not contain half of a surrogate pair"},
		{"POST", logs, `{"message":"\ud83dx"}`, 422, "TA422", "message: must not contain half of a surrogate pair"},
		{"POST", logs, `{"message":"x","data":["\ud83d"]}`, 422, "TA422", "data: must not contain half of a surrogate pair"},
		{"POST", create, `{"task_name":"\u0000"}`, 422, "TA422", "task_name: must not contain a NUL character"},
		{"POST", create, `{"task_name":"x","metadata":{"a":"\u0000"}}`, 422, "TA422", "metadata: must not contain a NUL character"},
		{"POST", pending, `{"metadata_filter":{"a":"\u0000"}}`, 422, "TA422", "metadata_filter: must not contain a NUL character"},
		{"POST", logs, `{"message":"x","data":1e999999}`, 422, "TA422", "overflow"},

		// Refusals of SQL, in SQL's words.
		{"POST", logs, `{"message":"x","percentage":101}`, 422, "TA422", "percentage must be between 0 and 100, got 101"},
		{"POST", logs, `{"message":"x","percentage":-1}`, 422, "TA422", "percentage must be between 0 and 100, got -1"},
		{"POST", logs, `{"message":"x","percentage":100.5}`, 422, "TA422", "percentage must be between 0 and 100, got 100.5"},
		{"POST", logs, `{"message":"x","percentage":-0.5}`, 422, "TA422", "percentage must be between 0 and 100, got -0.5"},
		{"POST", path(id) + "/complete", `{"percentage":101}`, 422, "TA422", "percentage must be between 0 and 100, got 101"},
		{"POST", create, `{"task_name":""}`, 422, "TA422", "task_name (agent_type) must be 1 to 255 characters, got 0"},
		{"POST", create, `{"task_name":"` + strings.Repeat("ä", 256) + `"}`, 422, "TA422", "got 256"},
		{"POST", pending, `{"idle_for":"-1m"}`, 422, "TA422", "idle_for must not be negative"},
		{"POST", create, `{"task_name":"x","agent_id":"` + taken.String() + `"}`, 409, "23505", "an activity with this agent_id exists"},
		{"POST", path(done) + "/logs", `{"message":"x","status":"RUNNING"}`, 409, "TA409", "is COMPLETE and cannot become RUNNING"},
		{"POST", path(done) + "/error", ``, 409, "TA409", "is COMPLETE and cannot become ERROR"},
		{"POST", path(done) + "/cancel", `{}`, 409, "TA409", "is COMPLETE and cannot become CANCELED"},
		{"POST", path(id) + "/cancel", `{"grace":"-1s"}`, 422, "TA422", "grace must be between 0 and "},
		{"POST", path(id) + "/cancel", `{"grace":"9000h"}`, 422, "TA422", "grace must be between 0 and "},
		{"POST", path(id) + "/heartbeat", `{"expect_every":"0s"}`, 422, "TA422", "expect_every: must be between 1 second and 1 day, got 0s"},
		{"POST", path(id) + "/heartbeat", `{"expect_every":"999ms"}`, 422, "TA422", "expect_every must be between 1 second and 1 day"},
		{"POST", path(id) + "/heartbeat", `{"expect_every":"25h"}`, 422, "TA422", "expect_every must be between 1 second and 1 day"},
		{"POST", unknown + "/heartbeat", ``, 404, "TA404", "no activity with agent_id"},
		{"POST", logs, `{"message":"x","at_seq":0}`, 422, "TA422", "at_seq must be at least 1, got 0"},
		{"POST", logs, `{"message":"x","at_seq":3}`, 409, "TA409", "is at last_seq 1"},
		{"POST", logs, `{"message":"x","at_seq":1}`, 409, "TA409", "its line 1 is not this one"},
		{"POST", unknown + "/logs", `{"message":"x"}`, 404, "TA404", "no activity with agent_id"},
		{"POST", unknown + "/complete", ``, 404, "TA404", "no activity with agent_id"},
		{"POST", unknown + "/error", ``, 404, "TA404", "no activity with agent_id"},
		{"POST", unknown + "/cancel", ``, 404, "TA404", "no activity with agent_id"},
		{"GET", unknown, ``, 404, "TA404", "no activity with agent_id"},

		// Paths and queries.
		{"GET", "/v1/activities/123", ``, 422, "TA422", `agent_id: must be a UUID such as`},
		{"GET", "/v1/activities/" + strings.ReplaceAll(id.String(), "-", ""), ``, 422, "TA422", "agent_id: must be a UUID"},
		{"GET", "/v1/activities/a%2Fb", ``, 422, "TA422", "agent_id: must be a UUID"},
		{"GET", "/v1/activities/%00", ``, 422, "TA422", "agent_id: must be a UUID"},
		{"POST", "/v1/activities/123/logs", `{"message":"x"}`, 422, "TA422", "agent_id: must be a UUID"},
		{"POST", "/v1/activities/123/complete", ``, 422, "TA422", "agent_id: must be a UUID"},
		{"GET", "/v1/activities?page=0", ``, 422, "TA422", "page: must be at least 1, got 0"},
		{"GET", "/v1/activities?page=-1", ``, 422, "TA422", "page must be at least 1, got -1"},
		{"GET", "/v1/activities?page=x", ``, 422, "TA422", `page: must be an integer of 32 bits, got "x"`},
		{"GET", "/v1/activities?page=1.0", ``, 422, "TA422", "page: must be an integer of 32 bits"},
		{"GET", "/v1/activities?page=3000000000", ``, 422, "TA422", "page: must be an integer of 32 bits"},
		{"GET", "/v1/activities?page=1&page=2", ``, 422, "TA422", "page: must be given only once"},
		{"GET", "/v1/activities?page_size=0", ``, 422, "TA422", "page_size: must be at least 1, got 0"},
		{"GET", "/v1/activities?page_size=1001", ``, 422, "TA422", "page_size must be between 1 and 1000, got 1001"},
		{"GET", "/v1/activities?page_size=-5", ``, 422, "TA422", "page_size must be between 1 and 1000, got -5"},
		{"GET", "/v1/activities?status=runnin", ``, 422, "TA422", `status: must be a list of QUEUED, RUNNING, COMPLETE, ERROR, CANCELED, got "runnin"`},
		{"GET", "/v1/activities?status=RUNNING,,QUEUED", ``, 422, "TA422", "status: must be a list of"},
		{"GET", "/v1/activities?status=RUNNING&status=X", ``, 422, "TA422", `got "X"`},
		{"GET", "/v1/activities?agent_type=a&agent_type=b", ``, 422, "TA422", "agent_type: must be given only once"},
		{"GET", "/v1/activities?stale=yes", ``, 422, "TA422", `stale: must be true or false, got "yes"`},
		{"GET", "/v1/activities?stale=true&stale=true", ``, 422, "TA422", "stale: must be given only once"},
		{"GET", "/v1/activities?after=garbage", ``, 422, "TA422", `after must be the "next" of an earlier page`},
		{"GET", "/v1/activities?metadata.a=1&metadata.a=1", ``, 422, "TA422", "metadata.a: must be given only once"},
		{"GET", "/v1/activities?metadata.=1", ``, 422, "TA422", "metadata.: unknown query parameter"},
		{"GET", "/v1/activities?metadata=1", ``, 422, "TA422", "metadata: unknown query parameter"},
		{"GET", "/v1/activities?Page=1&sorted=x", ``, 422, "TA422", "Page: unknown query parameter; sorted: unknown query parameter"},
		{"GET", "/v1/activities?agent_type=%00", ``, 422, "TA422", "agent_type: must not contain a NUL character"},
		{"GET", "/v1/activities?agent_type=%ff", ``, 422, "TA422", "agent_type: must be valid UTF-8"},
		{"GET", "/v1/activities?metadata.%00=1", ``, 422, "TA422", "must not contain a NUL character"},
		{"GET", "/v1/activities?%ff=1", ``, 422, "TA422", "must be valid UTF-8"},
		{"GET", "/v1/activities?page=%zz", ``, 422, "TA422", "query: invalid URL escape"},
		{"GET", "/v1/activities?page=1;page_size=2", ``, 422, "TA422", "query: invalid semicolon"},
		{"GET", path(id) + "?after_seq=-1", ``, 422, "TA422", "after_seq must be at least 0, got -1"},
		{"GET", path(id) + "?after_seq=2147483648", ``, 422, "TA422", "after_seq: must be an integer of 32 bits"},
		{"GET", path(id) + "?limit=-1", ``, 422, "TA422", "log_limit must be at least 0, got -1"},
		{"GET", path(id) + "?limit=all", ``, 422, "TA422", "limit: must be an integer of 32 bits"},
		{"GET", path(id) + "?page=1", ``, 422, "TA422", "page: unknown query parameter"},
		{"GET", "/v1/stats?%zz", ``, 422, "TA422", "query: invalid URL escape"},
		{"POST", logs + "?%zz", `{"message":"x"}`, 422, "TA422", "query: invalid URL escape"},
		{"POST", "/v1/activities/123/logs", ``, 400, "malformed", "; request body is required"},
		{"GET", "/v1/stats?agent_type=a", ``, 422, "TA422", "agent_type: unknown query parameter"},
		{"POST", logs + "?dry_run=1", `{"message":"x"}`, 422, "TA422", "dry_run: unknown query parameter"},
		{"POST", create + "?x", `{"task_name":"x"}`, 422, "TA422", "x: unknown query parameter"},
		{"POST", pending + "?idle_for=1h", ``, 422, "TA422", "idle_for: unknown query parameter"},
		{"POST", path(id) + "/cancel?message=x", ``, 422, "TA422", "message: unknown query parameter"},

		// Routes.
		{"GET", "/v1/", ``, 404, "no_route", "nothing lives at /v1/"},
		{"GET", "/v1/nothing", ``, 404, "no_route", "nothing lives at /v1/nothing"},
		{"GET", "/v1/activities/", ``, 404, "no_route", "nothing lives at"},
		{"POST", path(id) + "/pause", ``, 404, "no_route", "nothing lives at"},
		{"DELETE", path(id), ``, 405, "method_not_allowed", "allowed: GET, HEAD"},
		{"PUT", "/v1/activities", `{}`, 405, "method_not_allowed", "allowed: GET, HEAD, POST"},
		{"GET", logs, ``, 405, "method_not_allowed", "allowed: POST"},
		{"OPTIONS", "/v1/stats", ``, 405, "method_not_allowed", "allowed: GET, HEAD"},
		{"POST", "/v1/feed", `{}`, 405, "method_not_allowed", "allowed: GET, HEAD"},
		{"DELETE", "/v1/feed/" + id.String(), ``, 405, "method_not_allowed", "allowed: GET, HEAD"},
		{"PATCH", "/openapi.json", ``, 405, "method_not_allowed", "allowed: GET, HEAD"},
	} {
		name := test.method + " " + test.path + " " + test.body
		r := b.do(t, test.method, test.path, test.body)
		require.Contains(t, r.problem(t, test.status, test.code), test.detail, name)
		require.NotContains(t, r.text, "json:", name) // of encoding/json
		require.Less(t, len(r.text), 2000, name)
		if test.status == 405 {
			require.Equal(t, test.detail, "allowed: "+r.header.Get("Allow"))
		}
		r.conforms(t, "Problem")
	}
	require.Equal(t, before, b.contents(t), "nothing is written")
	require.Empty(t, b.logged.String(), "a client's errors are not ours to log")
}

func TestAPIContentTypes(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	logs := path(id) + "/logs"
	for _, accepted := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", ""} {
		require.Equal(t, 201, b.do(t, "POST", logs, `{"message":"x"}`, "Content-Type", accepted).status, accepted)
	}
	before := b.contents(t)
	for _, refused := range []string{
		"text/plain", "application/x-www-form-urlencoded", "application/xml", "application/json; charset=latin1",
		"application/problem+json", "multipart/form-data; boundary=x", "json", "/", ";", "application/json; charset",
	} {
		r := b.do(t, "POST", logs, `{"message":"x"}`, "Content-Type", refused)
		require.Contains(t, r.problem(t, 415, "unsupported_media_type"), refused)
		require.Equal(t, "application/json", r.header.Get("Accept"))
	}
	require.Equal(t, before, b.contents(t))
	// Where there is no body there is no type to be wrong.
	require.Equal(t, 200, b.do(t, "POST", path(id)+"/cancel", "", "Content-Type", "text/plain").status)
}

func TestAPIReportsEveryFault(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	r := b.post(t, "/v1/activities/x/logs", `{"percentage":"a","status":"b","c":1}`, 422)
	p := decoded[problem.Problem](t, r.text)
	var locations []string
	for _, e := range p.Errors {
		require.NotEmpty(t, e.Message)
		locations = append(locations, e.Location)
	}
	require.Equal(t, []string{"path.agent_id", "body.message", "body.percentage", "body.status", "body.c"}, locations)

	r = b.get(t, "/v1/activities?page=x&page_size=y&z=1", 422)
	locations = nil
	for _, e := range decoded[problem.Problem](t, r.text).Errors {
		locations = append(locations, e.Location)
	}
	require.Equal(t, []string{"query.page", "query.page_size", "query.z"}, locations)
}

// TestAPIProblemCodes: every documented problem has the usual code of its status, and no two have the same.
func TestAPIProblemCodes(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	responses := as[map[string]any](t, at(openAPI(), "components", "responses"))
	for name, response := range responses {
		example := at(response, "content", problem.ContentType, "example")
		status, err := as[json.Number](t, at(example, "status")).Int64()
		require.NoError(t, err, name)
		code := problem.CodeOf(int(status))
		if status != 404 { // of the API it is no route, of an operation no activity
			require.Equal(t, code, at(example, "code"), name)
		}
		codes[code] = true
	}
	require.Len(t, codes, len(responses))
}
