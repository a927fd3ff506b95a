package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/input"
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
	client.AskedQuestion
	AskedAt   timestamp  `json:"asked_at"`
	ExpiresAt *timestamp `json:"expires_at"`
	ClosedAt  *timestamp `json:"closed_at"`
}

func questionOf(q client.AskedQuestion) question {
	return question{q, timestamp(q.AskedAt), (*timestamp)(q.ExpiresAt), (*timestamp)(q.ClosedAt)}
}

func (rq *request) questions() action {
	params := client.QuestionListParams{
		State:          client.QuestionState(rq.query.OneOf("state", questionStates...)),
		AgentType:      rq.query.Text("agent_type"),
		MetadataFilter: rq.query.Metadata(),
		AgentID:        rq.query.AgentID("agent_id"),
		After:          rq.query.Text("after"),
		PageSize:       rq.query.Positive("page_size"),
	}
	params.AnyState = params.State == anyState
	return rq.page(func(ctx context.Context, c *client.Client) (any, error) { return c.QuestionsJSON(ctx, params) })
}

// anyState is the value of the parameter state for questions with any state.
const anyState = "ANY"

var questionStates = []string{"PENDING", "ANSWERED", "DECLINED", "EXPIRED", "WITHDRAWN", anyState}

// question answers with a question. With wait, it waits for so long until the question is closed, or until the service ends.
func (rq *request) question() action {
	wait := rq.query.Duration("wait", 0, maxQuestionWait, "a duration of at most "+maxQuestionWait.String()+" such as 30s")
	return func(ctx context.Context) (any, error) {
		defer rq.api.waiting.Add(-1)
		if rq.api.waiting.Add(1) > maxWaiting {
			wait = 0
		}
		until := time.Now().Add(wait)
		for {
			closed := rq.api.closed.Next() // before the read, so that no answer is missed
			out, err := rq.call(ctx, func(ctx context.Context, c *client.Client) (any, error) {
				return c.Question(ctx, rq.agentID, rq.r.PathValue("key"))
			})
			q, _ := out.(client.AskedQuestion)
			left := time.Until(until)
			if err != nil || q.State != client.QuestionPending || left <= 0 {
				return questionOf(q), err
			}
			select {
			case <-closed:
			case <-time.After(min(left, questionPoll)):
			case <-rq.api.Stopping:
				until = time.Now()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// closing returns the answer to an operation on a question. Where the question is closed now, it ends the long polls for it.
func (rq *request) closing(q client.AskedQuestion, err error) (any, error) {
	if err == nil && q.State != client.QuestionPending {
		rq.api.closed.Send()
	}
	return questionOf(q), err
}

type askQuestion struct {
	Key       string          `json:"key"`
	Prompt    string          `json:"prompt"`
	Schema    json.RawMessage `json:"schema,omitempty"`
	ExpiresIn *input.Duration `json:"expires_in,omitempty"`
}

func (b askQuestion) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	asked := client.Question{Key: b.Key, Prompt: b.Prompt}
	if b.Schema != nil {
		asked.Schema = b.Schema
	}
	if b.ExpiresIn != nil {
		if asked.ExpiresIn = time.Duration(*b.ExpiresIn); asked.ExpiresIn == 0 { // pkg/client takes 0 as not given; SQL checks other bounds
			return nil, input.Problem(input.Fault{Location: "body.expires_in", Message: "must be above 0 and at most 365 days, got 0s"})
		}
	}
	return rq.closing(c.Ask(ctx, rq.agentID, asked))
}

type answerQuestion struct {
	Answer json.RawMessage `json:"answer"`
}

func (b answerQuestion) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	return rq.closing(c.Answer(ctx, rq.agentID, rq.r.PathValue("key"), b.Answer, subject(ctx)))
}

// noFields is the body of an operation that needs none.
type noFields struct{}

type declineQuestion noFields

func (declineQuestion) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	return rq.closing(c.Decline(ctx, rq.agentID, rq.r.PathValue("key"), subject(ctx)))
}

type withdrawQuestion noFields

func (withdrawQuestion) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	return rq.closing(c.Withdraw(ctx, rq.agentID, rq.r.PathValue("key")))
}
