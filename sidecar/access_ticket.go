package sidecar

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentexec/agentexec/internal/auth"
)

const (
	ticketsPath    = "/v1/feed/tickets"
	activitiesPath = "/v1/activities"

	ticketLife = 30 * time.Second
	// maxTickets is how many may be made in the life of one, in all and by one subject, so that one does not take all.
	maxTickets        = 10_000
	maxSubjectTickets = 1_000
)

// tickets are made for an EventSource, which sends no header: instead of the token, something that is worth nothing soon
// stands in its URL, where logs and histories find it. They are in memory: another sidecar does not know them.
type tickets struct {
	mu       sync.Mutex
	grants   map[string]auth.Grant
	made     []madeTicket   // all of the last 30 seconds, used or not, in the order of time
	subjects map[string]int // how many of these each has
}

type madeTicket struct {
	text, subject string
	until         time.Time
}

// make returns a new ticket, "" where there are too many.
func (t *tickets) make(g auth.Grant, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	if len(t.made) >= maxTickets || t.subjects[g.Subject] >= maxSubjectTickets {
		return ""
	}
	if t.grants == nil {
		t.grants, t.subjects = make(map[string]auth.Grant), make(map[string]int)
	}
	text := rand.Text()
	t.grants[text] = g
	t.subjects[g.Subject]++
	t.made = append(t.made, madeTicket{text, g.Subject, now.Add(ticketLife)})
	return text
}

// use returns what a ticket grants, once.
func (t *tickets) use(text string, now time.Time) (auth.Grant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	g, ok := t.grants[text]
	delete(t.grants, text)
	return g, ok && now.Before(g.Expires.Add(auth.Leeway))
}

// forget drops what is too old. Called with mu held.
func (t *tickets) forget(now time.Time) {
	n := 0
	for n < len(t.made) && !now.Before(t.made[n].until) {
		old := t.made[n]
		delete(t.grants, old.text)
		if t.subjects[old.subject]--; t.subjects[old.subject] == 0 {
			delete(t.subjects, old.subject)
		}
		n++
	}
	if t.made = t.made[n:]; len(t.made) == 0 {
		t.made = nil
	}
}

type ticketOutput struct{ Body feedTicket }

type feedTicket struct {
	Ticket    string `json:"ticket" example:"7UZ4QJ3X5TLK2CV6WNOADBRMGY" doc:"Good once, as the parameter ticket of a feed's URL at this server."`
	ExpiresIn int    `json:"expires_in" example:"30" doc:"For how many seconds it is good."`

	_ struct{} `additionalProperties:"true"`
}

func (a *api) registerTickets() {
	register(a, verbRead, huma.Operation{
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
	text := a.access.tickets.make(grantOf(ctx), time.Now())
	if text == "" {
		return nil, newProblem(http.StatusTooManyRequests, "", "too many tickets were made in the last 30 seconds")
	}
	return &ticketOutput{Body: feedTicket{Ticket: text, ExpiresIn: int(ticketLife.Seconds())}}, nil
}
