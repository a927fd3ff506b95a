package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Every refusal of append_logs names the entry and its field, and no entry of the call is written.
func TestAppendLogsRefusesBadEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent, done, unknown := b.in("RUNNING"), b.in("COMPLETE"), uuid.New()
	before := contents(t, b.pool)

	good := fmt.Sprintf(`{"agent_id": %q, "message": "good", "percentage": 5, "status": "COMPLETE", "data": {}}`, agent)
	with := func(fields string) string { return fmt.Sprintf(`{"agent_id": %q, %s}`, agent, fields) }
	for _, c := range []struct {
		entry string
		code  string
		words []string
	}{
		{`1`, "TA422", []string{"must be a JSON object"}},
		{`null`, "TA422", []string{"must be a JSON object"}},
		{`[]`, "TA422", []string{"must be a JSON object"}},
		{`"x"`, "TA422", []string{"must be a JSON object"}},
		{`{}`, "TA422", []string{".agent_id", "null"}},
		{`{"message": "x"}`, "TA422", []string{".agent_id", "null"}},
		{`{"agent_id": null, "message": "x"}`, "TA422", []string{".agent_id", "null"}},
		{`{"agent_id": "not-a-uuid", "message": "x"}`, "TA422", []string{".agent_id", "UUID", "not-a-uuid"}},
		{`{"agent_id": "", "message": "x"}`, "TA422", []string{".agent_id", "UUID"}},
		{`{"agent_id": 7, "message": "x"}`, "TA422", []string{".agent_id", "UUID"}},
		{`{"agent_id": ["x"], "message": "x"}`, "TA422", []string{".agent_id", "UUID"}},
		{with(`"message": null`), "TA422", []string{".message", "null"}},
		{with(`"percentage": 1`), "TA422", []string{".message", "null"}},
		{with(`"message": 7`), "TA422", []string{".message", "string"}},
		{with(`"message": {"a": 1}`), "TA422", []string{".message", "string"}},
		{with(`"message": "` + strings.Repeat("x", 1048577) + `"`), "TA422", []string{".message", "1048576 bytes"}},
		{with(`"message": "x", "percentage": 101`), "TA422", []string{".percentage", "between 0 and 100", "101"}},
		{with(`"message": "x", "percentage": -1`), "TA422", []string{".percentage", "between 0 and 100", "-1"}},
		{with(`"message": "x", "percentage": 100.5`), "TA422", []string{".percentage", "between 0 and 100", "100.5"}},
		{with(`"message": "x", "percentage": 1e30`), "TA422", []string{".percentage", "between 0 and 100"}},
		{with(`"message": "x", "percentage": 1e999`), "TA422", []string{".percentage", "between 0 and 100"}},
		{with(`"message": "x", "percentage": "NaN"`), "TA422", []string{".percentage", "between 0 and 100", "NaN"}},
		{with(`"message": "x", "percentage": "-Infinity"`), "TA422", []string{".percentage", "between 0 and 100"}},
		{with(`"message": "x", "percentage": "much"`), "TA422", []string{".percentage", "between 0 and 100", "much"}},
		{with(`"message": "x", "percentage": true`), "TA422", []string{".percentage", "between 0 and 100", "got boolean"}},
		{with(`"message": "x", "percentage": [5]`), "TA422", []string{".percentage", "between 0 and 100", "got array"}},
		{with(`"message": "x", "status": "DONE"`), "TA422", []string{".status", "QUEUED, RUNNING, COMPLETE, ERROR, CANCELED", "DONE"}},
		{with(`"message": "x", "data": [1e131071]`), "TA422", []string{".data", "exponent"}},
		{with(`"message": "x", "status": ""`), "TA422", []string{".status"}},
		{with(`"message": "x", "status": 1`), "TA422", []string{".status", "got number"}},
		{with(`"message": "x", "status": {}`), "TA422", []string{".status", "got object"}},
		{with(`"message": "x", "colour": "red"`), "TA422", []string{"unknown field", "colour"}},
		{with(`"message": "x", "Percentage": 5`), "TA422", []string{"unknown field", "Percentage"}},
		{with(`"message": "x", "": 5`), "TA422", []string{"unknown field"}},
		{fmt.Sprintf(`{"agent_id": %q, "message": "x"}`, unknown), "TA404", []string{unknown.String()}},
		{fmt.Sprintf(`{"agent_id": %q, "message": "x", "status": "RUNNING"}`, done), "TA409", []string{done.String(), "COMPLETE", "RUNNING"}},
		{with(`"message": "x", "status": "RUNNING"`), "TA409", []string{agent.String(), "COMPLETE", "RUNNING"}}, // after good
	} {
		for i, entries := range []string{good + "," + c.entry, good + "," + c.entry + "," + good} {
			_, err := b.pool.Exec(t.Context(), "select agentexec.append_logs($1)", []byte("["+entries+"]"))
			require.Error(t, err, c.entry)
			require.Equal(t, c.code, code(err), "%s: %v", c.entry[:min(len(c.entry), 200)], err)
			for _, word := range append([]string{"entries[1]"}, c.words...) {
				require.ErrorContains(t, err, word, "%d", i)
			}
			require.Equal(t, before, contents(t, b.pool), c.entry)
		}
	}

	for _, entries := range []string{`{}`, `null`, `1`, `"[]"`, `true`, good} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.append_logs($1)", []byte(entries))
		requireRefused(t, err, "TA422", "entries", "JSON array")
	}
	_, err := b.pool.Exec(t.Context(), "select agentexec.append_logs(null)")
	requireRefused(t, err, "TA422", "entries", "JSON array")
	require.Equal(t, before, contents(t, b.pool))
	require.Empty(t, all[string](t, b.pool, "select r::text from agentexec.append_logs('[]') r"))
	require.Equal(t, before, contents(t, b.pool))
}

