package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// renewable has the token that a client sends be its new scope, as JSON, or "bad".
func renewable(c *Config) {
	scoped(c)
	c.RenewalsPerSecond = -1
	c.Renew = func(_ context.Context, r Renewal) (a Access, err error) {
		if r.Token == "bad" {
			return a, errors.New("a bad token")
		}
		return a, json.Unmarshal([]byte(r.Token), &a.Scope)
	}
}

func (c *browser) renew(v *feedScope) {
	c.t.Helper()
	text := v.key()
	if text == "" {
		text = "{}"
	}
	c.send(fmt.Sprintf(`{"type":"auth","token":%q}`, text))
	c.expect("auth", "")
}

// Another scope: what lies outside of it is over at once, what lies inside goes on where it was, lists begin anew.
func TestRenewWithAnotherScope(t *testing.T) {
	t.Parallel()
	b := setup(t, renewable, func(c *Config) { c.ListInterval = time.Millisecond })
	one, two := b.src.create(1), b.src.create(1)
	c := b.open(t)
	for name, id := range map[string]uuid.UUID{"1": one, "2": two} {
		c.subscribe(name, id, 0)
		c.expect("snapshot", name)
		c.lines(name, 0, 1)
	}
	b.src.setList(ListFilter{Limit: 50}, []testItem{{AgentID: one}, {AgentID: two}})
	c.send(`{"type":"subscribe","sub":"l","list":{}}`)
	require.Len(t, c.expect("snapshot", "l").Items, 2)

	c.renew(only(one))
	got := map[string]message{}
	for range 2 {
		m := c.next()
		got[m.Type] = m
	}
	require.Equal(t, "2", got["error"].Sub)
	require.Equal(t, "not_found", got["error"].Code)
	require.Len(t, got["snapshot"].Items, 1)
	b.publish(two, 1)
	b.publish(one, 1)
	c.lines("1", 1, 1)

	c.renew(nil)
	require.Len(t, c.expect("snapshot", "l").Items, 2)
	c.subscribe("2", two, 1)
	c.expect("snapshot", "2")
	c.lines("2", 1, 1)

	c.send(`{"type":"auth","token":"bad"}`)
	require.Equal(t, "forbidden", c.next().Code)
	require.NoError(t, c.ws.Close())
	eventually(t, "nothing is watched", func() bool {
		s := b.hub.Stats()
		return s.Activities == 0 && s.Lists == 0 && s.Subscriptions == 0
	})
}

// On an address of one activity that is the end.
func TestRenewOutsideTheOneActivity(t *testing.T) {
	t.Parallel()
	b := setup(t, renewable)
	id := b.src.create(1)
	c := b.dial(t, "/v1/feed/"+id.String())
	c.expect("snapshot", "")
	c.lines("", 0, 1)
	c.renew(only(id))
	b.publish(id, 1)
	c.lines("", 1, 1)
	c.renew(only(uuid.New()))
	require.Equal(t, "not_found", c.expect("error", "").Code)
	require.Equal(t, websocket.CloseNormalClosure, c.closed())
}

// A scope that changes while lines are published lets nothing through that came after the answer.
func TestRenewRaces(t *testing.T) {
	t.Parallel()
	b := setup(t, renewable)
	one, two := b.src.create(1), b.src.create(1)
	c := b.open(t)
	c.subscribe("1", one, 0)
	c.expect("snapshot", "1")
	c.lines("1", 0, 1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				b.publish(one, 1)
			}
		}
	}()
	seen := 1
	for range 50 {
		c.send(fmt.Sprintf(`{"type":"auth","token":%q}`, only(two).key()))
		m := c.next()
		for m.Type == "logs" {
			seen = m.Logs[len(m.Logs)-1].Seq
			m = c.next()
		}
		require.Equal(t, "auth", m.Type)
		require.Equal(t, "not_found", c.next().Code)
		c.renew(only(one))
		c.subscribe("1", one, seen)
		c.expect("snapshot", "1")
	}
	close(stop)
	<-stopped
}

// The scope changes when the writer has taken a list to send, but has not read it yet. The list of the new scope is at hand,
// because others watch it; it is still sent after the answer, and not before.
func TestRenewWhileAListIsTaken(t *testing.T) {
	t.Parallel()
	b := setup(t, renewable)
	one, two := b.src.create(1), b.src.create(1)
	b.src.setList(ListFilter{Limit: 50}, []testItem{{AgentID: one}, {AgentID: two}})
	other, c := b.open(t), b.open(t)
	for socket, v := range map[*browser]*feedScope{other: only(two), c: only(one)} {
		socket.renew(v)
		socket.send(`{"type":"subscribe","sub":"l","list":{}}`)
		socket.expect("snapshot", "l")
	}
	server := b.connOf(t, only(one))
	server.mu.Lock()
	require.False(t, server.writing)
	server.writing = true // no writer but this test
	server.enqueue(server.subs[0])
	server.mu.Unlock()

	_, taken, _ := server.take()
	require.NotNil(t, taken)
	require.Nil(t, server.renew(only(two).key()))
	require.Nil(t, server.pull(taken), "before the answer")

	server.writers.Add(1)
	server.write()
	c.expect("auth", "")
	m := c.expect("snapshot", "l")
	require.Len(t, m.Items, 1)
	require.Equal(t, two, m.Items[0].AgentID)
}

