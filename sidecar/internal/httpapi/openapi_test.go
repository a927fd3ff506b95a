package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

func TestOpenAPIIsWhole(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	served := b.get(t, DocumentPath, 200)
	require.Equal(t, "application/json", served.header.Get("Content-Type"))
	require.Equal(t, string(document), served.text)
	document := openAPI()
	require.Equal(t, "3.1.0", document["openapi"])
	require.NotEmpty(t, at(document, "info", "title"))
	require.NotEmpty(t, at(document, "info", "description"))

	// Every reference leads somewhere, and every component is referred to.
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				require.NotNil(t, at(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), ref)
				used[ref] = true
			}
			for _, each := range v {
				walk(each)
			}
		case []any:
			for _, each := range v {
				walk(each)
			}
		}
	}
	walk(document)
	for _, kind := range []string{"schemas", "responses"} {
		for name := range as[map[string]any](t, at(document, "components", kind)) {
			require.True(t, used["#/components/"+kind+"/"+name], "%s is never used", name)
		}
	}

	ids := map[any]bool{}
	for path, item := range as[map[string]any](t, document["paths"]) {
		for _, op := range as[map[string]any](t, item) {
			require.NotEmpty(t, at(op, "summary"), path)
			require.NotEmpty(t, at(op, "tags"), path)
			require.False(t, ids[at(op, "operationId")], path)
			ids[at(op, "operationId")] = true
			parameters, _ := at(op, "parameters").([]any)
			for _, parameter := range parameters {
				require.NotEmpty(t, at(parameter, "description"), path)
				require.NotEmpty(t, at(parameter, "schema"), path)
				require.Equal(t, at(parameter, "in") == "path", at(parameter, "required") == true, path)
			}
			require.Equal(t, strings.Contains(path, "{agent_id}"), slices.ContainsFunc(parameters, func(p any) bool { return at(p, "in") == "path" }))
			for status, response := range as[map[string]any](t, at(op, "responses")) {
				if at(response, "$ref") == nil {
					require.NotEmpty(t, at(response, "description"), path+status)
				}
			}
		}
	}
	for name, schema := range as[map[string]any](t, at(document, "components", "schemas")) {
		properties, _ := at(schema, "properties").(map[string]any)
		for key, property := range properties {
			if name != "StatusCounts" {
				require.NotEmpty(t, at(property, "description"), name+"."+key)
			}
			for _, example := range examplesOf(property) {
				text, err := json.Marshal(example)
				require.NoError(t, err)
				require.NoError(t, validate(componentSchema(name)+"/properties/"+key, string(text)), name+"."+key)
			}
		}
	}
	for name, response := range as[map[string]any](t, at(document, "components", "responses")) {
		example, err := json.Marshal(at(response, "content", problem.ContentType, "example"))
		require.NoError(t, err)
		require.NoError(t, validate(componentSchema("Problem"), string(example)), name)
	}
	require.Equal(t, []any{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}, at(document, "components", "schemas", "Status", "enum"))
}

// TestOpenAPINamesTheRoutes: the table of the routes and the document have the same operations.
func TestOpenAPINamesTheRoutes(t *testing.T) {
	t.Parallel()
	want := map[string]string{ // by pattern, of other handlers of the sidecar
		"GET /v1/feed": "open-feed", "GET /v1/feed/{agent_id}": "follow-activity", "GET /openapi.json": "get-openapi",
		"GET /healthz": "get-health", "GET /readyz": "get-readiness", "GET /metrics": "get-metrics",
	}
	for _, route := range routes {
		want[route.pattern] = route.operation
	}
	documented := map[string]string{}
	for path, item := range as[map[string]any](t, openAPI()["paths"]) {
		for method, op := range as[map[string]any](t, item) {
			documented[strings.ToUpper(method)+" "+path] = as[string](t, at(op, "operationId"))
		}
	}
	require.Equal(t, want, documented)
}

// TestOpenAPIDocumentsRefusals: each operation documents what its kind may be refused with. requireDocumented compares the
// answers of all tests.
func TestOpenAPIDocumentsRefusals(t *testing.T) {
	t.Parallel()
	for _, route := range routes {
		want := []string{"401", "403", "422", "429", "500", "503"}
		method, path, _ := strings.Cut(route.pattern, " ")
		op := at(openAPI(), "paths", path, strings.ToLower(method))
		if method == http.MethodPost {
			want = append(want, "408", "413", "415")
		}
		if at(op, "requestBody") != nil {
			want = append(want, "400")
		}
		if strings.Contains(path, "{agent_id}") || route.operation == "create-activity" {
			want = append(want, "404")
		}
		if route.takes != access.VerbRead && route.operation != cancelPendingID && route.operation != heartbeatID {
			want = append(want, "409")
		}
		documented := slices.DeleteFunc(slices.Sorted(maps.Keys(as[map[string]any](t, at(op, "responses")))), func(status string) bool { return status < "400" })
		require.ElementsMatch(t, want, documented, route.pattern)
	}
}

