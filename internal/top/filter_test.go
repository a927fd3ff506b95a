package top

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestParseFilter(t *testing.T) {
	t.Parallel()
	f, err := ParseFilter(`type:"my research" org=1 name="a b" vip=true status:error,Stale since:7d https://x.y  "two words" Rate`)
	require.NoError(t, err)
	require.Equal(t, "my research", f.agentType)
	require.Equal(t, []state{failed, silent}, f.states)
	require.Equal(t, map[string]any{"org": client.NumberOrText("1"), "name": "a b", "vip": json.RawMessage("true")}, f.metadata)
	require.Equal(t, []string{"https://x.y", "two words", "rate"}, f.words)
	require.Equal(t, client.Ago(7*24*time.Hour), f.since)

	for text, says := range map[string]string{
		"status:done": "is no status", "since:soon": "must be a duration before now", "type:": "has no value", "org=": "has no value",
		`a "b`: "not closed", "since:-1h": "must be a duration", "since:1x\x1b": `since:1x\x1b must be`, "id:xyz": "must be the first 4",
	} {
		_, err := ParseFilter(text)
		require.ErrorContains(t, err, says, text)
	}
	f, err = ParseFilter("  ")
	require.NoError(t, err)
	require.False(t, f.narrows())
}

func FuzzParseFilter(f *testing.F) {
	f.Add(`type:"x" a=1 status:error since:1h "b c" :: == "`)
	f.Fuzz(func(_ *testing.T, text string) {
		filter, err := ParseFilter(text)
		if err == nil {
			filter.params(views[0], order{})
			filter.matches(client.ListItem{})
		}
	})
}

func TestFilterMatches(t *testing.T) {
	t.Parallel()
	item := client.ListItem{
		Activity:  client.Activity{AgentType: "Research", Status: client.StatusRunning, AgentID: uuid.MustParse("01234567-89ab-cdef-0123-456789abcdef")},
		LatestLog: new("Reading papers"),
	}
	for text, want := range map[string]bool{
		"": true, "papers": true, "RESEARCH read": true, "89ab": true, "books": false, "papers books": false,
		"status:running": true, "status:error": false, "status:stale": false, "status:stopping": false, "status:error,running": true,
	} {
		f, err := ParseFilter(text)
		require.NoError(t, err)
		require.Equal(t, want, f.matches(item), text)
	}
	item.Cancel = &client.CancelRequest{}
	item.Stale = true
	require.Equal(t, stopping, stateOf(item.Activity))
	f, err := ParseFilter("status:stopping")
	require.NoError(t, err)
	require.True(t, f.matches(item))
	require.Equal(t, []client.Status{client.StatusRunning}, f.params(views[0], order{}).Statuses)
	f, err = ParseFilter("status:stale")
	require.NoError(t, err)
	require.True(t, *f.params(views[0], order{}).Stale)
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration][2]string{
		-time.Second: {"0 s", "0s"}, 41 * time.Second: {"41 s", "41s"}, 848 * time.Second: {"14 min", "14m 08s"},
		2*time.Hour + 3*time.Minute: {"2 h", "2h 03m"}, 76 * time.Hour: {"3 d", "3d 04h"}, 10000 * time.Hour: {"416 d", "416d"},
	} {
		require.Equal(t, want, [2]string{roughly(d), took(d)})
		require.LessOrEqual(t, len(took(d)), columnsFor(60).took)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	item := func(id uuid.UUID, seq int) client.ListItem {
		return client.ListItem{Activity: client.Activity{AgentID: id, LastSeq: seq}}
	}
	var r rates
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	r = r.add([]client.ListItem{item(a, 10), item(b, 5)}, at(0))
	require.Zero(t, r.total())
	r = r.add([]client.ListItem{item(a, 30), item(b, 5)}, at(4))
	require.InDelta(t, 5, r.of(a), 0.001)
	require.Zero(t, r.of(b))
	for i := 5; i <= 60; i++ { // the window forgets the beginning
		r = r.add([]client.ListItem{item(a, 30+2*(i-4))}, at(i))
		require.LessOrEqual(t, len(r[a]), 14)
	}
	require.InDelta(t, 2, r.of(a), 0.001)
	require.InDelta(t, 2, r.total(), 0.001)
	r = r.add([]client.ListItem{item(a, 1)}, at(61)) // deleted and made again
	require.Zero(t, r.of(a))
	require.Len(t, r, 1)
}

func TestWrap(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"one two", "three"}, wrap("one two three", 8, 5))
	require.Equal(t, []string{"abcde", "fgh"}, wrap("abcdefgh", 5, 5))
	require.Equal(t, []string{"one", "two …"}, wrap("one two three four", 5, 2))
	require.Equal(t, []string{""}, wrap("", 5, 2))
	for _, row := range wrap(strings.Repeat("完成 了 ", 40), 7, 100) {
		require.LessOrEqual(t, len([]rune(row)), 7)
	}
}
