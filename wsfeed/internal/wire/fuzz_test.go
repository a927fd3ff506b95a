package wire

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
)

// FuzzParse: whatever a client sends, Parse neither panics nor repeats it all in an error, and what it accepts makes
// sense and means the same when it is written down anew.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"ping"}`,
		`{"type":"unsubscribe","sub":"a"}`,
		`{"type":"unsubscribe","agent_id":"` + anID + `"}`,
		`{"type":"subscribe","agent_id":"` + anID + `","after_seq":3}`,
		`{"type":"subscribe","sub":"b","list":{"statuses":["RUNNING","ERROR"],"agent_type":"research","metadata":{"org":"1","n":1.5e3,"ok":true,"deep":[{"a":null}]},"stale":true,"limit":50}}`,
		`{"type":"subscribe","sub":"b","list":{"sort":"duration","order":"asc","since":"1d12h","until":"2026-01-02T15:04:05.1234567+02:00","include_metadata":true}}`,
		`{"type":"subscribe","sub":"b","list":{"sort":"created","order":"desc","since":"60m","until":"0s"}}`,
		`{"type":"subscribe","sub":"b","list":{"since":"9223372036854775807h"}}`,
		`{"type":"subscribe","sub":"b","list":{"metadata":{"a":"\u0000"}}}`,
		`{"type":"subscribe","sub":"b","list":{"metadata":{"a":1e131072}}}`,
		`{"type":"subscribe","sub":"b","list":{"metadata":{"a":"\ud800"}}}`,
		`{"type":"subscribe","sub":"b","list":{"metadata":{"a":1,"a":2},"limit":0}}`,
		`{"TYPE":"ping","Sub":"x"}`,
		`{"type":"` + strings.Repeat("x", 2000) + `"}`,
		`{"` + strings.Repeat("x", 2000) + `":1}`,
		`null`, ``, `{`, `[]`, "\xff", `{"type":"ping"}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		require.LessOrEqual(t, len(r.Sub), maxSubName)
		if err != nil {
			require.LessOrEqual(t, len(err.Error()), 1000)
			return
		}
		require.True(t, utf8.ValidString(r.Sub))
		again := message{Type: r.Kind, Sub: r.Sub}
		switch r.Kind {
		case "ping", "unsubscribe":
			require.Nil(t, r.List)
			require.Zero(t, r.AgentID)
		case "subscribe":
			require.NotEmpty(t, r.Sub)
			require.GreaterOrEqual(t, r.AfterSeq, 0)
			if r.List == nil {
				after := int64(r.AfterSeq)
				again.AgentID, again.AfterSeq = r.AgentID.String(), &after
				break
			}
			require.Equal(t, uuid.Nil, r.AgentID)
			require.Zero(t, r.AfterSeq)
			require.True(t, slices.IsSorted(r.List.Statuses))
			require.True(t, r.List.Limit >= 1 && r.List.Limit <= match.MaxLimit)
			require.NotContains(t, r.List.AgentType, "\x00")
			again.List = r.List
		default:
			t.Fatalf("accepted type %q", r.Kind)
		}
		text, err := json.Marshal(again)
		require.NoError(t, err)
		r2, err := Parse(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, r, r2)
	})
}