// TestOpenAPISchemasAreTheStructs: the schemas of requests and answers have the properties of the structs in Go, and require
// the same of them.
func TestOpenAPISchemasAreTheStructs(t *testing.T) {
	t.Parallel()
	schemas := as[map[string]any](t, at(openAPI(), "components", "schemas"))
	used := []string{"Status", "QuestionState", "StatusCounts"}
	for _, value := range []any{
		createActivity{}, appendLog{}, completeActivity{}, failActivity{}, cancelActivity{}, cancelPending{}, sendHeartbeat{}, askQuestion{}, answerQuestion{}, noFields{}, question{},
		created{}, activityLog{}, heartbeatResult{}, stats{}, feedTicket{}, problem.Problem{}, problem.Part{},
	} {
		name := reflect.TypeOf(value).Name()
		name = strings.ToUpper(name[:1]) + name[1:]
		used = append(used, name)
		names, required := fieldsOf(value)
		if name == "Question" { // only a list has the type of the activity
			names = slices.DeleteFunc(names, func(name any) bool { return name == "agent_type" })
		}
		require.ElementsMatch(t, names, slices.Collect(maps.Keys(as[map[string]any](t, at(schemas, name, "properties")))), name)
		documented, _ := at(schemas, name, "required").([]any)
		require.ElementsMatch(t, required, documented, name)
	}
	// Postgres writes these; pkg/client reads them. All is required, as each key is always there.
	for name, value := range map[string]any{"ActivityList": client.List{}, "ActivityListItem": client.ListItem{}, "ActivityDetail": client.Detail{},
		"CancelRequest": client.CancelRequest{}, "Children": client.Children{}, "QuestionList": client.QuestionList{}, "QuestionListItem": client.AskedQuestion{}, "RangeStats": client.Stats{}, "StatsEnded": client.StatsEnded{}, "StatsBucket": client.StatsBucket{},
		"StatsType": client.StatsType{}, "StatsFailure": client.StatsFailure{}, "Canceled": client.CancelPendingCounts{}} {
		used = append(used, name)
		names, _ := fieldsOf(value)
		names = slices.DeleteFunc(names, func(name any) bool { return name == "metadata" }) // only where it is asked for
		require.ElementsMatch(t, names, slices.Collect(maps.Keys(as[map[string]any](t, at(schemas, name, "properties")))), name)
		require.ElementsMatch(t, names, at(schemas, name, "required"), name)
	}
	require.ElementsMatch(t, used, slices.Collect(maps.Keys(schemas)))

	// A body may be left out where no field of it must be given.
	for _, route := range routes {
		method, path, _ := strings.Cut(route.pattern, " ")
		body := at(openAPI(), "paths", path, strings.ToLower(method), "requestBody")
		if ref, ok := at(body, "content", "application/json", "schema", "$ref").(string); ok {
			required := at(schemas, strings.TrimPrefix(ref, "#/components/schemas/"), "required")
			require.Equal(t, required != nil, at(body, "required") == true, route.pattern)
		}
	}
}

// fieldsOf returns the names of the fields in JSON, and those that are always there.
func fieldsOf(value any) (names, required []any) {
	for _, field := range reflect.VisibleFields(reflect.TypeOf(value)) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		names = append(names, name)
		if options == "" {
			required = append(required, name)
		}
	}
	return names, required
}

// TestOpenAPIAnswersAsDocumented provokes each documented answer of each operation.
func TestOpenAPIAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	document := openAPI()
	for route, item := range as[map[string]any](t, document["paths"]) {
		for method, op := range as[map[string]any](t, item) {
			if !strings.HasPrefix(route, "/v1/") || strings.HasPrefix(route, "/v1/feed") {
				continue // served by others
			}
			for status := range as[map[string]any](t, at(op, "responses")) {
				switch status {
				case "408", "429", "500", "503": // see guard_test.go
					continue
				}
				t.Run(strings.ToUpper(method)+route+status, func(t *testing.T) {
					t.Parallel()
					r := b.provoke(t, strings.ToUpper(method), route, status) // do compares the answer with the document
					require.Equal(t, status, fmt.Sprint(r.status), r.text)
				})
			}
		}
	}
}

