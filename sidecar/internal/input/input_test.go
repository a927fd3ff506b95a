package input

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// line has fields of most types.
type line struct {
	Message    string          `json:"message"`
	Percentage *float64        `json:"percentage,omitempty"`
	Status     *Status         `json:"status,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	AtSeq      *int32          `json:"at_seq,omitempty"`
}

// FuzzBody: no body makes the decoder panic; what it takes is a JSON object of known fields whose texts Postgres can
// store.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"message":"x","percentage":5,"status":"RUNNING","data":{"a":[1,null]},"at_seq":2}`, `{"message":"\ud83d\ude80\\u0000"}`,
		`{"message":"\ud83d"}`, `{"message":"\u0000"}`, `{"Message":"x"}`, `{"message":"x"}}`, `[]`, `null`, ``, `{"message":"\`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, faults := Body[line](data)
		if len(faults) > 0 {
			for _, f := range faults {
				require.Less(t, len(f.Location+f.Message), 500+len(data))
			}
			return
		}
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &fields))
		for name := range fields {
			require.Contains(t, []string{"message", "percentage", "status", "data", "at_seq"}, name)
		}
		require.True(t, utf8.ValidString(value.Message))
		require.NotContains(t, value.Message, "\x00")
		if sent := strings.ToLower(string(data)); !strings.Contains(sent, "\uFFFD") && !strings.Contains(sent, `\ufffd`) {
			require.NotContains(t, value.Message, "\uFFFD", "nothing is put in the place of what cannot be read")
		}
	})
}

// FuzzQuery: no query makes the reader panic, and what it takes Postgres can take.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"page=1&page_size=50&status=RUNNING,QUEUED&agent_type=a&metadata.org=42&after=x", "status=&status=RUNNING", "metadata.=1",
		"metadata.a=%22%22", "metadata.a=%22", "page=1&page=1", "%00=%ff", "a=%zz", "a;b", "metadata.%ff=1", "&&=&",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := NewQuery(raw)
		page, statuses, agentType, metadata := q.Integer("page"), q.Statuses("status"), q.Text("agent_type"), q.Metadata()
		if len(q.Done()) > 0 {
			return
		}
		_, err := url.ParseQuery(raw)
		require.NoError(t, err)
		if page != nil {
			require.Equal(t, *page, int(int32(*page)))
		}
		for _, s := range statuses {
			require.Contains(t, statusNames(), string(s))
		}
		require.Empty(t, textFault(agentType))
		text, err := json.Marshal(metadata)
		require.NoError(t, err)
		require.Empty(t, escapeFault(text))
	})
}
