package sidecar_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestHandshake(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, c := range map[string]struct {
		offered []string
		want    string
	}{
		"Ours":          {[]string{"agentexec.v1"}, "agentexec.v1"},
		"OursAmongMany": {[]string{"other", "agentexec.v1", "bearer.abc"}, "agentexec.v1"},
		"None":          {nil, ""},
		"OnlyOthers":    {[]string{"agentexec.v9"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			so, _ := s.shake(t, "/v1/feed", c.offered)
			require.NotNil(t, so)
			require.Equal(t, c.want, so.ws.Subprotocol())
			require.Regexp(t, `^{"type":"welcome","protocol":"agentexec.v1","time":"[0-9-]{10}T[0-9:.]{15}Z"}$`, so.next(t).raw)
			so.alive(t)
		})
	}
}

func TestSnapshotComesFirst(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id, err := s.c.Create(t.Context(), "research", "queued", client.WithMetadata(map[string]any{"secret": 1}))
	require.NoError(t, err)
	s.append(t, id, "two")
	want, _ := s.detail(t, id)
	for _, after := range []int{0, 1, 2, 99} {
		require.Equal(t, want, s.open(t).sub(t, "a", id, after).Activity)
	}
	require.NotContains(t, want, "metadata")

	// Also while lines pour in.
	busy := s.create(t)
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		for n := range 200 {
			s.append(t, busy, fmt.Sprint(n))
		}
	})
	for n := range 20 {
		so := s.open(t)
		so.sub(t, "a", busy, n)
	}
}

func TestLinesAreThoseOfPostgres(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	subscribe := func(after int) *socket {
		so := s.open(t)
		so.sub(t, "a", id, after)
		return so
	}
	early := subscribe(0)
	for n, message := range []string{"plain", "", "<b>&amp;\"quoted\" \\ /", "line\nbreak \r\n tab\t\x01\x7f", "ü 漢字 🙂 \u2028 \ufeff", strings.Repeat("long ", 50_000)} {
		_, err := s.c.Update(t.Context(), id, message, client.WithPercentage(n*10),
			client.WithData(map[string]any{"n": n, "float": 1.5, "big": 12345678901234567, "none": nil, "deep": []any{[]any{}, map[string]any{}}}))
		require.NoError(t, err)
	}
	s.write(t, id, client.StatusRunning, "running")
	late := subscribe(0)
	_, err := s.c.Complete(t.Context(), id, "done")
	require.NoError(t, err)

	activity, want := s.detail(t, id)
	for _, so := range []*socket{early, late, subscribe(0), subscribe(4)} {
		var got []any
		for m := so.next(t); m.Type != "end"; m = so.next(t) {
			require.Equal(t, "logs", m.Type, m.raw)
			got = append(got, m.rawLogs(t)...)
			require.Len(t, m.Activity, 12)
			for _, key := range []string{"status", "latest_percentage", "started_at", "updated_at", "finished_at", "last_seq", "attempt", "open_questions"} {
				require.Contains(t, m.Activity, key)
			}
			last := m.Logs[len(m.Logs)-1]
			if ahead := int(m.Activity["last_seq"].(float64)); ahead == last.Seq { //nolint:errcheck // the test ends either way
				require.Equal(t, string(last.Status), m.Activity["status"])
				require.Equal(t, last.CreatedAt.Format("2006-01-02T15:04:05.000000Z"), m.Activity["updated_at"])
			} else {
				require.Greater(t, ahead, last.Seq)
			}
			if last.Seq == len(want) {
				for key, value := range m.Activity {
					require.Equal(t, activity[key], value)
				}
			}
		}
		require.Equal(t, want[len(want)-len(got):], got)
	}
}

