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

// A NumberOrText that is a number matches the number and the text, as it is written; in a filter and in a scope.
func TestNumberOrText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := map[string]uuid.UUID{}
	for _, org := range []string{`42`, `42.0`, `"42"`, `9007199254740993`, `9007199254740992`, `"x"`, `"042"`} {
		made[org] = b.create(t, client.WithMetadata(map[string]any{"org": json.RawMessage(org), "team": json.RawMessage(org)}))
	}
	for value, want := range map[any][]string{
		client.NumberOrText("42"):               {`42`, `42.0`, `"42"`},
		client.NumberOrText("42.00"):            {`42`, `42.0`},
		client.NumberOrText("9007199254740993"): {`9007199254740993`},
		client.NumberOrText("x"):                {`"x"`},
		client.NumberOrText("042"):              {`"042"`},
		client.NumberOrText("1e9999"):           {},
		client.NumberOrText(""):                 {},
		client.NumberOrText("-"):                {},
		"42":                                    {`"42"`},
		42:                                      {`42`, `42.0`},
	} {
		ids := []uuid.UUID{}
		for _, org := range want {
			ids = append(ids, made[org])
		}
		for _, metadata := range []map[string]any{{"org": value}, {"org": value, "team": value}} {
			listed := []uuid.UUID{}
			for _, item := range must[*client.List](t)(b.c.List(b.ctx, client.ListParams{MetadataFilter: metadata})).Items {
				listed = append(listed, item.AgentID)
			}
			require.ElementsMatch(t, ids, listed, value)
			scoped := b.c.WithScope(client.Scope{Metadata: metadata})
			require.ElementsMatch(t, ids, must[[]uuid.UUID](t)(scoped.PendingIDs(b.ctx)), value)
			require.EqualValues(t, len(ids), must[int64](t)(b.c.CountActive(b.ctx, metadata)))
		}
	}

	five := map[string]any{}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		_, err := b.c.CountActive(b.ctx, five)
		require.NoError(t, err)
		five[key] = client.NumberOrText("1")
	}
	_, err := b.c.CountActive(b.ctx, five)
	require.ErrorIs(t, err, client.ErrInvalid)
	_, err = b.c.WithScope(client.Scope{Metadata: five}).CountActive(b.ctx, nil)
	require.ErrorIs(t, err, client.ErrInvalid)
}

// A scope of alternatives has one text, whatever their order, and reads its own JSON.
func TestScopeOfAlternatives(t *testing.T) {
	t.Parallel()
	s := client.Scope{MetadataAny: []map[string]any{{"org": "42"}, {"org": 42}, {"org": "42"}}}
	require.Equal(t, `{"metadata":[{"org":"42"},{"org":42}]}`, s.String()) //nolint:testifylint // it is the text that must be the same
	require.Equal(t, s.String(), client.Scope{Metadata: map[string]any{"org": client.NumberOrText("42")}}.String())
	var read client.Scope
	require.NoError(t, json.Unmarshal([]byte(s.String()), &read))
	require.Equal(t, s.String(), read.String())
	require.NoError(t, json.Unmarshal([]byte(`{"agent_types":[],"metadata":{"n":9007199254740993}}`), &read))
	require.Equal(t, client.Scope{AgentTypes: []string{}, Metadata: map[string]any{"n": json.Number("9007199254740993")}}, read)

	b := setup(t)
	b.create(t)
	for _, refused := range []client.Scope{{MetadataAny: []map[string]any{}}, {MetadataAny: []map[string]any{{"a": 1}}, Metadata: map[string]any{"a": 1}}} {
		require.False(t, refused.IsZero())
		_, err := b.c.WithScope(refused).PendingIDs(b.ctx)
		require.ErrorIs(t, err, client.ErrInvalid, refused.String())
	}
	require.Len(t, must[[]uuid.UUID](t)(b.c.WithScope(client.Scope{MetadataAny: []map[string]any{{"a": 1}, {}}}).PendingIDs(b.ctx)), 1, "{} asks for nothing")
}
