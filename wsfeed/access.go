package wsfeed

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/internal/jsonb"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// authorize authenticates a request, or answers it and reports false. Without a token a client does not even learn whether
// an activity exists.
func (h *Hub) authorize(w http.ResponseWriter, r *http.Request) (Access, bool) {
	if !h.cfg.CheckOrigin(r) {
		h.cfg.Problem(w, http.StatusForbidden, "", "this origin may not connect")
		return Access{}, false
	}
	if h.cfg.Authorize == nil {
		return Access{}, true
	}
	access, err := h.cfg.Authorize(r)
	if err != nil {
		status := http.StatusUnauthorized
		if known := (interface{ GetStatus() int })(nil); errors.As(err, &known) {
			status = known.GetStatus()
		}
		if known := (interface{ GetHeaders() http.Header })(nil); errors.As(err, &known) {
			maps.Copy(w.Header(), known.GetHeaders())
		}
		h.cfg.Problem(w, status, "", err.Error())
		return Access{}, false
	}
	return access, true
}

// Access is the subject of a connection and its scope. The zero value means any subject, every activity and no end:
// authentication is off.
type Access struct {
	// Subject names the caller, for limits and logs.
	Subject string
	// Expires is when the access ends. Zero: never.
	Expires time.Time
	// Scope bounds the visible activities; all others are invisible.
	Scope client.Scope
	// HideMetadata refuses lists with metadata.
	HideMetadata bool
}

// over reports whether the access has ended.
func (a *Access) over() bool { return !a.Expires.IsZero() && !time.Now().Before(a.Expires) }

// within is the time from now to the end of the access, but at most d.
func (a *Access) within(d time.Duration) time.Duration {
	if a.Expires.IsZero() {
		return d
	}
	return min(d, max(0, time.Until(a.Expires)))
}

// Renewal is a token that a client sent over an open socket. Subject and Address are those that the socket's requests count
// for. Address is "" where Config.Address returns none.
type Renewal struct{ Token, Subject, Address string }

// expired is the message to a client whose access has ended.
const expired = "the token has expired"

// renew applies a new token of the client. It returns the answer, or nil where it has queued the answer itself. A rejected
// token changes nothing. After the answer, the client receives only what the new token's scope contains.
func (c *conn) renew(token string) *wire.Frame {
	if c.hub.cfg.Renew == nil {
		return wire.Error("", "invalid", "authentication is off: there is nothing to renew")
	}
	if !c.mayRenew() {
		c.hub.limited(LimitMessages)
		return wire.Error("", "limit", "too many tokens on this socket: send one before the last one expires, and no more")
	}
	access, err := c.hub.cfg.Renew(c.ctx, Renewal{Token: token, Subject: c.access.Subject, Address: c.slot.Address()})
	var known interface{ GetStatus() int }
	switch {
	case err == nil:
	case errors.As(err, &known) && known.GetStatus() == http.StatusTooManyRequests:
		return wire.Error("", "limit", err.Error())
	default:
		return wire.Error("", "forbidden", err.Error())
	}
	if !c.takeRoom() {
		return nil
	}
	now := newFeedScope(access.Scope)
	c.mu.Lock()
	defer c.mu.Unlock()
	if access.Subject != c.access.Subject {
		c.replyInRoom(wire.Error("", "forbidden", "the token is of another subject than the one that has connected"))
		return nil
	}
	c.replyInRoom(wire.Plain("auth", "")) // before any frame of the new scope
	changed := now.key() != c.scope.key()
	if changed {
		c.scope = now
	}
	if changed || access.HideMetadata != c.access.HideMetadata {
		for _, s := range c.subs {
			c.enqueue(s) // next applies the connection's new scope
		}
	}
	c.access = access
	c.pinger.Reset(c.access.within(c.hub.cfg.PingInterval))
	return nil
}

// noMetadata is the message to a client whose token does not allow metadata.
const noMetadata = "the token does not grant include_metadata"

// hidesMetadata reports whether the token of the connection does not allow metadata.
func (c *conn) hidesMetadata() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.access.HideMetadata
}

// includesMetadata reports whether a subscription is a list with metadata.
func includesMetadata(s subscription) bool {
	l, ok := s.(*listSub)
	return ok && l.list.filter.IncludeMetadata
}

// mayRenew counts a token that came over the socket, and reports whether the rate allows it. Only the reader calls it. Most
// sockets send no token, so the first token creates the limiter.
func (c *conn) mayRenew() bool {
	perSecond := c.hub.cfg.RenewalsPerSecond
	if perSecond < 0 {
		return true
	}
	if c.renewals == nil {
		c.renewals = rate.NewLimiter(rate.Limit(perSecond), 10*perSecond)
	}
	return c.renewals.Allow()
}

// rescope moves a subscription to the connection's new scope. It returns errOver where the scope does not contain its
// activity. A list in another scope is another list, and begins anew. Only the writer calls it.
func (c *conn) rescope(s *connSub, now *feedScope) error {
	switch sub := s.subscription.(type) {
	case *activitySub:
		if _, err := sub.topic.load(c.ctx, now, c); errors.Is(err, ErrNotFound) {
			return errOver
		} else if err != nil {
			return err
		}
		s.scope = now
	case *listSub:
		s.scope = now
		joined := c.hub.joinList(sub.list.filter, s.name, s)
		c.mu.Lock()
		left := subscription(sub)
		if s.over {
			left = joined // the end of the subscription has left the old list
		} else {
			s.subscription = joined
		}
		c.mu.Unlock()
		left.leave()
	}
	return nil
}

// SameOrigin allows a browser's page to connect only to the host that it came from. Programs other than browsers send no
// Origin; this check does not concern them.
func SameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// feedScope is the scope of a connection, with the text that identifies it. nil contains everything.
type feedScope struct {
	scope client.Scope
	text  string
}

// newFeedScope returns the feedScope of a grant's scope. A scope that Postgres cannot decode becomes an empty one: it must
// not break the query that the tail sends for the lists of all clients.
func newFeedScope(scope client.Scope) *feedScope {
	if scope.IsZero() {
		return nil
	}
	if !decodable(scope) {
		scope = client.Scope{AgentIDs: []uuid.UUID{}}
	}
	return &feedScope{scope: scope, text: scope.String()}
}

// decodable reports whether Postgres can decode the scope.
func decodable(scope client.Scope) bool {
	text, err := json.Marshal(scope)
	if err != nil {
		return false
	}
	_, err = jsonb.Object(text)
	return err == nil
}

func (s *feedScope) of() client.Scope {
	if s == nil {
		return client.Scope{}
	}
	return s.scope
}

func (s *feedScope) key() string {
	if s == nil {
		return ""
	}
	return s.text
}
