package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestAPICreate(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	given := uuid.New()
	for name, test := range map[string]struct{ body, message, metadata string }{
		"Least":       {`{"task_name":"research"}`, "Agent queued", ""},
		"NullsAreNot": {`{"task_name":"research","message":null,"agent_id":null,"metadata":null}`, "Agent queued", ""},
		"All": {
			`{"task_name":"research","message":"go","agent_id":"` + given.String() + `","metadata":{"org":"42","n":12345678901234567890,"deep":{"a":[1,null,"<"]}}}`,
			"go", `{"n": 12345678901234567890, "org": "42", "deep": {"a": [1, null, "<"]}}`,
		},
		"EmptyMetadata":    {`{"task_name":"research","metadata":{}}`, "Agent queued", `{}`},
		"Spaces":           {" \n\t{ \"task_name\" : \"research\" }\r\n ", "Agent queued", ""},
		"Escapes":          {`{"task_name":"research","message":"\ud83d\ude80 \\u0000 \"\n\u00e4"}`, "🚀 \\u0000 \"\nä", ""},
		"TheLastOfTwoWins": {`{"task_name":"a","task_name":"research"}`, "Agent queued", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.post(t, "/v1/activities", test.body, 201)
			r.conforms(t, "Created")
			id := decoded[struct {
				AgentID uuid.UUID `json:"agent_id"`
			}](t, r.text).AgentID
			require.JSONEq(t, `{"agent_id":"`+id.String()+`"}`, r.text)
			require.Equal(t, path(id), r.header.Get("Location"))
			if name == "All" {
				require.Equal(t, given, id)
			}
			detail := decoded[client.Detail](t, b.get(t, r.header.Get("Location"), 200).text)
			require.Equal(t, "research", detail.AgentType)
			require.Equal(t, client.StatusQueued, detail.Status)
			require.Len(t, detail.Logs, 1)
			require.Equal(t, test.message, detail.Logs[0].Message)
			require.Equal(t, test.metadata,
				b.query(t, "select coalesce(metadata::text, '') from agentexec.activity where agent_id = $1", id))
		})
	}
}

// TestAPILocationUnderAPrefix: where http.StripPrefix mounts the service, the Location of an activity has the prefix.
func TestAPILocationUnderAPrefix(t *testing.T) {
	t.Parallel()
	logged := &logtest.Buffer{}
	b := serveAPI(t, pgtest.New(t), func(a *api) { a.Log = logged.Logger() })
	mux := http.NewServeMux()
	mux.Handle("/ops/agent%20exec/", http.StripPrefix("/ops/agent exec", b.api.handler()))
	mux.Handle("/", b.api.handler())
	b.server.Config.Handler = mux
	for _, prefix := range []string{"", "/ops/agent%20exec"} {
		for _, query := range []string{"", "?"} {
			r := b.post(t, prefix+activitiesPath+query, `{"task_name":"research"}`, 201)
			id := decoded[map[string]uuid.UUID](t, r.text)["agent_id"]
			require.Equal(t, prefix+path(id), r.header.Get("Location"))
			b.get(t, r.header.Get("Location"), 200)
			require.Contains(t, logged.String(), "what=/v1/activities activity="+id.String()+" status=201")
		}
	}
}

func TestAPIAppend(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	for i, body := range []string{
		`{"message":"plain"}`,
		`{"message":""}`,
		`{"message":"all","percentage":40,"status":"RUNNING","data":{"page":3,"n":12345678901234567890}}`,
		`{"message":"nulls","percentage":null,"status":null,"data":null}`,
		`{"message":"<script> & \u2028","data":"text"}`,
		`{"message":"ended","status":"ERROR","data":[1,[],{}]}`,
		`{"message":"late","data":false}`,
		`{"message":"again","status":"running","percentage":33.3,"data":1.50}`,
	} {
		r := b.post(t, path(id)+"/logs", body, 201)
		line := r.object(t)
		r.conforms(t, "ActivityLog")
		require.Equal(t, json.Number(fmt.Sprint(i+2)), line["seq"])

		// The answer to a write equals the line in the answer to a read, to the letter.
		detail := decoded[map[string]json.RawMessage](t, b.get(t, fmt.Sprintf("%s?after_seq=%d", path(id), i+1), 200).text)
		lines := decoded[[]map[string]json.RawMessage](t, string(detail["logs"]))
		require.Len(t, lines, 1)
		written := decoded[map[string]json.RawMessage](t, r.text)
		for key := range lines[0] {
			require.JSONEq(t, string(lines[0][key]), string(written[key]), key)
		}
		require.Equal(t, string(lines[0]["created_at"]), string(written["created_at"]))
		if key := "data"; strings.Contains(string(lines[0][key]), "123456") {
			require.Equal(t, compact(t, string(lines[0][key])), string(written[key]), "no number is cut")
		}
	}
	require.Equal(t, "2", b.query(t, "select attempt::text from agentexec.activity"))
	require.Equal(t, "5", b.query(t, "select count(data)::text from agentexec.activity_log"), "null is no data")
}

