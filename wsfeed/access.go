package wsfeed

import (
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// authorize finds out who a request is from, or answers it and reports false. Without a token nobody learns even whether
// an activity exists.
func (h *Hub) authorize(w http.ResponseWriter, r *http.Request) (Access, bool) {
	allowed := h.cfg.CheckOrigin
	if allowed == nil {
		allowed = SameOrigin
	}
	if !allowed(r) {
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

// Access is who is on the other side of a connection, and what they may see. The zero value is anybody, everything,
// forever: authentication is off.
type Access struct {
	// Subject names who it is, for limits and logs.
	Subject string
	// Expires is when the access ends. Zero: never.
	Expires time.Time
	// Scope is what there is for them; everything else does not exist.
	Scope client.Scope
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

// expired is what a client is told at the end of its access.
const expired = "the token has expired"

// renew takes a token that the client has sent for the time after the one it has, and returns the answer. One that is not
// taken changes nothing.
func (c *conn) renew(token string) *frame {
	if c.hub.cfg.Renew == nil {
		return errorFrame("", "invalid", "authentication is off: there is nothing to renew")
	}
	access, err := c.hub.cfg.Renew(c.ctx, token)
	if err != nil {
		return errorFrame("", "forbidden", err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case access.Subject != c.access.Subject:
		return errorFrame("", "forbidden", "the token is of another subject than the one that has connected")
	case access.Scope.String() != c.access.Scope.String():
		return errorFrame("", "forbidden", "the token has another scope")
	}
	c.access = access
	c.pinger.Reset(c.access.within(c.untilPing()))
	return plainFrame("auth", "")
}
