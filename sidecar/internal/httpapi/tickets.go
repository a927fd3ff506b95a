package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

const ticketsPath = "/v1/feed/tickets"

type ticketOutput struct{ Body feedTicket }

type feedTicket struct {
	Ticket    string `json:"ticket" example:"7UZ4QJ3X5TLK2CV6WNOADBRMGY" doc:"Good once, as the parameter ticket of a feed's URL at this server."`
	ExpiresIn int    `json:"expires_in" example:"30" doc:"For how many seconds it is good."`

	_ struct{} `additionalProperties:"true"`
}

func (a *api) registerTickets() {
	register(a, access.VerbRead, huma.Operation{
		OperationID: "create-feed-ticket",
		Method:      http.MethodPost,
		Path:        ticketsPath,
		Tags:        []string{tagFeed},
		Summary:     "Get a ticket for an EventSource",
		Description: "A browser's EventSource sends no token. Instead, its URL may carry a ticket as `?ticket=`, which is good once, for 30 seconds, " +
			"and for what the token that it was made with grants. The connection ends when that token expires.",
		DefaultStatus: http.StatusCreated,
		Responses:     jsonResponse(http.StatusCreated, "The ticket.", nil),
		Errors:        []int{408, 413, 415, 422, 429},
	}, a.makeTicket)
}

func (a *api) makeTicket(ctx context.Context, _ *struct{}) (*ticketOutput, error) {
	text := a.Access.MakeTicket(access.GrantOf(ctx))
	if text == "" {
		return nil, problem.New(http.StatusTooManyRequests, "", "too many tickets were made in the last 30 seconds")
	}
	return &ticketOutput{Body: feedTicket{Ticket: text, ExpiresIn: int(access.TicketLife.Seconds())}}, nil
}
