package httpapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestAPIPassesPostgresJSONThrough(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t, client.WithMetadata(map[string]any{"org": "42"}))
	_, err := b.client.Update(t.Context(), id, "<b>läuft</b> 🚀", client.WithPercentage(40), client.WithStatus(client.StatusRunning),
		client.WithData(map[string]any{"a": []int{1, 2}}))
	require.NoError(t, err)
	b.create(t)

	list := b.get(t, "/v1/activities", 200)
	require.Equal(t, b.query(t, "select agentexec.list_activities()::text"), list.text)
	list.conforms(t, "ActivityList")

	detail := b.get(t, path(id), 200)
	require.Equal(t, b.query(t, "select agentexec._detail_page($1)::text", id), detail.text)
	detail.conforms(t, "ActivityDetail")

	head := b.do(t, "HEAD", path(id), "")
	require.Equal(t, 200, head.status)
	require.Empty(t, head.text)
	require.Empty(t, b.logged.String())
}

func TestAPIListFilters(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	create := func(name string, status client.Status, metadata map[string]any) {
		id, err := b.client.Create(t.Context(), name, "", client.WithMetadata(metadata))
		require.NoError(t, err)
		if status != client.StatusQueued {
			_, err = b.client.Update(t.Context(), id, "", client.WithStatus(status))
			require.NoError(t, err)
		}
	}
	create("a", client.StatusQueued, map[string]any{"org": "42", "paid": true, "a.b": "dotted", "": "empty key"})
	create("b", client.StatusRunning, map[string]any{"org": "42", "paid": "true", "none": nil})
	create("c", client.StatusComplete, map[string]any{"org": 42, "empty": "", "q": `say "hi"`})
	create("d", client.StatusError, nil)
	create("e", client.StatusCanceled, map[string]any{"big": json.Number("9007199254740993"), "float": 1.5, "zero": "042"})
	create("f", client.StatusCanceled, map[string]any{"big": json.Number("9007199254740992"), "float": "1.50"})

	for query, want := range map[string]string{
		"":                                             "b a f e d c",
		"?":                                            "b a f e d c",
		"?status=RUNNING":                              "b",
		"?status=RUNNING,QUEUED":                       "b a",
		"?status=running,Queued":                       "b a",
		"?status=RUNNING&status=ERROR":                 "b d",
		"?status=RUNNING,ERROR&status=QUEUED":          "b a d",
		"?status=CANCELED":                             "f e",
		"?agent_type=a":                                "a",
		"?agent_type=A":                                "",
		"?agent_type=a&status=RUNNING":                 "",
		"?metadata.org=42":                             "b a c",
		"?metadata.org=42.0":                           "c",
		"?metadata.org=042":                            "",
		"?metadata.zero=042":                           "e",
		"?metadata.big=9007199254740993":               "e",
		"?metadata.big=%229007199254740993%22":         "",
		"?metadata.float=1.50":                         "f e",
		"?metadata.float=15e-1":                        "e",
		"?metadata.float=1e999999":                     "",
		"?metadata.org=42&metadata.big=1":              "",
		"?metadata.org=%2242%22":                       "b a",
		"?metadata.paid=true":                          "a",
		"?metadata.paid=%22true%22":                    "b",
		"?metadata.paid=false":                         "",
		"?metadata.none=null":                          "b",
		"?metadata.none=%22null%22":                    "",
		"?metadata.a.b=dotted":                         "a",
		"?metadata.empty=":                             "c",
		"?metadata.q=say+%22hi%22":                     "c",
		"?metadata.org=42&metadata.paid=true":          "a",
		"?metadata.org=42&status=RUNNING":              "b",
		"?page=&page_size=&status=&agent_type=&after=": "b a f e d c",
		"?page_size=2":                                 "b a",
		"?page_size=3&page=2":                          "e d c",
		"?page=99":                                     "",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			r := b.get(t, "/v1/activities"+query, 200)
			r.conforms(t, "ActivityList")
			list := decoded[client.List](t, r.text)
			var names []string
			for _, item := range list.Items {
				names = append(names, item.AgentType)
			}
			require.Equal(t, want, strings.Join(names, " "))
		})
	}
}

func TestAPIListPagesByKey(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	for i := range 7 {
		_, err := b.client.Create(t.Context(), fmt.Sprint(i), "")
		require.NoError(t, err)
	}
	var names []string
	query, pages := "?page_size=3", 0
	for {
		r := b.get(t, "/v1/activities"+query, 200)
		page := r.object(t)
		r.conforms(t, "ActivityList")
		if pages > 0 {
			require.Nil(t, page["total"])
			require.Nil(t, page["page"])
			require.Nil(t, page["pages"])
		}
		list := decoded[client.List](t, r.text)
		for _, item := range list.Items {
			names = append(names, item.AgentType)
		}
		pages++
		if list.Next == nil {
			break
		}
		query = "?page_size=3&after=" + url.QueryEscape(*list.Next)
	}
	require.Equal(t, 3, pages)
	require.Equal(t, "6 5 4 3 2 1 0", strings.Join(names, " "))
}

