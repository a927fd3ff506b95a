package source

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExpects(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		"": "JSON", "null": "JSON", "true": "JSON", "{}": "JSON", "[1]": "JSON",
		`{"type": "boolean"}`:                "true|false",
		`{"type": "string"}`:                 "string",
		`{"enum": ["a", 1, null]}`:           `"a"|1|null`,
		`{"const": {"a": 1}}`:                `{"a": 1}`,
		`{"type": ["string", "null"]}`:       "string|null",
		`{"type": "array"}`:                  "array",
		`{"type": "number", "minimum": 0.5}`: "number 0.5..",
		`{"type": "integer", "maximum": 9}`:  "integer ..9",
		`{"properties": {"b": {"type": "boolean"}, "a": {}}, "required": ["b"]}`: `{"a"?: JSON, "b": true|false}`,
		`{"type": 7}`: "JSON",
	} {
		require.Equal(t, want, Expects(json.RawMessage(schema)), schema)
	}
	require.True(t, IsText(json.RawMessage(`{"type": "string", "maxLength": 3}`)))
	require.False(t, IsText(json.RawMessage(`{"type": ["string", "null"]}`)))
	require.Nil(t, Choices(json.RawMessage(`{"type": "integer"}`)))
}
