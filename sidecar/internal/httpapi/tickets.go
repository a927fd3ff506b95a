package httpapi

import (
	"context"
	"net/http"

	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

type feedTicket struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int    `json:"expires_in"` // seconds
}

// createTicket takes no body, and ignores one.
func (rq *request) createTicket() action {
	return func(ctx context.Context) (any, error) {
		text := rq.api.Access.MakeTicket(access.GrantOf(ctx))
		if text == "" {
			return nil, problem.New(http.StatusTooManyRequests, "", "too many tickets were made in the last 30 seconds")
		}
		return feedTicket{Ticket: text, ExpiresIn: int(access.TicketLife.Seconds())}, nil
	}
}
