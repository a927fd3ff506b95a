package sidecar_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sidecar"
)

// events is a client of Server-Sent Events.
type events struct {
	body   *bufio.Reader
	cancel context.CancelFunc
}

// event is one of them.
type event struct {
	kind, id, comment string
	message
}

func (s *service) events(t testing.TB, path string, headers ...string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	resp := s.request(t, ctx, path, append([]string{"Accept", "text/event-stream"}, headers...)...)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	return &events{body: bufio.NewReader(resp.Body), cancel: cancel}
}

// next reads one event or comment, as the standard has browsers do it; io.EOF after the last.
func (e *events) next() (ev event, err error) {
	var data []string
	for {
		line, err := e.body.ReadString('\n')
		if err != nil {
			return ev, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && (len(data) > 0 || ev.comment != ""):
			ev.raw = strings.Join(data, "\n")
			if ev.raw != "" {
				err = json.Unmarshal([]byte(ev.raw), &ev.message)
			}
			return ev, err
		case field == "":
			ev.comment += value
		case field == "event":
			ev.kind = value
		case field == "id":
			ev.id = value
		case field == "data":
			data = append(data, value)
		}
	}
}

// words reads events to the end of the stream and writes them down with their ids, such as "snapshot logs#3 end#3".
func (e *events) words(t testing.TB) string {
	t.Helper()
	var words []string
	for {
		ev, err := e.next()
		if err != nil {
			require.ErrorContains(t, err, "EOF")
			return strings.Join(words, " ")
		}
		if ev.comment != "" {
			continue
		}
		require.Equal(t, ev.kind, ev.Type, ev.raw)
		require.Nil(t, ev.Sub, ev.raw)
		if words = append(words, ev.kind); ev.id != "" {
			words[len(words)-1] += "#" + ev.id
		}
	}
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.KeepAlive = 50 * time.Millisecond })

	t.Run("ReplayLiveEnd", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, "two")
		e := s.events(t, "/v1/feed/"+id.String())
		for _, want := range []string{"snapshot", "logs"} {
			ev, err := e.next()
			require.NoError(t, err)
			require.Equal(t, want, ev.kind)
		}
		long := strings.Repeat("x\n", 1<<19) // a line as long as may be
		s.append(t, id, long)
		ev, err := e.next()
		for ; err == nil && ev.comment != ""; ev, err = e.next() {
		}
		require.NoError(t, err)
		require.Equal(t, "logs", ev.kind)
		require.Equal(t, "3", ev.id)
		require.Equal(t, long, ev.Logs[0].Message)
		_, err = s.c.Complete(t.Context(), id, "done")
		require.NoError(t, err)
		require.Equal(t, "logs#4 end#4", e.words(t))
	})

	t.Run("Resume", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, "two", "three")
		_, err := s.c.Complete(t.Context(), id, "done")
		require.NoError(t, err)
		one := "/v1/feed/" + id.String()
		require.Equal(t, "snapshot logs#4 end#4", s.events(t, one).words(t))
		require.Equal(t, "snapshot logs#4 end#4", s.events(t, one+"?after_seq=3").words(t))
		require.Equal(t, "snapshot logs#4 end#4", s.events(t, one, "Last-Event-ID", "3").words(t))
		require.Equal(t, "snapshot end#4", s.events(t, one, "Last-Event-ID", "4").words(t))
		require.Equal(t, "snapshot end#4", s.events(t, one+"?after_seq=1", "Last-Event-ID", "4").words(t),
			"the header is newer than the address")
		require.Equal(t, "snapshot gap#4 end#4", s.events(t, one, "Last-Event-ID", "9").words(t))
	})

	t.Run("CommentsKeepItOpen", func(t *testing.T) {
		t.Parallel()
		id := s.create(t)
		e := s.events(t, "/v1/feed/"+id.String()+"?after_seq=1")
		for comments := 0; comments < 3; {
			ev, err := e.next()
			require.NoError(t, err)
			if ev.comment != "" {
				comments++
			}
		}
		s.append(t, id, "two")
		ev, err := e.next()
		for ; ev.comment != ""; ev, err = e.next() {
			require.NoError(t, err)
		}
		require.Equal(t, "2", ev.id)
	})
}

// TestEventStreamLeavesNothing: a client that disconnects frees everything.
func TestEventStreamLeavesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	var all []*events
	for range 20 {
		e := s.events(t, "/v1/feed/"+id.String())
		_, err := e.next()
		require.NoError(t, err)
		all = append(all, e)
	}
	s.await(t, "agentexec_sockets", 20)
	s.await(t, "agentexec_watched_activities", 1)
	for _, e := range all {
		e.cancel()
	}
	s.await(t, "agentexec_sockets", 0)
	s.await(t, "agentexec_watched_activities", 0)
}
