package httpapi

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

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
		rq := &request{body: data}
		value := body[appendLog](rq)
		if len(rq.faults) > 0 {
			for _, f := range rq.faults {
				require.Less(t, len(f.location+f.message), 500+len(data))
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
		q := newQuery(raw)
		page, statuses, agentType, metadata := q.integer("page"), q.statuses("status"), q.text("agent_type"), q.metadata()
		if len(q.done()) > 0 {
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

func TestBodyFieldsAreAllRead(t *testing.T) {
	t.Parallel()
	// decodeObject reads what has a json tag, and names what the type of the field takes.
	for _, value := range []any{createActivity{}, appendLog{}, completeActivity{}, failActivity{}, cancelActivity{}, cancelPending{}, sendHeartbeat{},
		askQuestion{}, answerQuestion{}} {
		for field := range reflect.TypeOf(value).Fields() {
			require.NotEmpty(t, field.Tag.Get("json"), field.Name)
			require.NotEmpty(t, expected[field.Type], field.Name)
		}
	}
}