// TestReplayMeetsLive: subscribers that come at any moment, with any seq, while lines are being written, get exactly
// those after it.
func TestReplayMeetsLive(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const lines, subscribers = 400, 40
	id := s.create(t)
	var clients sync.WaitGroup
	for n := range subscribers {
		clients.Go(func() {
			so := s.open(t)
			after := 0
			if n%2 == 1 {
				after = n * 3
			}
			for { // come when there is something behind after
				m := so.sub(t, "a", id, after)
				if int(m.Activity["last_seq"].(float64)) >= after { //nolint:errcheck // the test ends either way
					break
				}
				so.send(t, `{"type":"unsubscribe","sub":"a"}`)
				for so.next(t).Type != "unsubscribed" {
				}
			}
			so.lines(t, after, lines-after)
			require.Equal(t, "end", so.next(t).Type)
		})
	}
	for n := 1; n < lines-1; n++ {
		if n%50 == 0 {
			var entries []client.Entry
			for range 20 {
				entries = append(entries, client.Entry{AgentID: id, Message: "bulk"})
			}
			_, err := s.c.AppendLogs(t.Context(), entries)
			require.NoError(t, err)
			n += 19
			continue
		}
		s.append(t, id, fmt.Sprint(n))
	}
	detail, _ := s.detail(t, id)
	for n := int(detail["last_seq"].(float64)); n < lines-1; n++ { //nolint:errcheck // the test ends either way
		s.append(t, id, "fill")
	}
	_, err := s.c.Complete(t.Context(), id, "done")
	require.NoError(t, err)
	clients.Wait()
}

func TestSubscriptionNames(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id, other := s.create(t), s.create(t)
	so := s.open(t)

	so.send(t, fmt.Sprintf(`{"type":"subscribe","agent_id":%q}`, strings.ToUpper(id.String())))
	so.expect(t, "snapshot", id.String())
	so.expect(t, "logs", id.String())
	for _, name := range []string{"a", "  ", "ü\"<>&", other.String(), strings.Repeat("x", 255)} {
		m := so.sub(t, name, id, 0) // the same activity under as many names as one likes
		require.Equal(t, id.String(), m.Activity["agent_id"])
		so.expect(t, "logs", name)
	}
	so.send(t, fmt.Sprintf(`{"type":"subscribe","agent_id":%q}`, other))
	require.Equal(t, "invalid", so.expect(t, "error", other.String()).Code, "the name is taken, by a subscription to another")

	s.append(t, id, "to all")
	seen := make(map[string]bool)
	for len(seen) < 6 {
		m := so.next(t)
		require.Equal(t, "logs", m.Type, m.raw)
		require.Equal(t, "to all", m.Logs[0].Message)
		require.False(t, seen[m.sub()], "twice")
		seen[m.sub()] = true
	}

	so.send(t, fmt.Sprintf(`{"type":"unsubscribe","agent_id":%q}`, id))
	so.expect(t, "unsubscribed", id.String())
	so.send(t, `{"type":"unsubscribe","sub":"a"}`)
	require.JSONEq(t, `{"type":"unsubscribed","sub":"a"}`, so.next(t).raw)
	so.send(t, `{"type":"unsubscribe","sub":"a"}`)
	require.Equal(t, "invalid", so.expect(t, "error", "a").Code)
	so.sub(t, "a", id, 2)
	so.alive(t)
	s.append(t, id, "to the rest")
	for range 5 {
		require.NotEqual(t, id.String(), so.next(t).sub())
	}
	so.alive(t)
}

