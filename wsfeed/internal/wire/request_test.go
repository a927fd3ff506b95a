package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const anID = "6f2c1d1e-0b7a-4f52-9a53-3e8f0c1b2a3d"

func TestParse(t *testing.T) {
	t.Parallel()

	t.Run("Accepts", func(t *testing.T) {
		t.Parallel()
		for text, want := range map[string]Request{
			`{"type":"ping"}`:                                                                       {Kind: "ping"},
			" \n{\"type\" : \"ping\"}\t":                                                            {Kind: "ping"},
			`{"type":"unsubscribe","sub":"a"}`:                                                      {Kind: "unsubscribe", Sub: "a"},
			`{"type":"subscribe","agent_id":"` + anID + `"}`:                                        {Kind: "subscribe", Sub: anID},
			`{"type":"subscribe","sub":"","agent_id":"` + anID + `"}`:                               {Kind: "subscribe", Sub: anID},
			`{"type":"subscribe","sub":"é \u0000 \"","agent_id":"` + anID + `","after_seq":0}`:      {Kind: "subscribe", Sub: "é \x00 \""},
			`{"type":"subscribe","sub":"a","agent_id":"` + anID + `","after_seq":2147483647}`:       {Kind: "subscribe", Sub: "a", AfterSeq: 1<<31 - 1},
			`{"type":"subscribe","sub":"a","agent_id":"` + strings.ToUpper(anID) + `"}`:             {Kind: "subscribe", Sub: "a"},
			`{"type":"subscribe","sub":"a","agent_id":"` + anID + `","after_seq":null,"list":null}`: {Kind: "subscribe", Sub: "a"},
		} {
			got, err := Parse([]byte(text))
			require.NoError(t, err, text)
			if want.Kind == "subscribe" {
				require.Equal(t, anID, got.AgentID.String())
				want.AgentID = got.AgentID
			}
			require.Equal(t, want, got, text)
		}
	})

	t.Run("Refuses", func(t *testing.T) {
		t.Parallel()
		for text, part := range map[string]string{
			``:                                    "cut off",
			`{`:                                   "cut off",
			`x`:                                   "invalid character",
			`null`:                                "type is missing",
			`{}`:                                  "type is missing",
			`[]`:                                  "a message must be an object, got array",
			`7`:                                   "a message must be an object, got number",
			`{"type":7}`:                          "type must be a string, got number",
			`{"type":"hello"}`:                    `unknown type "hello"`,
			`{"type":"ping"} {"type":"ping"}`:     "more than one JSON value",
			`{"type":"ping"}x`:                    "more than one JSON value",
			`{"type":"ping","color":"red"}`:       `unknown field "color"`,
			`{"type":"ping","sub":["a"]}`:         "sub must be a string, got array",
			`{"type":"subscribe"}`:                "agent_id must be a UUID",
			`{"type":"subscribe","agent_id":"x"}`: `agent_id must be a UUID, got "x"`,
			`{"type":"subscribe","agent_id":"{` + anID + `}"}`:                                              "agent_id must be a UUID",
			`{"type":"subscribe","agent_id":"urn:uuid:` + anID + `"}`:                                       "agent_id must be a UUID",
			`{"type":"subscribe","agent_id":"` + strings.ReplaceAll(anID, "-", "") + `"}`:                   "agent_id must be a UUID",
			`{"type":"subscribe","agent_id":"` + anID + `","after_seq":-1}`:                                 "after_seq must be between 0 and 2147483647, got -1",
			`{"type":"subscribe","agent_id":"` + anID + `","after_seq":2147483648}`:                         "after_seq must be between",
			`{"type":"subscribe","agent_id":"` + anID + `","after_seq":1.5}`:                                "after_seq must be an integer, got number 1.5",
			`{"type":"subscribe","agent_id":"` + anID + `","after_seq":1e99}`:                               "after_seq must be an integer",
			`{"type":"subscribe","agent_id":"` + anID + `","after_seq":"1"}`:                                "after_seq must be an integer, got string",
			`{"type":"subscribe","agent_id":"` + anID + `","after_seq":99999999999999999999}`:               "after_seq must be an integer",
			`{"type":"subscribe","sub":"b","agent_id":"` + anID + `","list":{}}`:                            "not to both",
			`{"type":"subscribe","sub":"b","after_seq":1,"list":{}}`:                                        "not to both",
			`{"type":"subscribe","list":{}}`:                                                                "a list needs a sub",
			`{"type":"subscribe","sub":"` + strings.Repeat("x", 256) + `","list":{}}`:                       "sub must be at most 255 bytes",
			`{"type":"subscribe","sub":"b","list":[]}`:                                                      "list must be an object, got array",
			`{"type":"subscribe","sub":"b","list":{"limits":1}}`:                                            `unknown field "limits"`,
			`{"type":"subscribe","sub":"b","list":{"stale":"yes"}}`:                                         "list.stale must be true or false, got string",
			`{"type":"subscribe","sub":"b","list":{"stale":1}}`:                                             "list.stale must be true or false, got number",
			`{"type":"subscribe","sub":"b","list":{"limit":-1}}`:                                            "list.limit must be between 1 and 1000",
			`{"type":"subscribe","sub":"b","list":{"limit":1001}}`:                                          "list.limit must be between 1 and 1000",
			`{"type":"subscribe","sub":"b","list":{"limit":1e99}}`:                                          "list.limit must be an integer",
			`{"type":"subscribe","sub":"b","list":{"statuses":"RUNNING"}}`:                                  "list.statuses must be an array, got string",
			`{"type":"subscribe","sub":"b","list":{"statuses":["runs"]}}`:                                   `unknown status "runs"`,
			`{"type":"subscribe","sub":"b","list":{"statuses":[1]}}`:                                        "must be a string",
			`{"type":"subscribe","sub":"b","list":{"sort":"name"}}`:                                         `list.sort must be created, duration or activity, got "name"`,
			`{"type":"subscribe","sub":"b","list":{"sort":1}}`:                                              "list.sort must be a string",
			`{"type":"subscribe","sub":"b","list":{"order":"up"}}`:                                          `list.order must be desc or asc, got "up"`,
			`{"type":"subscribe","sub":"b","list":{"since":"yesterday"}}`:                                   `list.since must be a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m, 1h or 7d, got "yesterday"`,
			`{"type":"subscribe","sub":"b","list":{"until":"-1h"}}`:                                         "list.until must be a time",
			`{"type":"subscribe","sub":"b","list":{"since":3600}}`:                                          "list.since must be a string",
			`{"type":"subscribe","sub":"b","list":{"parent_agent_id":"x"}}`:                                 `list.parent_agent_id must be a UUID, got "x"`,
			`{"type":"subscribe","sub":"b","list":{"parent_agent_id":1}}`:                                   "list.parent_agent_id must be a string, got number",
			`{"type":"subscribe","sub":"b","list":{"root_agent_id":"{` + anID + `}"}}`:                      "list.root_agent_id must be a UUID",
			`{"type":"subscribe","sub":"b","list":{"root_agent_id":["` + anID + `"]}}`:                      "list.root_agent_id must be a string, got array",
			`{"type":"subscribe","sub":"b","list":{"roots_only":"yes"}}`:                                    "list.roots_only must be true or false, got string",
			`{"type":"subscribe","sub":"b","list":{"waiting":1}}`:                                           "list.waiting must be true or false, got number",
			`{"type":"subscribe","sub":"b","list":{"stopping":"yes"}}`:                                      "list.stopping must be true or false, got string",
			`{"type":"subscribe","sub":"b","list":{"include_metadata":1}}`:                                  "list.include_metadata must be true or false",
			`{"type":"subscribe","sub":"b","list":{"id_prefix":"abcd"}}`:                                    `unknown field "id_prefix"`,
			`{"type":"subscribe","sub":"b","list":{"agent_type":1}}`:                                        "list.agent_type must be a string",
			`{"type":"subscribe","sub":"b","list":{"agent_type":"a\u0000"}}`:                                "list.agent_type: text must not contain U+0000",
			`{"type":"subscribe","sub":"b","list":{"metadata":[]}}`:                                         "list.metadata must be a JSON object",
			`{"type":"subscribe","sub":"b","list":{"metadata":"x"}}`:                                        "list.metadata must be a JSON object",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":"\u0000"}}}`:                             "list.metadata: text must not contain U+0000",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"\u0000":1}}}`:                               "list.metadata: text must not contain U+0000",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":[{"b":"\u0000"}]}}}`:                     "list.metadata: text must not contain U+0000",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":1e131072}}}`:                             "number out of range: 1e131072",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":1E-99999999999999999999}}}`:              "number out of range",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":0.` + strings.Repeat("1", 20000) + `}}}`: "number out of range: 0.1111",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":` + nested(101) + `}}}`:                  "nested deeper than 100",
			`{"type":"subscribe","sub":"b","list":{"metadata":{"a":` + nested(20000) + `}}}`:                "exceeded max depth",
		} {
			_, err := Parse([]byte(text))
			require.ErrorContains(t, err, part, "%.200s", text)
			require.NotContains(t, err.Error(), "SQLSTATE", "what was never asked of Postgres")
			require.Less(t, len(err.Error()), 400, "an error that repeats what the client sent")
		}
	})

	t.Run("OneFormForEqualFilters", func(t *testing.T) {
		t.Parallel()
		filter := func(list string) string {
			r, err := Parse([]byte(`{"type":"subscribe","sub":"l","list":` + list + `}`))
			require.NoError(t, err, list)
			b, _ := json.Marshal(r.List)
			return string(b)
		}
		for _, same := range []string{`{"limit":50}`, `{"limit":0}`, `{"statuses":[],"metadata":{},"agent_type":""}`, `{"metadata":null,"statuses":null}`, `{"stale":null}`,
			`{"sort":"created","order":"desc","since":"","until":null,"include_metadata":false}`,
			`{"parent_agent_id":null,"root_agent_id":"","roots_only":false,"waiting":null,"stopping":null}`} {
			require.Equal(t, filter(`{}`), filter(same))
		}
		require.Equal(t, filter(`{"statuses":["RUNNING","QUEUED"],"metadata":{"b":1,"a":true}}`),
			filter(`{"metadata": {"a":true, "b":1}, "statuses":["QUEUED","RUNNING","QUEUED"]}`))
		require.Equal(t, filter(`{"since":"60m","until":"2026-01-02T15:04:05Z"}`), filter(`{"since":"1h","until":"2026-01-02T17:04:05+02:00"}`))
		require.Equal(t, filter(`{"parent_agent_id":"`+anID+`"}`), filter(`{"parent_agent_id":"`+strings.ToUpper(anID)+`"}`))
		require.NotEqual(t, filter(`{"parent_agent_id":"`+anID+`"}`), filter(`{"root_agent_id":"`+anID+`"}`))
		require.NotEqual(t, filter(`{"waiting":true}`), filter(`{"waiting":false}`))
		for _, other := range []string{`{"roots_only":true}`, `{"waiting":false}`, `{"stopping":true}`, `{"stopping":false}`, `{"root_agent_id":"` + anID + `"}`, `{"sort":"duration"}`, `{"sort":"activity"}`, `{"order":"asc"}`, `{"since":"1h"}`, `{"until":"1h"}`, `{"include_metadata":true}`} {
			require.NotEqual(t, filter(`{}`), filter(other))
		}
		require.NotEqual(t, filter(`{"stale":true}`), filter(`{"stale":false}`))
		require.NotEqual(t, filter(`{}`), filter(`{"stale":false}`))
		// A number stays as it was written: what float64 cannot hold, Postgres can.
		require.Contains(t, filter(`{"metadata":{"n":12345678901234567890.5}}`), `12345678901234567890.5`)
		require.NotEqual(t, filter(`{"metadata":{"n":"1"}}`), filter(`{"metadata":{"n":1}}`))
	})
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
