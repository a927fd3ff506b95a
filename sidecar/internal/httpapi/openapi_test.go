package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
)

func TestOpenAPIIsWhole(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	document := b.document(t)
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

	var routes []string
	ids := map[any]bool{}
	for path, item := range as[map[string]any](t, document["paths"]) {
		for method, op := range as[map[string]any](t, item) {
			routes = append(routes, strings.ToUpper(method)+" "+path)
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
	slices.Sort(routes)
	require.Equal(t, []string{
		"GET /healthz", "GET /metrics", "GET /openapi.json", "GET /readyz",
		"GET /v1/activities", "GET /v1/activities/{agent_id}", "GET /v1/feed", "GET /v1/feed/{agent_id}", "GET /v1/stats",
		"POST /v1/activities", "POST /v1/activities/cancel-pending",
		"POST /v1/activities/{agent_id}/cancel", "POST /v1/activities/{agent_id}/complete",
		"POST /v1/activities/{agent_id}/error", "POST /v1/activities/{agent_id}/logs", "POST /v1/feed/tickets",
	}, routes)

	for name, schema := range as[map[string]any](t, at(document, "components", "schemas")) {
		properties, _ := at(schema, "properties").(map[string]any)
		for key, property := range properties {
			if name != "StatusCounts" {
				require.NotEmpty(t, at(property, "description"), name+"."+key)
			}
		}
	}
	require.Equal(t, []any{"QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}, at(document, "components", "schemas", "Status", "enum"))
}

// TestOpenAPIAnswersAsDocumented provokes each documented answer of each operation, and finds the status, the type
// and the schema that the document promises.
func TestOpenAPIAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	document := b.document(t)
	for route, item := range as[map[string]any](t, document["paths"]) {
		for method, op := range as[map[string]any](t, item) {
			if !strings.HasPrefix(route, "/v1/") || strings.HasPrefix(route, "/v1/feed") {
				continue // served by others
			}
			for status, response := range as[map[string]any](t, at(op, "responses")) {
				switch status {
				case "408", "429", "500", "503": // see api_guard_test.go
					continue
				}
				t.Run(strings.ToUpper(method)+route+status, func(t *testing.T) {
					t.Parallel()
					r := b.provoke(t, strings.ToUpper(method), route, status)
					require.Equal(t, status, fmt.Sprint(r.status), r.text)
					if ref, ok := at(response, "$ref").(string); ok {
						response = at(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
					}
					content := as[map[string]any](t, at(response, "content"))
					require.Equal(t, []string{r.header.Get("Content-Type")}, slices.Collect(maps.Keys(content)))
					schema := as[map[string]any](t, at(content, r.header.Get("Content-Type"), "schema"))
					conforms(t, document, schema, decoded[any](t, r.text), route)
					headers, _ := at(response, "headers").(map[string]any)
					for name := range headers {
						require.NotEmpty(t, r.header.Get(name))
					}
				})
			}
		}
	}
}

// provoke sends the request that an operation answers with the status.
func (b *apiBundle) provoke(t *testing.T, method, route, status string) reply {
	t.Helper()
	id := b.create(t)
	bodies := map[string]string{
		"/v1/activities":                 `{"task_name":"x"}`,
		"/v1/activities/{agent_id}/logs": `{"message":"x"}`,
		"/v1/activities/cancel-pending":  `{"agent_type":"unknown"}`, // the activities of the other requests go on
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
		}
	case "413":
		body = strings.Repeat(" ", usualBody+1)
	case "415":
		body, headers = "x", []string{"Content-Type", "text/plain"}
	case "422":
		query = "?unknown=1"
	}
	return b.do(t, method, strings.ReplaceAll(route, "{agent_id}", id.String())+query, body, headers...)
}

// TestOpenAPIFieldsAreAccepted: every documented field and parameter is accepted, and their number is that of the
// contract. api_refuse_test.go shows that no other is accepted.
func TestOpenAPIFieldsAreAccepted(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	document := b.document(t)
	fields := func(schema string) []string {
		require.Equal(t, false, at(document, "components", "schemas", schema, "additionalProperties"), schema)
		return slices.Sorted(maps.Keys(as[map[string]any](t, at(document, "components", "schemas", schema, "properties"))))
	}
	require.Equal(t, []string{"agent_id", "message", "metadata", "task_name"}, fields("CreateActivity"))
	require.Equal(t, []string{"data", "message", "percentage", "status"}, fields("AppendLog"))
	require.Equal(t, []string{"data", "message", "percentage"}, fields("CompleteActivity"))
	require.Equal(t, []string{"data", "message"}, fields("FailActivity"))
	require.Equal(t, []string{"message"}, fields("CancelActivity"))
	require.Equal(t, []string{"agent_type", "all", "idle_for", "metadata_filter"}, fields("CancelPending"))

	for _, route := range []string{"/v1/activities", "/v1/activities/{agent_id}"} {
		var query []string
		for _, parameter := range as[[]any](t, at(document, "paths", route, "get", "parameters")) {
			if at(parameter, "in") != "query" {
				continue
			}
			example, _ := at(parameter, "schema", "examples").([]any)
			if example == nil {
				example = []any{"RUNNING"}
			}
			query = append(query, fmt.Sprintf("%s=%v", at(parameter, "name"), example[0]))
		}
		b.get(t, strings.ReplaceAll(route, "{agent_id}", b.create(t).String())+"?"+strings.Join(query, "&"), 200)
	}

	// The examples of a body make a body that is taken.
	for route, status := range map[string]int{"": 201, "/{agent_id}/logs": 201, "/{agent_id}/complete": 200, "/{agent_id}/error": 200, "/{agent_id}/cancel": 200, "/cancel-pending": 200} {
		ref := as[string](t, at(document, "paths", "/v1/activities"+route, "post", "requestBody", "content", "application/json", "schema", "$ref"))
		body := map[string]any{}
		for name, property := range as[map[string]any](t, at(document, "components", "schemas", strings.TrimPrefix(ref, schemaPrefix), "properties")) {
			examples, _ := at(property, "examples").([]any)
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
