package jsonb

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// someText makes JSON texts from a small stock, so that equal parts meet often: numbers in several notations, strings in
// several escapes, null, nested and empty containers, keys that come twice.
type someText struct{ *rand.Rand }

func (r someText) pick(texts ...string) string { return texts[r.IntN(len(texts))] }

func (r someText) key() string {
	return r.pick(`"a"`, `"a"`, `"b"`, `"\u0061"`, `""`, `"é"`, `"e\u0301"`, `"A"`)
}

func (r someText) scalar() string {
	return r.pick(`1`, `1.0`, `1.00e0`, `10e-1`, `-1`, `0`, `-0`, `-0.0e3`, `0.001`, `1e-3`, `100`, `1E2`, `1e1000`, `1e-1000`,
		`9007199254740993`, `9007199254740992`, `"1"`, `"a"`, `"\u0061"`, `"A"`, `""`, `"é"`, `"\u00e9"`, `"e\u0301"`, `"\ud83d\ude00"`, `"😀"`,
		`"\n"`, `"\u000a"`, `true`, `false`, `null`)
}

func (r someText) object(depth int) string {
	var members []string
	for range r.IntN(4) {
		members = append(members, r.key()+":"+r.value(depth-1))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (r someText) value(depth int) string {
	switch {
	case depth <= 0 || r.IntN(2) == 0:
		return r.scalar()
	case r.IntN(2) == 0:
		return r.object(depth)
	}
	var elements []string
	for range r.IntN(4) {
		elements = append(elements, r.value(depth-1))
	}
	return "[" + strings.Join(elements, ",") + "]"
}

// part leaves out some of a value, so that it is contained more often than chance has it.
func (r someText) part(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any)
		for key, element := range v {
			if r.IntN(3) > 0 {
				out[key] = r.part(element)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, element := range v {
			if r.IntN(3) > 0 {
				out = append(out, r.part(element))
			}
		}
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		return out
	}
	return value
}

// TestContainsIsThatOfPostgres compares Contains with the operator @> of a real Postgres.
func TestContainsIsThatOfPostgres(t *testing.T) {
	t.Parallel()
	const pairs = 20_000
	r := someText{rand.New(rand.NewPCG(1, 2))}
	var as, bs []string
	for range pairs {
		a := r.object(4)
		b := r.object(3)
		if r.IntN(2) == 0 {
			object, err := Decode([]byte(a))
			require.NoError(t, err)
			text, err := json.Marshal(r.part(object))
			require.NoError(t, err)
			b = string(text)
		}
		as, bs = append(as, a), append(bs, b)
	}
	rows, err := pgtest.New(t).Conn(t).Query(t.Context(), `
		select p.a::jsonb @> p.b::jsonb, p.a::jsonb::text
		from unnest($1::text[], $2::text[]) with ordinality p(a, b, ord) order by p.ord`, as, bs)
	require.NoError(t, err)
	yes, i := 0, 0
	for rows.Next() {
		var want bool
		var stored string // as the sidecar reads it
		require.NoError(t, rows.Scan(&want, &stored))
		b, err := Object([]byte(bs[i]))
		require.NoError(t, err, bs[i])
		for _, text := range []string{as[i], stored} {
			a, err := Decode([]byte(text))
			require.NoError(t, err, text)
			left, _ := Canonical(a).(map[string]any)
			right, _ := Canonical(b).(map[string]any)
			got := Contains(left, right)
			require.Equal(t, want, got, "%s @> %s", text, bs[i])
		}
		if want {
			yes++
		}
		i++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, pairs, i)
	require.Greater(t, yes, pairs/5)
	require.Less(t, yes, pairs*4/5)
}