// provoke sends the request that an operation answers with the status.
func (b *apiBundle) provoke(t *testing.T, method, route, status string) reply {
	t.Helper()
	id := b.create(t)
	b.post(t, path(id)+"/questions", `{"key":"deploy","prompt":"Deploy?"}`, 201)
	bodies := map[string]string{
		"/v1/activities":                                   `{"task_name":"x"}`,
		"/v1/activities/{agent_id}/logs":                   `{"message":"x"}`,
		"/v1/activities/{agent_id}/questions":              `{"key":"deploy","prompt":"Deploy?"}`,
		"/v1/activities/{agent_id}/questions/{key}/answer": `{"answer":true}`,
		"/v1/activities/cancel-pending":                    `{"agent_type":"unknown"}`, // the activities of the other requests go on
	}
	body, query, headers := bodies[route], "", []string(nil)
	if method == http.MethodGet {
		body = ""
	}
	switch status {
	case "400":
		body = "{"
	case "401":
		headers = []string{"Authorization", "Bearer nonsense"}
	case "403":
		headers = []string{"Authorization", "Bearer " + minted(t, auth.Grant{})}
	case "404":
		id = uuid.New()
		if route == "/v1/activities" {
			body = `{"task_name":"x","parent_agent_id":"` + id.String() + `"}`
		}
	case "409":
		switch route {
		case "/v1/activities":
			body = `{"task_name":"x","agent_id":"` + id.String() + `"}`
		case "/v1/activities/{agent_id}/logs":
			body = `{"message":"x","status":"RUNNING"}`
			fallthrough
		case "/v1/activities/{agent_id}/error", "/v1/activities/{agent_id}/cancel":
			b.post(t, path(id)+"/complete", "", 200)
		case "/v1/activities/{agent_id}/complete":
			b.post(t, path(id)+"/cancel", "", 200)
		case "/v1/activities/{agent_id}/questions":
			body = `{"key":"deploy","prompt":"Another?"}`
		case "/v1/activities/{agent_id}/questions/{key}/withdraw":
			b.post(t, path(id)+"/questions/deploy/decline", "", 200)
		case "/v1/activities/{agent_id}/questions/{key}/answer", "/v1/activities/{agent_id}/questions/{key}/decline":
			b.post(t, path(id)+"/questions/deploy/withdraw", "", 200)
		}
	case "413":
		body = strings.Repeat(" ", usualBody+1)
	case "415":
		body, headers = "x", []string{"Content-Type", "text/plain"}
	case "422":
		query = "?unknown=1"
	}
	return b.do(t, method, strings.NewReplacer("{agent_id}", id.String(), "{key}", "deploy").Replace(route)+query, body, headers...)
}

// TestOpenAPIFieldsAreAccepted: every documented field and parameter is accepted, and their number is that of the
// contract. refuse_test.go shows that no other is accepted.
func TestOpenAPIFieldsAreAccepted(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	document := openAPI()
	fields := func(schema string) []string {
		require.Equal(t, false, at(document, "components", "schemas", schema, "additionalProperties"), schema)
		return slices.Sorted(maps.Keys(as[map[string]any](t, at(document, "components", "schemas", schema, "properties"))))
	}
	require.Equal(t, []string{"agent_id", "message", "metadata", "parent_agent_id", "task_name"}, fields("CreateActivity"))
	require.Equal(t, []string{"at_seq", "data", "message", "percentage", "status"}, fields("AppendLog"))
	require.Equal(t, []string{"data", "message", "percentage"}, fields("CompleteActivity"))
	require.Equal(t, []string{"data", "message"}, fields("FailActivity"))
	require.Equal(t, []string{"force", "grace", "message", "tree"}, fields("CancelActivity"))
	require.Equal(t, []string{"expect_every"}, fields("SendHeartbeat"))
	require.Equal(t, []string{"expires_in", "key", "prompt", "schema"}, fields("AskQuestion"))
	require.Equal(t, []string{"answer"}, fields("AnswerQuestion"))
	require.Equal(t, []string{"agent_type", "all", "idle_for", "metadata_filter"}, fields("CancelPending"))

	for _, route := range []string{"/v1/activities", "/v1/activities/{agent_id}", "/v1/questions", "/v1/stats"} {
		var query []string
		for _, parameter := range as[[]any](t, at(document, "paths", route, "get", "parameters")) {
			if at(parameter, "in") != "query" {
				continue
			}
			example := examplesOf(at(parameter, "schema"))
			switch {
			case at(parameter, "name") == "after":
				continue // it comes from an answer
			case example == nil:
				example = []any{"RUNNING"}
			}
			query = append(query, fmt.Sprintf("%s=%v", at(parameter, "name"), example[0]))
		}
		b.get(t, strings.ReplaceAll(route, "{agent_id}", b.create(t).String())+"?"+strings.Join(query, "&"), 200)
	}

	// The examples of a body make a body that is taken.
	for route, status := range map[string]int{"": 201, "/{agent_id}/logs": 201, "/{agent_id}/complete": 200, "/{agent_id}/error": 200, "/{agent_id}/cancel": 200,
		"/{agent_id}/heartbeat": 200, "/{agent_id}/questions": 201, "/cancel-pending": 200} {
		ref := as[string](t, at(document, "paths", "/v1/activities"+route, "post", "requestBody", "content", "application/json", "schema", "$ref"))
		body := map[string]any{}
		for name, property := range as[map[string]any](t, at(document, "components", "schemas", strings.TrimPrefix(ref, "#/components/schemas/"), "properties")) {
			examples := examplesOf(property)
			if name == "parent_agent_id" {
				examples = []any{b.create(t)}
			}
			if at(property, "$ref") != nil {
				examples = []any{"RUNNING"}
			}
			require.NotEmpty(t, examples, name)
			body[name] = examples[0]
		}
		text, err := json.Marshal(body)
		require.NoError(t, err)
		b.post(t, "/v1/activities"+strings.ReplaceAll(route, "{agent_id}", b.create(t).String()), string(text), status)
	}
}