// A field of another type is refused by its type, before its value is made text. The text of each of these is longer than any
// Postgres can hold.
func TestAppendLogsRefusesAnotherTypeByItsType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	before := contents(t, b.pool)
	b.exec(`create view public.huge as
		select jsonb_agg(t.a) as value from (select jsonb_agg(1e131071) as a from generate_series(1, 100) offset 0) t, generate_series(1, 100)`)
	for _, field := range []string{"agent_id", "message", "percentage", "status"} {
		for value, name := range map[string]string{"value": "array", "jsonb_build_object('a', value)": "object"} {
			_, err := b.pool.Exec(t.Context(), `select agentexec.append_logs(jsonb_build_array(
				jsonb_build_object('agent_id', $1::uuid, 'message', 'x'),
				jsonb_build_object('agent_id', $1::uuid, 'message', 'x') || jsonb_build_object($2::text, `+value+`))) from public.huge`, agent, field)
			requireRefused(t, err, "TA422", "entries[1]."+field+" must be ", ", got "+name)
			require.Less(t, len(err.Error()), 200)
		}
	}
	require.Equal(t, before, contents(t, b.pool))
}

// The first entry that is wrong is the one named, in the order of the argument.
func TestAppendLogsNamesTheFirstBadEntry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent, done := b.in("RUNNING"), b.in("CANCELED")
	for _, c := range []struct{ entries, code, first string }{
		{`{"agent_id": "x", "message": "x"}, {"agent_id": %[1]q, "percentage": "half"}`, "TA422", "entries[0].agent_id"},
		{`{"agent_id": %[1]q, "message": "x", "percentage": 5}, {"agent_id": "y", "message": "x"}`, "TA422", "entries[1].agent_id"},
		{`{"agent_id": %[1]q, "message": "x"}, {"agent_id": %[1]q, "percentage": 500}, {"agent_id": %[1]q}`, "TA422", "entries[1].message"},
		{`{"agent_id": %[2]q, "message": "x"}, {"agent_id": %[2]q, "message": "x", "status": "ERROR"},
		  {"agent_id": %[2]q, "message": "x", "status": "QUEUED"}`, "TA409", "entries[1]"},
		{`{"agent_id": %[1]q, "message": "x", "status": "ERROR"}, {"agent_id": %[1]q, "message": "x", "status": "RUNNING"},
		  {"agent_id": %[1]q, "message": "x", "status": "COMPLETE"}, {"agent_id": %[1]q, "message": "x", "status": "ERROR"}`, "TA409", "entries[3]"},
	} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.append_logs($1)", []byte("["+fmt.Sprintf(c.entries, agent, done)+"]"))
		requireRefused(t, err, c.code, c.first)
	}
}

// Other JSON forms of the same value are accepted: a percentage as text, a UUID in any of Postgres' forms.
func TestAppendLogsAcceptsOtherForms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	require.Equal(t, 5, one[int](t, b.pool, "select last_seq from agentexec.append_logs($1)", []entry{
		{"agent_id": strings.ToUpper(agent.String()), "message": "x", "percentage": nil, "status": nil, "data": nil},
		{"agent_id": strings.ReplaceAll(agent.String(), "-", ""), "message": "", "percentage": "7.9", "status": "running"},
		{"agent_id": "{" + agent.String() + "}", "message": "é\"\\\n", "data": []any{nil, 1, "x"}},
		{"agent_id": agent, "message": "x", "data": false},
	}))
	require.Equal(t, 7, *readActivity(t, b.pool, agent).LatestPercentage)
	require.Nil(t, readLine(t, b.pool, agent, 2).Data)
	require.Equal(t, "é\"\\\n", readLine(t, b.pool, agent, 4).Message)
	require.Equal(t, `[null, 1, "x"]`, *readLine(t, b.pool, agent, 4).Data)
	require.Equal(t, "false", *readLine(t, b.pool, agent, 5).Data)
}
