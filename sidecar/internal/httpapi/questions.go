package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
)

const (
	// maxQuestionWait bounds a long poll: many proxies end a request after 60 s.
	maxQuestionWait = 55 * time.Second
	// questionPoll is the time between two reads of a question during a long poll. An answer through this sidecar ends it at once.
	questionPoll = 2 * time.Second
	// maxWaiting bounds the long polls at one time. Further ones are answered at once.
	maxWaiting = 256
)

// question is a question as JSON. Its times have SQL's format.
type question struct {
	AgentID    uuid.UUID            `json:"agent_id"`
	Key        string               `json:"key"`
	Prompt     string               `json:"prompt"`
	Schema     json.RawMessage      `json:"schema"`
	State      client.QuestionState `json:"state"`
	Answer     json.RawMessage      `json:"answer"`
	AnsweredBy *string              `json:"answered_by"`
	AskedAt    timestamp            `json:"asked_at"`
	ExpiresAt  *timestamp           `json:"expires_at"`
	ClosedAt   *timestamp           `json:"closed_at"`
}

func questionOf(q client.AskedQuestion) question {
	return question{
		AgentID: q.AgentID, Key: q.Key, Prompt: q.Prompt, Schema: q.Schema, State: q.State, Answer: q.Answer, AnsweredBy: q.AnsweredBy,
		AskedAt: timestamp(q.AskedAt), ExpiresAt: (*timestamp)(q.ExpiresAt), ClosedAt: (*timestamp)(q.ClosedAt),
	}
}

func (rq *request) questions() {
	params := client.QuestionListParams{
		State: client.QuestionState(rq.query.oneOf("state", questionStates...)), AgentType: rq.query.text("agent_type"),
		MetadataFilter: rq.query.metadata(), AgentID: rq.query.agentID("agent_id"), After: rq.query.text("after"), PageSize: rq.query.positive("page_size"),
	}
	params.AnyState = params.State == anyState
	rq.page(func(ctx context.Context, c *client.Client) (json.RawMessage, error) {
		return c.QuestionsJSON(ctx, params)
	})
}

// anyState is the value of the parameter state for questions with any state.
const anyState = "ANY"

var questionStates = []string{"PENDING", "ANSWERED", "DECLINED", "EXPIRED", "WITHDRAWN", anyState}

// question answers with a question. With wait, it waits for so long until the question is closed, or until the service ends.
func (rq *request) question() {
	id, key, wait := rq.agentID(), rq.r.PathValue("key"), rq.query.wait("wait", maxQuestionWait)
	defer rq.api.waiting.Add(-1)
	if rq.api.waiting.Add(1) > maxWaiting {
		wait = 0
	}
	until := time.Now().Add(wait)
	for {
		closed := rq.api.closed.Next() // before the read, so that no answer is missed
		q, ok := run(rq, func(ctx context.Context) (client.AskedQuestion, error) {
			return inSlot(ctx, rq, func(ctx context.Context, c *client.Client) (client.AskedQuestion, error) {
				return c.Question(ctx, id, key)
			})
		})
		if !ok {
			return
		}
		left := time.Until(until)
		if q.State != client.QuestionPending || left <= 0 {
			rq.json(http.StatusOK, questionOf(q))
			return
		}
		poll := time.NewTimer(min(left, questionPoll))
		select {
		case <-closed:
		case <-poll.C:
		case <-rq.api.Stopping:
			until = time.Now()
		case <-rq.r.Context().Done():
			poll.Stop()
			return
		}
		poll.Stop()
	}
}

type askQuestion struct {
	Key       string          `json:"key"`
	Prompt    string          `json:"prompt"`
	Schema    json.RawMessage `json:"schema,omitempty"`
	ExpiresIn *duration       `json:"expires_in,omitempty"`
}

func (rq *request) ask() {
	id, b := rq.agentID(), body[askQuestion](rq)
	if b.ExpiresIn != nil && *b.ExpiresIn == 0 && len(rq.faults) == 0 { // pkg/client takes 0 as not given; SQL checks other bounds
		rq.faults = append(rq.faults, fault{location: "body.expires_in", message: "must be above 0 and at most 365 days, got 0s"})
	}
	rq.closing(http.StatusCreated, func(ctx context.Context, c *client.Client) (client.AskedQuestion, error) {
		asked := client.Question{Key: b.Key, Prompt: b.Prompt}
		if b.Schema != nil {
			asked.Schema = b.Schema
		}
		if b.ExpiresIn != nil {
			asked.ExpiresIn = time.Duration(*b.ExpiresIn)
		}
		return c.Ask(ctx, id, asked)
	})
}

type answerQuestion struct {
	Answer json.RawMessage `json:"answer"`
}

func (rq *request) answerQuestion() {
	id, b := rq.agentID(), body[answerQuestion](rq)
	rq.closing(http.StatusOK, func(ctx context.Context, c *client.Client) (client.AskedQuestion, error) {
		return c.Answer(ctx, id, rq.r.PathValue("key"), b.Answer, subject(ctx))
	})
}

type noFields struct{}

func (rq *request) decline() {
	id, _ := rq.agentID(), body[noFields](rq)
	rq.closing(http.StatusOK, func(ctx context.Context, c *client.Client) (client.AskedQuestion, error) {
		return c.Decline(ctx, id, rq.r.PathValue("key"), subject(ctx))
	})
}

func (rq *request) withdraw() {
	id, _ := rq.agentID(), body[noFields](rq)
	rq.closing(http.StatusOK, func(ctx context.Context, c *client.Client) (client.AskedQuestion, error) {
		return c.Withdraw(ctx, id, rq.r.PathValue("key"))
	})
}

// closing answers with the question that a call returns, and ends the long polls for it.
func (rq *request) closing(status int, ask call[client.AskedQuestion]) {
	rq.answer(status, func(ctx context.Context, c *client.Client) (any, error) {
		q, err := ask(ctx, c)
		if err == nil && q.State != client.QuestionPending {
			rq.api.closed.Send()
		}
		return questionOf(q), err
	})
}

// subject is the subject of the token, cut to the longest name that SQL takes.
func subject(ctx context.Context) string {
	name := []rune(access.GrantOf(ctx).Subject)
	return string(name[:min(len(name), maxRequestedBy)])
}
