package client_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestScopeString(t *testing.T) {
	t.Parallel()
	a, b := uuid.MustParse("00000000-0000-4000-8000-000000000001"), uuid.MustParse("00000000-0000-4000-8000-000000000002")

	for want, scope := range map[string]client.Scope{
		``: {Metadata: map[string]any{}},
		`{"agent_ids":["` + a.String() + `","` + b.String() + `"]}`: {AgentIDs: []uuid.UUID{b, a, b}},
		`{"agent_ids":[]}`:                                    {AgentIDs: []uuid.UUID{}},
		`{"agent_types":[]}`:                                  {AgentTypes: []string{}},
		`{"agent_types":["a","b"]}`:                           {AgentTypes: []string{"b", "a", "a"}},
		`{"metadata":{"n":{"a":12345678901234567890,"b":9}}}`: {Metadata: map[string]any{"n": json.RawMessage(`{ "b": 9, "a": 12345678901234567890 }`)}},
	} {
		require.Equal(t, want, scope.String())
		require.Equal(t, want == "", scope.IsZero())
		if want != "" {
			var read client.Scope
			d := json.NewDecoder(strings.NewReader(want))
			d.UseNumber()
			require.NoError(t, d.Decode(&read))
			require.Equal(t, want, read.String())
		}
	}
	require.True(t, client.Scope{}.IsZero())

	// The caller's lists stay as they were.
	types := []string{"b", "a"}
	_ = client.Scope{AgentTypes: types}.String()
	require.Equal(t, []string{"b", "a"}, types)

	// A scope that has no JSON becomes a text that is neither empty nor a valid scope.
	bad := client.Scope{Metadata: map[string]any{"n": math.NaN()}}.String()
	require.NotEmpty(t, bad)
	require.False(t, json.Valid([]byte(bad)))
}
