package httpapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar/internal/input"
)

// TestBodyFieldsHaveKnownTypes: input.Body reads each field of each body by its tag, and names what the type of the field takes.
func TestBodyFieldsHaveKnownTypes(t *testing.T) {
	t.Parallel()
	requireFields[createActivity](t)
	requireFields[appendLog](t)
	requireFields[completeActivity](t)
	requireFields[failActivity](t)
	requireFields[cancelActivity](t)
	requireFields[cancelPending](t)
	requireFields[sendHeartbeat](t)
	requireFields[askQuestion](t)
	requireFields[answerQuestion](t)
}

// requireFields sends a wrong value for each field of a body.
func requireFields[T any](t *testing.T) {
	t.Helper()
	var locations []string
	wrong := map[string]any{}
	for field := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		require.NotEmpty(t, name, field.Name)
		wrong[name] = []int{1}
		if field.Type != reflect.TypeFor[json.RawMessage]() {
			locations = append(locations, "body."+name)
		}
	}
	data, err := json.Marshal(wrong)
	require.NoError(t, err)
	_, faults := input.Body[T](data)
	for i, f := range faults {
		require.Equal(t, locations[i], f.Location)
		require.Regexp(t, `^must be .+, got an array$`, f.Message, f.Location)
	}
	require.Len(t, faults, len(locations))
}
