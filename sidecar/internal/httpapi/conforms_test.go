package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// openAPI is the document.
var openAPI = sync.OnceValue(func() map[string]any {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		panic(err)
	}
	object, _ := v.(map[string]any)
	return object
})

// schemas compiles the schemas of the document by their place in it, such as /components/schemas/Stats. They are stricter
// than those of the document: a property that is not described is no match, and a time is one that SQL wrote in this test.
var schemas = sync.OnceValue(func() func(place string) (*jsonschema.Schema, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		panic(err)
	}
	all, _ := at(v, "components", "schemas").(map[string]any)
	for _, schema := range all {
		if schema, _ := schema.(map[string]any); schema["properties"] != nil {
			schema["additionalProperties"] = false
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.RegisterFormat(&jsonschema.Format{Name: "date-time", Validate: checkTime})
	if err := compiler.AddResource("openapi.json", v); err != nil {
		panic(err)
	}
	var mutex sync.Mutex
	return func(place string) (*jsonschema.Schema, error) {
		mutex.Lock()
		defer mutex.Unlock()
		return compiler.Compile("openapi.json#" + place)
	}
})

func checkTime(v any) error {
	text, ok := v.(string)
	if !ok || text == exampleTime {
		return nil
	}
	at, err := time.Parse("2006-01-02T15:04:05.000000Z", text)
	if err == nil && (time.Since(at) > 8*24*time.Hour || time.Until(at) > 24*time.Hour) { // the range of stats begins days ago
		err = errors.New("not now")
	}
	return err
}

// exampleTime is the time in the examples of the document.
const exampleTime = "2026-03-01T09:30:00.123456Z"

func componentSchema(name string) string { return "/components/schemas/" + name }

// validate checks JSON against the schema at a place of the document.
func validate(place, text string) error {
	schema, err := schemas()(place)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// conforms checks an answer against a schema of the document.
func (r reply) conforms(t testing.TB, schema string) {
	t.Helper()
	require.NoError(t, validate(componentSchema(schema), r.text), r.text)
}

// requireDocumented checks that the document describes the answer: its status, its type, its headers and its JSON. Answers
// of paths and methods that are not in the document are left alone, and those of other handlers.
func requireDocumented(t testing.TB, method, target string, r reply) {
	t.Helper()
	address, err := url.Parse(target)
	if err != nil || strings.HasPrefix(target, "/v1/feed") && method != http.MethodPost {
		return
	}
	operation := strings.ToLower(method)
	if method == http.MethodHead {
		operation = "get"
	}
	paths, _ := openAPI()["paths"].(map[string]any)
	path := address.EscapedPath()
	op := at(paths, path, operation)
	if op == nil {
		path = anyQuestion.ReplaceAllString(anyActivity.ReplaceAllString(path, "/v1/activities/{agent_id}$1"), "/v1/activities/{agent_id}/questions/{key}$1")
		op = at(paths, path, operation)
	}
	if op == nil {
		return
	}
	place := "/paths/" + pointer(path) + "/" + operation + "/responses/" + fmt.Sprint(r.status)
	response := at(op, "responses", fmt.Sprint(r.status))
	require.NotNil(t, response, "%s %s: %d is not documented", method, target, r.status)
	if ref, ok := at(response, "$ref").(string); ok {
		place = strings.TrimPrefix(ref, "#")
		response = at(openAPI(), strings.Split(place, "/")[1:]...)
	}
	headers, _ := at(response, "headers").(map[string]any)
	for name := range headers {
		require.NotEmpty(t, r.header.Get(name), "%s %s: %d without %s", method, target, r.status, name)
	}
	content := r.header.Get("Content-Type")
	require.NotNil(t, at(response, "content", content), "%s %s: %d is %q", method, target, r.status, content)
	if method != http.MethodHead && !strings.Contains(target, "include_metadata=true") {
		require.NoError(t, validate(place+"/content/"+pointer(content)+"/schema", r.text), "%s %s: %s", method, target, r.text)
	}
}

var anyQuestion = regexp.MustCompile(`^/v1/activities/[^/]+/questions/[^/]+(/[a-z]+)?$`)

var anyActivity = regexp.MustCompile(`^/v1/activities/[^/]+(/[a-z]+)?$`)

// pointer escapes a name for a JSON pointer in a URL.
func pointer(name string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}

// at follows keys into a JSON value.
func at(v any, keys ...string) any {
	for _, key := range keys {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	return v
}

// as is a value that must be a T.
func as[T any](t testing.TB, v any) T {
	t.Helper()
	out, ok := v.(T)
	require.True(t, ok, "%T: %v", v, v)
	return out
}

func examplesOf(schema any) []any {
	examples, _ := at(schema, "examples").([]any)
	return examples
}

// TestConformsIsStrict: the comparison with the document finds a key too many, a key too few and a value of another type.
func TestConformsIsStrict(t *testing.T) {
	t.Parallel()
	stats := `{"counts":{"QUEUED":0,"RUNNING":0,"COMPLETE":0,"ERROR":0,"CANCELED":0,"stale":0},"active":0}`
	require.NoError(t, validate(componentSchema("Stats"), stats))
	for _, wrong := range []string{
		strings.Replace(stats, `"QUEUED":0,`, "", 1), strings.Replace(stats, `"active":0`, `"active":"0"`, 1), strings.Replace(stats, `"active"`, `"more":1,"active"`, 1),
		strings.Replace(stats, `"ERROR":0`, `"ERROR":0.5`, 1),
	} {
		require.Error(t, validate(componentSchema("Stats"), wrong), wrong)
	}
	now, _ := json.Marshal(time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))
	require.NoError(t, validate(componentSchema("ActivityLog")+"/properties/created_at", string(now)))
	require.Error(t, validate(componentSchema("ActivityLog")+"/properties/created_at", `"2020-01-01T00:00:00.000000Z"`))
	require.Error(t, validate(componentSchema("ActivityLog")+"/properties/created_at", `"2026-03-01T09:30:00Z"`))
	require.Error(t, validate(componentSchema("Created")+"/properties/agent_id", `"x"`))
	require.Error(t, validate(componentSchema("ActivityLog")+"/properties/status", `"RUNNIN"`))
}