func TestAPIDetailPagesItsLines(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	for range 9 {
		_, err := b.client.Update(t.Context(), id, "line")
		require.NoError(t, err)
	}
	for query, want := range map[string]string{
		"":                       "[1 2 3 4 5 6 7 8 9 10]",
		"?after_seq=8":           "[9 10]",
		"?after_seq=8&limit=1":   "[9]",
		"?limit=2":               "[1 2]",
		"?limit=0":               "[]",
		"?after_seq=10":          "[]",
		"?after_seq=2147483647":  "[]",
		"?after_seq=&limit=":     "[1 2 3 4 5 6 7 8 9 10]",
		"?after_seq=0&limit=999": "[1 2 3 4 5 6 7 8 9 10]",
	} {
		r := b.get(t, path(id)+query, 200)
		r.conforms(t, "ActivityDetail")
		seqs := []int{}
		for _, line := range decoded[client.Detail](t, r.text).Logs {
			seqs = append(seqs, line.Seq)
		}
		require.Equal(t, want, fmt.Sprint(seqs), query)
	}

	unknown := uuid.New()
	detail := b.get(t, path(unknown), 404).problem(t, 404, "TA404")
	require.Equal(t, "no activity with agent_id "+unknown.String(), detail)
}

func TestAPIStats(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	require.JSONEq(t, `{"counts":{"QUEUED":0,"RUNNING":0,"COMPLETE":0,"ERROR":0,"CANCELED":0,"stale":0},"active":0}`, b.get(t, "/v1/stats", 200).text)
	b.create(t)
	b.create(t)
	running, ended := b.create(t), b.create(t)
	_, err := b.client.Update(t.Context(), running, "", client.WithStatus(client.StatusRunning))
	require.NoError(t, err)
	_, err = b.client.Error(t.Context(), ended, "")
	require.NoError(t, err)

	r := b.get(t, "/v1/stats", 200)
	r.conforms(t, "Stats")
	require.JSONEq(t, `{"counts":{"QUEUED":2,"RUNNING":1,"COMPLETE":0,"ERROR":1,"CANCELED":0,"stale":0},"active":3}`, r.text)
}

// Orders, ranges and prefixes reach SQL.
func TestAPIListOrders(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	ids := map[string]uuid.UUID{}
	for _, name := range []string{"long", "short", "old"} {
		ids[name], _ = b.client.Create(t.Context(), name, "")
		_, err := b.client.Complete(t.Context(), ids[name], "")
		require.NoError(t, err)
	}
	for name, times := range map[string][2]string{"long": {"20 min", "5 min"}, "short": {"10 min", "9 min"}, "old": {"3 h", "175 min"}} {
		b.query(t, "with u as (update agentexec.activity set created_at = now() - $2::text::interval, finished_at = now() - $3::text::interval where agent_id = $1 returning 1) select count(*)::text from u", ids[name], times[0], times[1])
	}
	hourAgo := url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339Nano))
	for query, want := range map[string]string{
		"": "short long old", "sort=created&order=asc": "old long short", "sort=duration": "long old short", "sort=duration&order=asc": "short old long",
		"sort=activity": "long short old", "sort=activity&order=asc": "old short long", "since=1h": "short long", "since=60m&sort=duration": "long short", "since=1d": "short long old",
		"until=1h": "old", "since=" + hourAgo: "short long", "since=1h&until=15m": "long", "until=" + hourAgo + "&order=asc": "old",
		"id_prefix=" + ids["old"].String()[:13]: "old", "since=&until=&sort=&order=&id_prefix=": "short long old",
	} {
		var names []string
		for _, item := range decoded[client.List](t, b.get(t, "/v1/activities?"+query, 200).text).Items {
			names = append(names, item.AgentType)
		}
		require.Equal(t, want, strings.Join(names, " "), query)
	}
	for query, word := range map[string]string{"sort=name": "sort", "order=up": "order", "since=yesterday": "since", "until=-1h": "until", "id_prefix=abc": "id_prefix",
		"since=1h&since=2h": "since"} {
		require.Contains(t, b.get(t, "/v1/activities?"+query, 422).problem(t, 422, "TA422"), word)
	}
}

// With a range, the stats are those of SQL, in the scope of the caller.
func TestAPIRangeStats(t *testing.T) {
	t.Parallel()
	b := setupAPI(t)
	id := b.create(t)
	_, err := b.client.Update(t.Context(), id, "", client.WithStatus(client.StatusRunning))
	require.NoError(t, err)
	_, err = b.client.Error(t.Context(), id, "out of memory")
	require.NoError(t, err)
	for query, buckets := range map[string]int{"since=1h": 60, "since=24h&bucket=5m": 288, "bucket=10m": 6, "since=7d&bucket=1h": 168, "since=10m&bucket=1s": 600} {
		r := b.get(t, "/v1/stats?"+query, 200)
		r.conforms(t, "RangeStats")
		s := decoded[client.Stats](t, r.text)
		require.InDelta(t, buckets, len(s.Series), 1, query)
		require.EqualValues(t, 1, s.Ended.Error)
		require.Equal(t, "out of memory", s.Failures[0].Message)
	}
	for query, word := range map[string]string{"since=0s": "since", "since=400d": "since", "bucket=0s": "bucket", "bucket=x": "bucket", "since=1d&bucket=1s": "1500 buckets", "bucket=2026-01-02T15:04:05Z": "bucket"} {
		require.Contains(t, b.get(t, "/v1/stats?"+query, 422).problem(t, 422, "TA422"), word, query)
	}
}