// connOf returns the server's side of the one connection with this scope, once its writer is idle.
func (b *bundle) connOf(t *testing.T, v *feedScope) (found *conn) {
	t.Helper()
	eventually(t, "the writer is idle", func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		for p := range b.hub.conns {
			c, ok := p.(*conn)
			require.True(t, ok)
			c.mu.Lock()
			if c.scope.key() == v.key() && !c.writing {
				found = c
			}
			c.mu.Unlock()
		}
		return found != nil
	})
	return found
}

// Tokens that come over one socket are bounded, good and bad: each of them may be verified. The socket stays open, and is
// told. Renew gets the subject and the address of the socket.
func TestRenewalsPerSecond(t *testing.T) {
	t.Parallel()
	var (
		mu    sync.Mutex
		asked []Renewal
	)
	b := setup(t, func(c *Config) {
		c.Authorize = func(*http.Request) (Access, error) { return Access{Subject: "ada"}, nil }
		c.Address = func(*http.Request) string { return "192.0.2.1" }
		c.Renew = func(_ context.Context, r Renewal) (Access, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r)
			if r.Token == "bad" {
				return Access{}, errors.New("a bad token")
			}
			return Access{Subject: "ada"}, nil
		}
	})
	c := b.open(t)
	began, refused := time.Now(), 0
	for n := range 500 {
		c.send(fmt.Sprintf(`{"type":"auth","token":%q}`, []string{"good", "bad"}[n%2]))
		if m := c.next(); m.Code == "limit" {
			require.Equal(t, "error", m.Type)
			refused++
		}
	}
	c.send(`{"type":"ping"}`)
	c.expect("pong", "")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 500, refused+len(asked))
	require.LessOrEqual(t, len(asked), 11+int(time.Since(began).Seconds()), "ten at once, then one a second")
	require.GreaterOrEqual(t, len(asked), 10)
	require.Equal(t, Renewal{Token: "good", Subject: "ada", Address: "192.0.2.1"}, asked[0])
}

// The access ends to the millisecond, with no timer beside the one for pings; a renewal moves it, both ways.
func TestAccessEnds(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			c := &conn{hub: New(newScript(), Config{}), access: Access{Expires: began.Add(lifetime)}}
			defer c.hub.Shutdown(t.Context())
			require.Equal(t, min(lifetime, 20*time.Second), c.access.within(c.hub.cfg.PingInterval))
			require.False(t, c.access.over())
			time.Sleep(lifetime) //nolint:forbidigo // the bubble's time
			require.True(t, c.access.over())
			require.Zero(t, c.access.within(c.hub.cfg.PingInterval))
		})
	}
	require.Equal(t, time.Hour, (&Access{}).within(time.Hour))
	require.False(t, (&Access{}).over())
}

// An error of Authorize is the answer to the client, before any lookup.
func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	refusal := errors.New("who are you?")
	src := newScript()
	hub := New(src, Config{Authorize: func(*http.Request) (Access, error) { return Access{}, refusal }})
	server := httptest.NewServer(hub.Handler())
	t.Cleanup(func() {
		server.Close()
		hub.Shutdown(context.Background())
	})
	id := src.create(1)
	ask := func() int {
		for _, path := range []string{"/v1/feed", "/v1/feed/nonsense", "/v1/feed/" + uuid.NewString()} {
			ws, resp, err := websocket.DefaultDialer.Dial("ws"+server.URL[4:]+path, nil)
			require.Error(t, err)
			require.Nil(t, ws)
			_ = resp.Body.Close()
			if path != "/v1/feed" {
				other, err := http.Get(server.URL + "/v1/feed/" + id.String())
				require.NoError(t, err)
				_ = other.Body.Close()
				require.Equal(t, resp.StatusCode, other.StatusCode)
			}
		}
		resp, err := http.Get(server.URL + "/v1/feed")
		require.NoError(t, err)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	require.Equal(t, 401, ask())
	refusal = statusError(503)
	require.Equal(t, 503, ask())
	require.Zero(t, src.calls("Snapshot"))
}

type statusError int

func (s statusError) Error() string  { return "no" }
func (s statusError) GetStatus() int { return int(s) }
