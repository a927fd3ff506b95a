package httpapi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// document is the OpenAPI document as a client gets it.
func (b *apiBundle) document(t testing.TB) map[string]any {
	t.Helper()
	return b.get(t, "/openapi.json", 200).object(t)
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

// conforms checks a value against a schema of the document: its keys are exactly those described, and each is of the
// type described.
func (b *apiBundle) conforms(t testing.TB, schema string, v any) {
	t.Helper()
	document := b.document(t)
	require.NotNil(t, at(document, "components", "schemas", schema), schema)
	conforms(t, document, map[string]any{"$ref": "#/components/schemas/" + schema}, v, schema)
}

func conforms(t testing.TB, document map[string]any, schema map[string]any, v any, where string) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema = as[map[string]any](t, at(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...))
	}
	types, ok := schema["type"].([]any)
	if !ok && schema["type"] != nil {
		types = []any{schema["type"]}
	}
	if types == nil {
		return // any JSON
	}
	kind := ""
	switch v := v.(type) {
	case nil:
		kind = "null"
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case json.Number:
		kind = "integer"
		_, err := strconv.ParseInt(v.String(), 10, 64)
		require.NoError(t, err, where)
	case []any:
		kind = "array"
		for i, item := range v {
			conforms(t, document, as[map[string]any](t, schema["items"]), item, fmt.Sprintf("%s[%d]", where, i))
		}
	case map[string]any:
		kind = "object"
		properties, _ := schema["properties"].(map[string]any)
		required := []string{}
		for _, name := range as[[]any](t, schema["required"]) {
			required = append(required, as[string](t, name))
			require.Contains(t, v, name, where)
		}
		for key, value := range v {
			require.Contains(t, properties, key, where)
			conforms(t, document, as[map[string]any](t, properties[key]), value, where+"."+key)
		}
		for key := range properties {
			if key != "errors" { // of a problem; all else is always there
				require.Contains(t, required, key, where)
			}
		}
	}
	require.Contains(t, types, kind, where)
	if allowed, ok := schema["enum"].([]any); ok {
		require.Contains(t, allowed, v, where)
	}
	switch schema["format"] {
	case "date-time":
		if v != nil {
			at, err := time.Parse("2006-01-02T15:04:05.000000Z", as[string](t, v))
			require.NoError(t, err, where)
			require.WithinDuration(t, time.Now(), at, 24*time.Hour, where)
		}
	case "uuid":
		require.NoError(t, uuid.Validate(as[string](t, v)), where)
	}
}
