package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// viewer is a subscriber with a scope that reads frames by itself.
type viewer struct {
	noSink
	scope *feedScope
}

func (v viewer) feedScope() *feedScope { return v.scope }

func only(ids ...uuid.UUID) *feedScope {
	return newFeedScope(client.Scope{AgentIDs: append([]uuid.UUID{}, ids...)})
}

// scoped has each request bring its scope in a header.
func scoped(c *Config) {
	c.Authorize = func(r *http.Request) (a Access, err error) {
		if text := r.Header.Get("Scope"); text != "" {
			err = json.Unmarshal([]byte(text), &a.Scope)
		}
		return a, err
	}
}

func (b *bundle) dialAs(t *testing.T, v *feedScope, path string) (*browser, int) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{Protocol}, HandshakeTimeout: patience}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(b.url, "http")+path, http.Header{"Scope": {v.key()}})
	if err != nil {
		require.NotNil(t, resp, err)
		_ = resp.Body.Close()
		return nil, resp.StatusCode
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &browser{t: t, ws: ws}, resp.StatusCode
}

// An activity outside the scope is answered like an unknown one, also while another client watches it.
func TestOutsideTheScopeDoesNotExist(t *testing.T) {
	t.Parallel()
	b := setup(t, scoped)
	mine, foreign, unknown := b.src.create(1), b.src.create(1), uuid.New()
	owner := b.open(t)
	owner.subscribe("f", foreign, 0)
	owner.expect("snapshot", "f")
	owner.lines("f", 0, 1)

	c, _ := b.dialAs(t, only(mine), "/v1/feed")
	require.Equal(t, "welcome", c.next().Type)
	for range 2 {
		var answers []string
		for _, id := range []uuid.UUID{foreign, unknown} {
			c.subscribe("x", id, 0)
			answers = append(answers, c.next().raw)
		}
		require.Equal(t, answers[1], answers[0])
		require.Contains(t, answers[0], `"not_found"`)
	}
	for _, id := range []uuid.UUID{foreign, unknown} {
		_, status := b.dialAs(t, only(mine), "/v1/feed/"+id.String())
		require.Equal(t, http.StatusNotFound, status)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/v1/feed/"+id.String(), nil)
		require.NoError(t, err)
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Scope", only(mine).key())
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
	}

	c.subscribe("m", mine, 0)
	c.expect("snapshot", "m")
	c.lines("m", 0, 1)
	one, status := b.dialAs(t, only(mine), "/v1/feed/"+mine.String())
	require.Equal(t, http.StatusSwitchingProtocols, status)
	one.expect("snapshot", "")
	b.publish(foreign, 1)
	b.publish(mine, 1)
	c.lines("m", 1, 1) // the foreign line would have come before
	owner.lines("f", 1, 1)
}

// That an activity lies in a scope is asked once, that it does not every time: as often as for one that does not exist.
func TestScopeIsAskedOnce(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(3)
	watcher := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-3", watcher.frames())
	require.Equal(t, 1, src.calls("Snapshot"))
	for range 3 {
		s := hub.joinTopic(id, "", 0, viewer{scope: only(id)})
		f, err := s.next(t.Context())
		require.NoError(t, err)
		require.Equal(t, "snapshot", f.Kind)
		s.leave()
	}
	require.Equal(t, 2, src.calls("Snapshot"))
	for n := range 3 {
		s := hub.joinTopic(id, "", 0, viewer{scope: only(uuid.New())})
		_, err := s.next(t.Context())
		require.ErrorIs(t, err, errOver)
		s.leave()
		require.Equal(t, 3+n, src.calls("Snapshot"))
	}
	require.Empty(t, watcher.frames())
}

// A database that lost an activity may have another one under its id, outside the scope.
func TestScopeIsCheckedAfterDivergence(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(5)
	owner := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-5", owner.frames())
	s := hub.joinTopic(id, "", 5, viewer{scope: only(id)})
	defer s.leave()
	_, err := s.next(t.Context())
	require.NoError(t, err)
	src.crash(id, 2)
	src.confirm(hub, id)
	s.out.feedScope().scope.AgentIDs[0] = uuid.New() // it lies in the scope no more
	_, err = s.next(t.Context())
	require.ErrorIs(t, err, errOver)
	require.NotEmpty(t, owner.frames())
}

// One read may be under way for each scope, and subscribers of one scope share it.
func TestScopesReadSeparately(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub, src := newHub(t, func(c *Config) { c.CatchUpReads = 100 })
		id := src.create(1)
		release := make(chan struct{})
		src.before = func(context.Context, string) { <-release }
		var found, refused atomic.Int32
		for i := range 30 {
			go func() {
				s := hub.joinTopic(id, "", 0, viewer{scope: []*feedScope{nil, only(id), only()}[i%3]})
				defer s.leave()
				switch _, err := s.next(t.Context()); {
				case err == nil:
					found.Add(1)
				case errors.Is(err, errOver):
					refused.Add(1)
				}
			}()
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		require.EqualValues(t, 20, found.Load())
		require.EqualValues(t, 10, refused.Load())
		require.Equal(t, 3, src.calls("Snapshot"))
	})
}

// A live list is shared only within one scope.
func TestListsPerScope(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	mine, foreign := uuid.New(), uuid.New()
	filter := ListFilter{Limit: 50}
	src.setList(filter, []testItem{{AgentID: mine}, {AgentID: foreign}})
	for _, v := range []*feedScope{nil, only(mine), only(mine), only(foreign), only()} {
		defer hub.joinList(filter, "l", viewer{scope: v}).leave()
	}
	require.Equal(t, 4, hub.Stats().Lists)
	var scopes []string
	for _, l := range hub.lists {
		require.Equal(t, filter, l.filter)
		scopes = append(scopes, l.scope.key())
	}
	require.ElementsMatch(t, []string{"", only(mine).key(), only(foreign).key(), `{"agent_ids":[]}`}, scopes)
}

// A value that Postgres cannot read would break the tail's query for every client.
func TestUnreadableScopeShowsNothing(t *testing.T) {
	t.Parallel()
	for _, scope := range []client.Scope{
		{AgentTypes: []string{"a\x00b"}},
		{Metadata: map[string]any{"a": "\x00"}},
		{Metadata: map[string]any{"a": math.Inf(1)}},
		{Metadata: map[string]any{"a": json.RawMessage(`1e99999`)}},
		{Metadata: map[string]any{"a": json.RawMessage(strings.Repeat("[", 200) + strings.Repeat("]", 200))}},
	} {
		require.JSONEq(t, `{"agent_ids":[]}`, newFeedScope(scope).key())
	}
	require.Nil(t, newFeedScope(client.Scope{}))
	require.Empty(t, (*feedScope)(nil).key())
}
