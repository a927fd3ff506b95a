package sidecar_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzListFilter: whatever a filter of a live list is, it is served or refused, at once and by Postgres's leave: one query
// serves the lists of all clients, and a filter that it cannot read would stop them all.
func FuzzListFilter(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"statuses":["RUNNING"],"agent_type":"research","metadata":{"org":"1"},"limit":50}`, `{"metadata":{"a":1e131073}}`, `{"metadata":{"a":1e-999}}`,
		`{"metadata":{"a":"\\u0000"}}`, `{"metadata":{"\\ud800":1}}`, `{"metadata":[1]}`, `{"limit":0}`, `{"limit":1001}`, `{"statuses":["X"]}`,
		`{"metadata":` + strings.Repeat(`{"a":`, 101) + `1` + strings.Repeat(`}`, 102), `{"agent_type":"\u0000"}`, `{"metadata":{"a":` + strings.Repeat("9", 999) + `}}`,
		`{"metadata":{"a":-0.0}}`, `{"metadata":{"a":1,"a":2}}`, `null`, `{"metadata":{"":""}}`,
		`{"stale":true}`, `{"stale":false,"statuses":["RUNNING"]}`, `{"stale":null}`, `{"stale":"true"}`,
	} {
		f.Add(seed)
	}
	s := setup(f)
	_, err := s.c.Create(f.Context(), "research", "queued")
	require.NoError(f, err)
	so := s.open(f)
	f.Fuzz(func(t *testing.T, filter string) {
		if !json.Valid([]byte(filter)) || !utf8.ValidString(filter) || len(filter) > 10_000 {
			return // FuzzParse is for those
		}
		so.send(t, `{"type":"subscribe","sub":"x","list":`+filter+`}`)
		m := so.next(t)
		require.Contains(t, []string{"snapshot", "error"}, m.Type, m.raw)
		require.NotNil(t, m.Sub)
		if m.Type == "error" {
			require.Equal(t, "invalid", m.Code)
			return
		}
		so.send(t, `{"type":"unsubscribe","sub":"x"}`)
		for m.Type != "unsubscribed" {
			m = so.next(t)
		}
	})
}
