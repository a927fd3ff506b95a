package sidecar_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestOneActivitySocket(t *testing.T) {
	t.Parallel()
	s := setup(t)

	t.Run("NamesNoSubscription", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, "two")
		so := s.dial(t, "/v1/feed/"+id.String()+"?after_seq=1")
		require.Equal(t, "agentexec.v1", so.ws.Subprotocol())
		require.Nil(t, so.expect(t, "snapshot", "").Sub)
		require.Nil(t, so.expect(t, "logs", "").Sub)
		so.alive(t)
		for _, text := range []string{`{"type":"subscribe","sub":"a","agent_id":"` + id.String() + `"}`, `{"type":"unsubscribe","sub":"a"}`, `?`} {
			so.send(t, text)
			require.Equal(t, "invalid", so.expect(t, "error", "").Code)
		}
		s.append(t, id, "three")
		so.lines(t, 2, 1)
	})

	t.Run("ClosesAfterTheEnd", func(t *testing.T) {
		t.Parallel()
		for _, status := range []client.Status{client.StatusComplete, client.StatusError, client.StatusCanceled} {
			id := s.create(t)
			live := s.dial(t, "/v1/feed/"+id.String())
			live.expect(t, "snapshot", "")
			s.write(t, id, status, "that was it")
			want := fmt.Sprintf("end:%s@2", status)
			require.Equal(t, "logs:1-2 "+want, live.frames(t, want))
			require.Equal(t, 1000, live.closed(t))

			late := s.dial(t, "/v1/feed/"+id.String()+"?after_seq=2")
			require.Equal(t, "snapshot "+want, late.frames(t, want))
			require.Equal(t, 1000, late.closed(t))
		}
	})

	t.Run("Gap", func(t *testing.T) {
		t.Parallel()
		id := s.create(t)
		so := s.dial(t, "/v1/feed/"+id.String()+"?after_seq=5")
		require.Equal(t, "snapshot gap:reset@5-2", so.frames(t, "gap:reset@5-2"))
	})
}

// TestRefusedBeforeTheUpgrade: as a problem document, for WebSockets and event streams alike.
func TestRefusedBeforeTheUpgrade(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.create(t)
	one := "/v1/feed/" + id.String()
	foreign := []string{"Origin", "http://elsewhere.example"}
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
		code    string
		detail  string
	}{
		"NoSuchActivity":     {"/v1/feed/" + uuid.NewString(), nil, 404, "TA404", "no activity"},
		"MalformedUUID":      {"/v1/feed/1234", nil, 422, "TA422", "agent_id must be a UUID"},
		"UUIDInBraces":       {"/v1/feed/%7B" + id.String() + "%7D", nil, 422, "TA422", "agent_id must be a UUID"},
		"AfterSeqNegative":   {one + "?after_seq=-1", nil, 422, "TA422", "after_seq must be between 0 and 2147483647"},
		"AfterSeqTooLarge":   {one + "?after_seq=2147483648", nil, 422, "TA422", "after_seq must be between"},
		"AfterSeqNoNumber":   {one + "?after_seq=x", nil, 422, "TA422", "after_seq must be between"},
		"AfterSeqBeyondAll":  {one + "?after_seq=99999999999999999999", nil, 422, "TA422", "after_seq must be between"},
		"ForeignOrigin":      {one, foreign, 403, "forbidden", "origin"},
		"OriginThatIsNoURL":  {one, []string{"Origin", "null"}, 403, "forbidden", "origin"},
		"OriginOfOtherPort":  {one, []string{"Origin", s.url + "1"}, 403, "forbidden", "origin"},
		"ForeignAndNotFound": {"/v1/feed/" + uuid.NewString(), foreign, 403, "forbidden", "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			so, r := s.shake(t, c.path, []string{"agentexec.v1"}, c.headers...)
			require.Nil(t, so)
			require.Contains(t, r.problem(t, c.status, c.code), c.detail)

			r = s.get(t, c.path, append([]string{"Accept", "text/event-stream"}, c.headers...)...)
			require.Contains(t, r.problem(t, c.status, c.code), c.detail)
		})
	}

	t.Run("OnTheSocketOfManySubscriptions", func(t *testing.T) {
		t.Parallel()
		_, r := s.shake(t, "/v1/feed", nil, foreign...)
		r.problem(t, 403, "forbidden")
		so, _ := s.shake(t, "/v1/feed", nil, "Origin", s.url)
		so.expect(t, "welcome", "")
		so, _ = s.shake(t, one, nil, "Origin", strings.ToUpper(s.url))
		so.expect(t, "snapshot", "")
	})

	t.Run("NoWebSocketAtAll", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/v1/feed", one} {
			r := s.get(t, path)
			r.problem(t, 426, "upgrade_required")
			require.Equal(t, "websocket", r.header.Get("Upgrade"))
		}
		s.get(t, one, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "12").problem(t, 400, "malformed")
	})

	t.Run("LastEventID", func(t *testing.T) {
		t.Parallel()
		s.get(t, one, "Accept", "text/event-stream", "Last-Event-ID", "x").problem(t, 422, "TA422")
	})
}

// get makes a request that is not to become a feed.
func (s *service) get(t testing.TB, path string, headers ...string) refusal {
	t.Helper()
	return refused(t, s.request(t, t.Context(), path, headers...)) //nolint:bodyclose // refused closes it
}

func (s *service) request(t testing.TB, ctx context.Context, path string, headers ...string) *http.Response { //nolint:revive // t comes first in tests
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(t, err)
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	return resp
}
