package sidecar_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
	"github.com/agentexec/agentexec/wsfeed"
)

// withScopes has each feed request bring its scope in a header.
func withScopes(c *sidecar.Config) {
	c.Feed.Authorize = func(r *http.Request) (a wsfeed.Access, err error) {
		if text := r.Header.Get("Scope"); text != "" {
			err = json.Unmarshal([]byte(text), &a.Scope)
		}
		return a, err
	}
}

func (s *service) dialIn(t testing.TB, scope client.Scope, path string) *socket {
	t.Helper()
	ws, resp, err := dial(s.url, path, http.Header{"Scope": {scope.String()}})
	require.NoError(t, err)
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &socket{ws}
}

func (s *service) createFor(t testing.TB, org string) uuid.UUID {
	t.Helper()
	id, err := s.c.Create(t.Context(), "research", "", client.WithMetadata(map[string]any{"org": org}))
	require.NoError(t, err)
	return id
}

func inOrg(org string) client.Scope { return client.Scope{Metadata: map[string]any{"org": org}} }

// The feed of a scope over a real database: snapshot, replay, live lines, lists and counts.
func TestFeedInAScope(t *testing.T) {
	t.Parallel()
	s := setup(t, withScopes)
	mine, foreign := s.createFor(t, "1"), s.createFor(t, "2")
	all := s.list(t, `{}`) // somebody who may see everything watches, too
	require.Len(t, all.items, 2)

	so := s.dialIn(t, inOrg("1"), "/v1/feed")
	require.Equal(t, "welcome", so.next(t).Type)
	for _, id := range []uuid.UUID{foreign, uuid.New()} {
		so.subscribe(t, id, 0)
		require.Equal(t, "not_found", so.expect(t, "error", id.String()).Code)
		_, resp, err := dial(s.url, "/v1/feed/"+id.String(), http.Header{"Scope": {inOrg("1").String()}})
		require.Error(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
	}
	so.subscribe(t, mine, 0)
	so.expect(t, "snapshot", mine.String())
	so.lines(t, 0, 1)
	s.append(t, foreign, "not for us")
	s.append(t, mine, "for us")
	require.Equal(t, "for us", so.lines(t, 1, 1)[0].Message)

	for _, scope := range []client.Scope{inOrg("1"), {AgentIDs: []uuid.UUID{mine}}} {
		l := &liveList{so: s.dialIn(t, scope, "/v1/feed")}
		require.Equal(t, "welcome", l.so.next(t).Type)
		l.so.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
		l.next(t)
		require.Len(t, l.items, 1)
		require.Contains(t, l.items, mine)
		require.Equal(t, map[string]int{"QUEUED": 1, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0}, l.counts)
		s.createFor(t, "2")
		s.append(t, foreign, "nor this")
		s.append(t, mine, "this")
		for {
			l.next(t)
			require.Len(t, l.items, 1)
			require.Equal(t, 1, l.counts["QUEUED"])
			if fmt.Sprint(l.items[mine]["latest_log"]) == "this" {
				break
			}
		}
	}
}

// What Postgres cannot read as a scope is nobody else's trouble: the tail asks for the lists of all with one query.
func TestFeedInABrokenScope(t *testing.T) {
	t.Parallel()
	s := setup(t, withScopes)
	id := s.createFor(t, "1")
	broken := s.dialIn(t, inOrg("\x00"), "/v1/feed")
	require.Equal(t, "welcome", broken.next(t).Type)
	broken.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	require.Empty(t, broken.expect(t, "snapshot", "l").Items)

	so := s.open(t)
	so.subscribe(t, id, 0)
	so.expect(t, "snapshot", id.String())
	so.lines(t, 0, 1)
	s.append(t, id, "live")
	so.lines(t, 1, 1)
}
