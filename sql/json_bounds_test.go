package sql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nested is an array in an array, n deep, or an object in an object.
func nested(n int, open, end string) string {
	return strings.Repeat(open, n) + "1" + strings.Repeat(end, n)
}

// numbers is an array of n equal numbers.
func numbers(n int, number string) string {
	return "[" + strings.Repeat(number+",", n-1) + number + "]"
}

// jsonInBounds and jsonOutOfBounds are values of data, and values in metadata.
var jsonInBounds = map[string]string{
	"Null": "null", "Empty": "{}", "String": `"x"`, "Number": "1.50",
	"Depth100": nested(100, "[", "]"), "Objects100": nested(100, `{"a":`, "}"),
	"Exponent1000": "[1e1000, -9.9e1000, 1e-1000, 0e-1000]", "LongNumber": strings.Repeat("9", 1001),
	"Long": `"` + strings.Repeat("x", 1<<20-2) + `"`, "ManyZeros": numbers(100000, "0"), "ManyNumbers": numbers(1000, "1e1000"),
}

var jsonOutOfBounds = map[string]struct{ value, bound string }{
	"Long":           {`"` + strings.Repeat("x", 1<<20-1) + `"`, "at most 1048576 bytes as text, got 1048577"},
	"ManyNumbers":    {numbers(349526, "1"), "at most 1048576 bytes as text"},
	"TenMegabytes":   {`"` + strings.Repeat("x", 10<<20) + `"`, "at most 1048576 bytes as text"},
	"LongExpanded":   {numbers(1100, "1e1000"), "at most 1048576 bytes as text"},
	"350MBExpanded":  {numbers(300000, "1e1000"), "at most 1048576 bytes as text"},
	"Depth101":       {nested(101, "[", "]"), "nested at most 100 deep"},
	"Objects101":     {nested(101, `{"a":`, "}"), "nested at most 100 deep"},
	"EmptyAt101":     {strings.Repeat("[", 101) + strings.Repeat("]", 101), "nested at most 100 deep"},
	"Depth9000":      {nested(9000, "[", "]"), "nested at most 100 deep"},
	"Exponent1001":   {"1e1001", "exponent beyond +-1000"},
	"Negative":       {`{"a": [{"b": -1e1001}]}`, "exponent beyond +-1000"},
	"Small":          {"[1e-1001]", "exponent beyond +-1000"},
	"Zero":           {"[0, 0e-16383]", "exponent beyond +-1000"},
	"LongNumber":     {strings.Repeat("9", 1002), "exponent beyond +-1000"},
	"13MBExpanded":   {numbers(100, "1e131071"), "exponent beyond +-1000"},
	"13GBExpanded":   {numbers(100000, "1e131071"), "exponent beyond +-1000"},
	"1.6GBExpanded":  {numbers(100000, "0e-16383"), "exponent beyond +-1000"},
	"AmongOthers":    {`{"page": 3, "text": "` + strings.Repeat("x", 5000) + `", "n": 1e2000}`, "exponent beyond +-1000"},
	"DeepAmongMuch":  {`{"a": ` + nested(100, "[", "]") + `, "text": "` + strings.Repeat("x", 5000) + `"}`, "nested at most 100 deep"},
	"DeepAndExpands": {strings.Repeat("[", 101) + numbers(1000, "1e131071") + strings.Repeat("]", 101), "nested at most 100 deep"},
}

func TestDataBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	for name, value := range jsonInBounds {
		for _, d := range doors {
			require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: "x", data: json.RawMessage(value)}), "%s %s", d.name, name)
		}
	}
	before := readActivity(t, b.pool, agent)
	for _, bad := range jsonOutOfBounds {
		for _, d := range doors {
			err := d.write(t.Context(), b.pool, line{agent: agent, message: "x", data: json.RawMessage(bad.value)})
			requireRefused(t, err, "TA422", "data must ", bad.bound)
		}
		for _, call := range []string{"append_log($1, 'x', status => 'COMPLETE', data => $2)", "complete($1, data => $2)", "error($1, data => $2)"} {
			_, err := b.pool.Exec(t.Context(), "select agentexec."+call, agent, json.RawMessage(bad.value))
			requireRefused(t, err, "TA422", "data must ", bad.bound)
		}
	}
	require.Equal(t, before, readActivity(t, b.pool, agent))
}

func TestMetadataBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, value := range jsonInBounds {
		if len(value) < 1<<20-100 && !strings.HasSuffix(name, "100") {
			b.exec("select agentexec.create_activity($1, metadata => $2)", name, json.RawMessage(`{"a": `+value+`}`))
		}
	}
	before := contents(t, b.pool)
	for name, bad := range jsonOutOfBounds {
		bound, _, _ := strings.Cut(bad.bound, ", got")
		_, err := b.pool.Exec(t.Context(), "select agentexec.create_activity($1, metadata => $2)", name,
			json.RawMessage(fmt.Sprintf(`{"a": %s}`, bad.value)))
		requireRefused(t, err, "TA422", "metadata must ", bound)
	}
	require.Equal(t, before, contents(t, b.pool))
}

// JSON that a query builds can print far more than it takes: a numeric keeps the decimals it was rounded to. The text of each
// of these values is longer than any Postgres can hold, so a function that prints one before it refuses it fails otherwise.
func TestJSONBuiltInTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	before := contents(t, b.pool)
	for _, number := range []string{"round(0.5, 16000)", "round(-1, 16383)"} {
		// From arrays of a thousand, because jsonb_agg takes a number through its text.
		b.exec(`create or replace view public.long as
			select jsonb_build_object('a', jsonb_agg(t.a)) as value
			from (select jsonb_agg(` + number + `) as a from generate_series(1, 1000) offset 0) t, generate_series(1, 100)`)
		for _, call := range []string{
			"select agentexec.append_log($1, 'x', data => value) from public.long",
			"select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x', 'data', value))) from public.long",
			"select agentexec.complete($1, data => value) from public.long",
			"select agentexec.error($1, data => value) from public.long",
			`insert into agentexec.activity_log (activity_id, message, data)
				select a.id, 'x', value from agentexec.activity a, public.long where a.agent_id = $1`,
			"select agentexec.create_activity('x', metadata => value), $1::uuid from public.long",
		} {
			_, err := b.pool.Exec(t.Context(), call, agent)
			requireRefused(t, err, "TA422", "data must be at most 1048576 bytes as text")
		}
	}
	require.Equal(t, before, contents(t, b.pool))

	// Decimals alone are no fault.
	for _, number := range []string{"round(0.5, 16000)", "round(-1, 16383)"} {
		b.exec("select agentexec.append_log($1, 'x', data => (select jsonb_agg("+number+") from generate_series(1, 60)))", agent)
		b.exec("select agentexec.append_log($1, 'x', data => jsonb_build_array("+number+", repeat('x', 5000)))", agent)
	}
}