func TestAPIEnds(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	for _, test := range []struct{ verb, body, message, status, percentage, data string }{
		{"complete", ``, "Agent completed", "COMPLETE", "100", "null"},
		{"complete", `{}`, "Agent completed", "COMPLETE", "100", "null"},
		{"complete", "\n \t", "Agent completed", "COMPLETE", "100", "null"},
		{"complete", `{"message":"done","percentage":75,"data":{"pages":8}}`, "done", "COMPLETE", "75", `{"pages":8}`},
		{"complete", `{"percentage":0}`, "Agent completed", "COMPLETE", "0", "null"},
		{"complete", `{"percentage":33.3}`, "Agent completed", "COMPLETE", "33", "null"},
		{"complete", `{"percentage":9.99e1}`, "Agent completed", "COMPLETE", "99", "null"},
		{"complete", `{"message":null,"percentage":null,"data":null}`, "Agent completed", "COMPLETE", "100", "null"},
		{"error", ``, "Agent failed", "ERROR", "null", "null"},
		{"error", `{"message":"boom","data":[1]}`, "boom", "ERROR", "null", "[1]"},
		{"cancel", ``, "Cancel requested", "CANCELED", "null", "null"},
		{"cancel", `{"message":"no"}`, "no", "CANCELED", "null", "null"},
	} {
		t.Run(test.verb+test.body, func(t *testing.T) {
			t.Parallel()
			id := b.create(t)
			r := b.post(t, path(id)+"/"+test.verb, test.body, 200)
			r.conforms(t, "ActivityLog")
			line := decoded[map[string]json.RawMessage](t, r.text)
			require.Equal(t, `"`+test.message+`"`, string(line["message"]))
			require.Equal(t, `"`+test.status+`"`, string(line["status"]))
			require.Equal(t, test.percentage, string(line["percentage"]))
			require.Equal(t, test.data, string(line["data"]))
			require.Equal(t, "2", string(line["seq"]))
		})
	}
}

func TestAPICancelPending(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	create := func(taskName string, metadata map[string]any) uuid.UUID {
		id, err := b.client.Create(t.Context(), taskName, "", client.WithMetadata(metadata))
		require.NoError(t, err)
		return id
	}
	idle := create("idle", nil)
	b.db.Exec(t, "update agentexec.activity set created_at = created_at - interval '1 hour', updated_at = updated_at - interval '1 hour'")
	create("a", map[string]any{"org": "1", "n": json.Number("12345678901234567890")})
	create("b", map[string]any{"org": "1"})
	create("b", map[string]any{"org": "2"})

	for _, step := range []struct {
		body string
		want int
	}{
		{`{"idle_for":"2h"}`, 0},
		{`{"idle_for":"59m30s"}`, 1},
		{`{"idle_for":"15m"}`, 0},
		{`{"agent_type":"b","metadata_filter":{"org":"1"}}`, 1},
		{`{"metadata_filter":{"n":12345678901234567891}}`, 0},
		{`{"metadata_filter":{"n":12345678901234567890}}`, 1},
		{`{"agent_type":null,"metadata_filter":null,"idle_for":null,"all":true}`, 1},
		{`{"all":true}`, 0},
	} {
		r := b.post(t, "/v1/activities/cancel-pending", step.body, 200)
		r.conforms(t, "Canceled")
		require.JSONEq(t, fmt.Sprintf(`{"canceled":%d,"skipped":0}`, step.want), r.text, step.body)
	}
	detail := decoded[client.Detail](t, b.get(t, path(idle), 200).text)
	require.Equal(t, "Canceled", detail.Logs[1].Message)
}

func TestAPIBodySizes(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	mebibyte := strings.Repeat("ä", 1<<19)

	r := b.post(t, path(id)+"/logs", `{"message":"`+mebibyte+`","data":"`+strings.Repeat("x", 1000_000)+`"}`, 201)
	require.Equal(t, mebibyte, decoded[client.Log](t, r.text).Message)
	require.Equal(t, "message must be at most 1048576 bytes, got 1048577",
		b.post(t, path(id)+"/logs", `{"message":"`+mebibyte+`x"}`, 422).problem(t, 422, "TA422"))

	fits := `{"message":"x"` + strings.Repeat(" ", usualBody-15) + `}`
	require.Len(t, fits, usualBody)
	b.post(t, path(id)+"/logs", fits, 201)
	for _, size := range []int{usualBody + 1, 3 << 20, 6 << 20} {
		large := fits + strings.Repeat(" ", size-usualBody)
		require.Contains(t, b.post(t, path(id)+"/logs", large, 413).problem(t, 413, "too_large"), "2097152 bytes")
		b.post(t, "/v1/activities", large, 413).problem(t, 413, "too_large")
		b.post(t, path(id)+"/complete", large, 413).problem(t, 413, "too_large")
	}
	require.Equal(t, "3", b.query(t, "select last_seq::text from agentexec.activity"))
}

func TestAPIConcurrentWriters(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	const writers, lines = 16, 25
	shared := b.create(t)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range lines {
				for _, request := range []struct {
					method, path, body string
					status             int
				}{
					{"POST", path(shared) + "/logs", fmt.Sprintf(`{"message":"%d/%d","data":{"w":%d}}`, w, i, w), 201},
					{"GET", "/v1/activities?status=QUEUED", "", 200},
					{"POST", path(shared) + "/logs", `{"message":1}`, 422},
				} {
					if r, err := b.try(t.Context(), request.method, request.path, request.body); err != nil || r.status != request.status {
						t.Errorf("%+v: %d %s %v", request, r.status, r.text, err)
					}
				}
			}
		})
	}
	group.Wait()
	seen := map[string]int{}
	for i, line := range decoded[client.Detail](t, b.get(t, path(shared), 200).text).Logs {
		require.Equal(t, i+1, line.Seq)
		seen[line.Message]++
	}
	require.Len(t, seen, writers*lines+1)
	require.Empty(t, b.logged.String())
}

// A violation of a key of the log, such as after a restore without its sequence, is not told as a taken agent_id.
func TestAPIDistinguishesUniqueViolations(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	b.create(t)
	b.db.Exec(t, "select setval('agentexec.activity_log_id_seq', 1, false)")
	r := b.post(t, "/v1/activities", `{"task_name":"x"}`, 500)
	require.NotContains(t, r.text, "agent_id")
	require.Contains(t, b.logged.String(), "activity_log_pkey")
}
