package jsonb

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

func TestObject(t *testing.T) {
	t.Parallel()
	for data, says := range map[string]string{
		`{}`: "", `null`: "", `{"a":[1,"x",null,true,{"b":1.50}]}`: "", `{"a":9007199254740993}`: "", `{"a":1e1000,"b":-1E-1000}`: "",
		nested(100): "", `{"a":"\ud800"}`: "", // which is read as U+FFFD
		``: "must be a JSON object", `[]`: "must be a JSON object", `1`: "must be a JSON object", `{`: "must be a JSON object",
		`{"a":1}x`: "must be a JSON object", `{"a":1}}`: "must be a JSON object", `{"a":01}`: "must be a JSON object",
		`{"a":"\u0000"}`: "U+0000", `{"\u0000":1}`: "U+0000", `{"a":[{"b":"x\u0000"}]}`: "U+0000", nested(101): "deeper",
		`{"a":1e1001}`: "number", `{"a":1e-1001}`: "number", `{"a":1E+99999999999999999999}`: "number", `{"a":` + strings.Repeat("9", 1001) + `}`: "number",
	} {
		object, err := Object([]byte(data))
		if says == "" {
			require.NoError(t, err, data)
			continue
		}
		require.ErrorContains(t, err, says, data)
		require.Nil(t, object)
	}
	object, err := Object([]byte(`{"n":9007199254740993}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"n": json.Number("9007199254740993")}, object)
	object, err = Object([]byte(`null`))
	require.NoError(t, err)
	require.Nil(t, object)
}

// FuzzObject: Postgres stores what we say it can, and means the same by it.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"a":{"b":[1,2.5e300,null,true]}}`, `{"a":1e400}`, `{"a":1e1000}`, `{"a":1e-1000}`, `{"a":1e131073}`, `{"a":-0.0}`, `{"a":1,"a":2}`,
		`{"a":"\u0000"}`, `{"\ud800":1}`, `{"":""}`, `{"a":` + strings.Repeat("9", 1000) + `}`, `{"a":0.` + strings.Repeat("9", 998) + `}`, nested(100), nested(101),
		`{"a":1e-20000}`, `{"a":1E5}`, "{\"a\":\"\x01\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	conn := pgtest.New(f).Conn(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := Object(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(object)
		require.NoError(t, err)
		var keys int
		err = conn.QueryRow(context.WithoutCancel(t.Context()), `
			select case jsonb_typeof(j) when 'object' then (select count(*) from jsonb_object_keys(j)) else 0 end
			from (select $1::text::jsonb as j offset 0) s`, string(text)).Scan(&keys)
		require.NoError(t, err, "%s", text)
		require.Len(t, object, keys)
	})
}

func TestFilter(t *testing.T) {
	t.Parallel()
	for text, objects := range map[string]int{
		`null`: 0, `{}`: 0, `{"a":1}`: 1, `[{"a":1}]`: 1, ` [ {"a":1}, {"a":"1"} ] `: 2, `[{"a":1},{}]`: 0, `[{}]`: 0,
	} {
		data := []byte(text)
		got, err := Filter(data)
		require.NoError(t, err, text)
		require.Len(t, got, objects, text)
		require.Equal(t, text, string(data), "what was given stays as it is")
	}
	for _, text := range []string{`[]`, `[1]`, `[null]`, `[{"a":1},null]`, `[[{}]]`, `1`, `"x"`, `[{"a":1}`, `[{"a":1}]x`,
		"[" + strings.Repeat(`{"a":1},`, 16) + `{"a":1}]`} {
		_, err := Filter([]byte(text))
		require.ErrorIs(t, err, ErrNoFilter, text)
	}
	_, err := Filter([]byte(`[{"a":1},{"a":1e9999}]`))
	require.ErrorContains(t, err, "number out of range")
}