// TestBadMessages: each gets an error, and the socket lives on.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "taken", id, 1)
	subscribe := `{"type":"subscribe","agent_id":"` + id.String() + `"`
	for text, want := range map[string]struct{ sub, code, message string }{
		``:                                      {"", "invalid", "cut off"},
		`{"type":`:                              {"", "invalid", "cut off"},
		`hello`:                                 {"", "invalid", "invalid character"},
		`[]`:                                    {"", "invalid", "must be an object"},
		`"ping"`:                                {"", "invalid", "must be an object"},
		`null`:                                  {"", "invalid", "type is missing"},
		`{}`:                                    {"", "invalid", "type is missing"},
		`{"type":1}`:                            {"", "invalid", "type must be a string"},
		`{"type":"x","sub":"a"}`:                {"a", "invalid", "unknown type"},
		`{"type":"ping","pong":1}`:              {"", "invalid", "unknown field"},
		`{"type":"ping"}{"type":"ping"}`:        {"", "invalid", "more than one"},
		`{"type":"unsubscribe","sub":"absent"}`: {"absent", "invalid", "no subscription"},
		`{"type":"unsubscribe"}`:                {"", "invalid", "agent_id"},
		`{"type":"subscribe","sub":"a"}`:        {"a", "invalid", "agent_id must be a UUID"},
		`{"type":"subscribe","sub":"a","agent_id":"1234"}`:                     {"a", "invalid", "agent_id must be a UUID"},
		`{"type":"subscribe","sub":"a","agent_id":null}`:                       {"a", "invalid", "agent_id must be a UUID"},
		`{"type":"subscribe","sub":"a","agent_id":["x"]}`:                      {"a", "invalid", "agent_id must be a string"},
		subscribe + `,"sub":"taken"}`:                                          {"taken", "invalid", "already"},
		subscribe + `,"sub":"a","after_seq":-1}`:                               {"a", "invalid", "after_seq must be between"},
		subscribe + `,"sub":"a","after_seq":2147483648}`:                       {"a", "invalid", "after_seq must be between"},
		subscribe + `,"sub":"a","after_seq":1e400}`:                            {"a", "invalid", "after_seq must be an integer"},
		subscribe + `,"sub":"a","after_seq":"1"}`:                              {"a", "invalid", "after_seq must be an integer"},
		subscribe + `,"sub":"a","after":1}`:                                    {"a", "invalid", "unknown field"},
		subscribe + `,"sub":7}`:                                                {"", "invalid", "sub must be a string"},
		subscribe + `,"sub":"` + strings.Repeat("x", 256) + `"}`:               {"", "invalid", "sub must be at most"},
		subscribe + `,"sub":"a","list":{}}`:                                    {"a", "invalid", "not to both"},
		`{"type":"subscribe","list":{}}`:                                       {"", "invalid", "a list needs a sub"},
		`{"type":"subscribe","sub":"a","list":{"limit":0.5}}`:                  {"a", "invalid", "list.limit must be an integer"},
		`{"type":"subscribe","sub":"a","list":{"limit":1001}}`:                 {"a", "invalid", "list.limit must be between"},
		`{"type":"subscribe","sub":"a","list":{"limit":-5}}`:                   {"a", "invalid", "list.limit must be between"},
		`{"type":"subscribe","sub":"a","list":{"statuses":["DONE"]}}`:          {"a", "invalid", "unknown status"},
		`{"type":"subscribe","sub":"a","list":{"statuses":{}}}`:                {"a", "invalid", "must be an array"},
		`{"type":"subscribe","sub":"a","list":{"metadata":[1]}}`:               {"a", "invalid", "must be a JSON object, or an array of 1 to 16 objects"},
		`{"type":"subscribe","sub":"a","list":{"metadata":{"a":"\u0000"}}}`:    {"a", "invalid", "U+0000"},
		`{"type":"subscribe","sub":"a","list":{"metadata":{"a":1e200000}}}`:    {"a", "invalid", "out of range"},
		`{"type":"subscribe","sub":"a","list":{"agent_type":"\u0000"}}`:        {"a", "invalid", "U+0000"},
		`{"type":"subscribe","sub":"a","list":{"status":"RUNNING"}}`:           {"a", "invalid", "unknown field"},
		`{"type":"subscribe","sub":"a","agent_id":"` + uuid.NewString() + `"}`: {"a", "not_found", "no such activity"},
	} {
		so.send(t, text)
		m := so.expect(t, "error", want.sub)
		require.Equal(t, want.code, m.Code, text)
		require.Contains(t, m.Message, want.message, text)
		require.NotContains(t, m.Message, "wsfeed", "names of Go types are internal")
		require.NotContains(t, m.Message, "Go ", "names of Go types are internal")
		so.alive(t)
	}
	s.append(t, id, "still here")
	require.Equal(t, "still here", so.expect(t, "logs", "taken").Logs[0].Message)
}

func TestLimitOfSubscriptions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	so := s.open(t)
	for n := range 1000 {
		so.sub(t, fmt.Sprint(n), id, 1)
	}
	so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"more","agent_id":%q}`, id))
	require.Equal(t, "limit", so.expect(t, "error", "more").Code)
	so.alive(t)
	s.append(t, id, "to a thousand")
	for range 1000 {
		require.Equal(t, "logs", so.next(t).Type)
	}
	so.alive(t)
}
