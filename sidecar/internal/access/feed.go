package access

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/wsfeed"
)

// ConfigureFeed makes the feed ask the Guard which clients may connect.
func (a *Guard) ConfigureFeed(feed *wsfeed.Config) {
	feed.Address = a.behind.counted
	if feed.CheckOrigin == nil {
		feed.CheckOrigin = a.origins.allow
	}
	feed.Authorize = a.authorizeFeed
	if a.verifier != nil {
		feed.Renew = a.renewFeed
	}
}

// authorizeFeed is wsfeed.Config.Authorize: it accepts a token, or a ticket made for one.
func (a *Guard) authorizeFeed(r *http.Request) (wsfeed.Access, error) {
	token := bearer(r)
	if token == "" {
		token = offeredToken(r)
	}
	if ticket := r.URL.Query().Get("ticket"); token == "" && ticket != "" && a.verifier != nil {
		g, ok := a.tickets.use(ticket, time.Now())
		if over := a.rateLimiter.over(r, g.Subject); over != nil {
			return wsfeed.Access{}, over
		}
		if !ok {
			return wsfeed.Access{}, a.refused(r, &auth.Refused{
				Kind: kindTicket, Reason: "the ticket was used, or is over 30 seconds old, or not of this server",
			})
		}
		return feedAccess(g)
	}
	g, err := a.check(r, token)
	if err != nil {
		return wsfeed.Access{}, err
	}
	return feedAccess(g)
}

// renewFeed is wsfeed.Config.Renew. A token not seen before counts as a request, before it is verified: of the socket's
// subject, or of its address where it has no subject.
func (a *Guard) renewFeed(ctx context.Context, r wsfeed.Renewal) (wsfeed.Access, error) {
	g, known := a.verifier.Known(r.Token)
	if known {
		return feedAccess(g)
	}
	if over := a.rateLimiter.overOf(r.Subject, r.Address); over != nil {
		return wsfeed.Access{}, over
	}
	g, err := a.verifier.Verify(ctx, r.Token)
	if err != nil {
		a.refusals.note(err)
		return wsfeed.Access{}, err
	}
	return feedAccess(g)
}

func feedAccess(g auth.Grant) (wsfeed.Access, error) {
	if p := Denied(g, VerbRead); p != nil {
		return wsfeed.Access{}, p
	}
	return wsfeed.Access{Subject: g.Subject, Expires: g.Until(time.Now()), Scope: g.Scope, HideMetadata: !g.IncludeMetadata}, nil
}

// offeredToken returns the token among the subprotocols of a browser's WebSocket, which can send no header.
func offeredToken(r *http.Request) string {
	for _, protocol := range websocket.Subprotocols(r) {
		if token, ok := strings.CutPrefix(protocol, "bearer."); ok {
			return token
		}
	}
	return ""
}
