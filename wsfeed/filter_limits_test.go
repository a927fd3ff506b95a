package wsfeed

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
)

// TestListFilterJSON: a filter that is read as a match.Filter has the keys of ListFilter. The compiler does not compare tags.
func TestListFilterJSON(t *testing.T) {
	t.Parallel()
	public, read := reflect.TypeFor[ListFilter](), reflect.TypeFor[match.Filter]()
	for i := range public.NumField() {
		require.Equal(t, public.Field(i).Tag, read.Field(i).Tag)
	}
}

// TestFilterBytes: a filter has at most 1 KiB, whichever part of it is long.
func TestFilterBytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.open(t)
	for n, list := range []string{
		`{"metadata":{"org":"` + strings.Repeat("x", 1100) + `"}}`,
		`{"agent_type":"` + strings.Repeat("x", 1100) + `"}`,
		`{"agent_type":"` + strings.Repeat("x", 600) + `","metadata":{"org":"` + strings.Repeat("x", 600) + `"}}`,
		`{"metadata":{"org":"` + strings.Repeat("x", 60_000) + `"}}`,
		`{"agent_type":"` + strings.Repeat("x", 950) + `","parent_agent_id":"` + anID + `","root_agent_id":"` + anID + `"}`,
		`{"agent_type":"` + strings.Repeat("x", 990) + `","roots_only":true,"waiting":false}`,
	} {
		c.send(fmt.Sprintf(`{"type":"subscribe","sub":"%d","list":%s}`, n, list))
		m := c.next()
		require.Equal(t, "error", m.Type)
		require.Equal(t, "invalid", m.Code)
		require.Contains(t, m.Message, "at most 1024 bytes")
	}
	c.send(`{"type":"subscribe","sub":"a","list":{"metadata":{"org":"` + strings.Repeat("x", 900) + `"}}}`)
	c.expect("snapshot", "a")
}

// TestFiltersOfASocketAndASubject: both are bounded, and what is unsubscribed makes room.
func TestFiltersOfASocketAndASubject(t *testing.T) {
	t.Parallel()
	limits := make(chan string, 100)
	b := setup(t, func(c *Config) {
		c.MaxFilterBytes, c.MaxListsPerSubject, c.MaxFilterBytesPerSubject = 3000, 5, 4500
		c.Authorize = func(r *http.Request) (Access, error) { return Access{Subject: r.Header.Get("Subject")}, nil }
		c.Limited = func(limit string) { limits <- limit }
	})
	open := func(subject string) *browser {
		c := b.dial(t, "/v1/feed", http.Header{"Subject": {subject}})
		c.expect("welcome", "")
		return c
	}
	long := func(n int) string { return fmt.Sprintf(`{"metadata":{"org":"%d%s"}}`, n, strings.Repeat("x", 900)) }
	subscribe := func(c *browser, n int, list, limit string) {
		t.Helper()
		c.send(fmt.Sprintf(`{"type":"subscribe","sub":"%d","list":%s}`, n, list))
		if limit == "" {
			c.expect("snapshot", fmt.Sprint(n))
			return
		}
		require.Equal(t, "limit", c.expect("error", fmt.Sprint(n)).Code)
		require.Equal(t, limit, <-limits)
	}
	first := open("ada")
	for n := range 3 {
		subscribe(first, n, long(n), "")
	}
	subscribe(first, 3, long(3), LimitFilterBytes)
	first.send(`{"type":"unsubscribe","sub":"0"}`)
	first.expect("unsubscribed", "0")
	subscribe(first, 3, long(3), "")

	second := open("ada")
	subscribe(second, 0, long(0), "")
	subscribe(second, 1, long(1), LimitFilterBytesPerSubject)
	subscribe(second, 2, "{}", "")
	subscribe(second, 3, `{"limit":7}`, LimitListsPerSubject)
	subscribe(open("eve"), 0, long(0), "")

	require.NoError(t, first.ws.Close())
	require.Eventually(t, func() bool {
		room := 0
		for range 3 {
			if limit, _ := b.hub.filters.Take("ada", 0); limit == "" {
				room++
			}
		}
		for range room {
			b.hub.filters.Leave("ada", 0)
		}
		return room == 3
	}, patience, 5*time.Millisecond)
	subscribe(second, 4, `{"limit":8}`, "")
}
