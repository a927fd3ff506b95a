package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client/internal/sqlcall"
)

// QuestionState is the state of a question.
type QuestionState string

// The states of a question. All but QuestionPending are final.
const (
	QuestionPending  QuestionState = "PENDING"
	QuestionAnswered QuestionState = "ANSWERED"
	// QuestionDeclined: a person refused to answer.
	QuestionDeclined QuestionState = "DECLINED"
	QuestionExpired  QuestionState = "EXPIRED"
	// QuestionWithdrawn: the worker no longer asks, or the activity has ended.
	QuestionWithdrawn QuestionState = "WITHDRAWN"
)

// The ways a question ends without an answer, for errors.Is.
var (
	ErrDeclined  = errors.New("the question was declined")
	ErrExpired   = errors.New("the question expired")
	ErrWithdrawn = errors.New("the question was withdrawn")
)

// Question is what an agent asks a person.
type Question struct {
	// Key names the question in its activity, 1 to 255 characters.
	Key string
	// Prompt is the question, at most 1 MiB.
	Prompt string
	// Schema is a JSON Schema for the answer, at most 64 KiB: any value that json.Marshal accepts. nil allows any answer.
	Schema any
	// ExpiresIn is the time after which the question is EXPIRED, at most 365 days, to the microsecond. 0 is never.
	ExpiresIn time.Duration
}

// AskedQuestion is a question with its state. All times are UTC.
type AskedQuestion struct {
	AgentID uuid.UUID `json:"agent_id"`
	// AgentType is the task name of the activity, "" except from Questions.
	AgentType string          `json:"agent_type,omitempty"`
	Key       string          `json:"key"`
	Prompt    string          `json:"prompt"`
	Schema    json.RawMessage `json:"schema"`
	State     QuestionState   `json:"state"`
	// Answer is the JSON of the answer, nil unless State is QuestionAnswered.
	Answer json.RawMessage `json:"answer"`
	// AnsweredBy is the person who answered or declined, nil where no name was given.
	AnsweredBy *string   `json:"answered_by"`
	AskedAt    time.Time `json:"asked_at"`
	// ExpiresAt is when the question becomes EXPIRED, nil for never.
	ExpiresAt *time.Time `json:"expires_at"`
	ClosedAt  *time.Time `json:"closed_at"`
}

// QuestionList is one page of questions.
type QuestionList struct {
	Items []AskedQuestion `json:"items"`
	// Next is the QuestionListParams.After of the next page, nil at the end.
	Next *string `json:"next"`
}

// QuestionListParams choose a page of questions. The zero value is the first page of those that are PENDING.
type QuestionListParams struct {
	// State selects questions with this state. Default QuestionPending.
	State QuestionState
	// AnyState selects questions with any state, in place of State.
	AnyState bool
	// AgentType and MetadataFilter select the activities, as in ListParams.
	AgentType      string
	MetadataFilter map[string]any
	// AgentID selects the questions of one activity. Default all.
	AgentID uuid.UUID
	// After is the Next of the page before.
	After string
	// PageSize bounds the questions on a page, 1 to 1000. Default 50. A page holds at most 4 MiB, so it may end earlier.
	PageSize int
}

// Ask puts a question to a person, and returns it. The same key and prompt again return the same question, with its state now.
// Most workers use [Run.Ask], which waits for the answer.
//
// Inside a transaction (see WithTx) nothing is visible until it commits. Returns ErrNotFound when there is no such activity,
// ErrFinished when it has ended or the key was used for another prompt, and ErrInvalid when a field is out of its bounds, the
// schema is no schema, or 100 questions of the activity are open.
func (c *Client) Ask(ctx context.Context, agentID uuid.UUID, question Question) (AskedQuestion, error) {
	q := c.line("ask", agentID).Arg("key", "pg_catalog.text", question.Key).Arg("prompt", "pg_catalog.text", question.Prompt)
	if question.Schema != nil {
		q.JSON("schema", question.Schema)
	}
	return c.question(ctx, agentID, q.Interval("expires_in", question.ExpiresIn))
}

// Answer closes a question with the answer of a person: any value that json.Marshal accepts. by is the name of the person, "" for
// none. The same answer again returns the same question.
//
// Returns ErrNotFound when there is no such question, ErrFinished when it is closed in another way, and ErrInvalid when the answer
// breaks the schema or a bound.
func (c *Client) Answer(ctx context.Context, agentID uuid.UUID, key string, answer any, by string) (AskedQuestion, error) {
	return c.question(ctx, agentID, c.line("answer", agentID).Arg("key", "pg_catalog.text", key).JSON("answer", answer).Text("answered_by", by))
}

// Decline closes a question without an answer. by is the name of the person, "" for none. Its errors are those of Answer.
func (c *Client) Decline(ctx context.Context, agentID uuid.UUID, key, by string) (AskedQuestion, error) {
	return c.question(ctx, agentID, c.line("decline", agentID).Arg("key", "pg_catalog.text", key).Text("answered_by", by))
}

// Withdraw closes a question that its worker no longer asks. Its errors are those of Answer.
func (c *Client) Withdraw(ctx context.Context, agentID uuid.UUID, key string) (AskedQuestion, error) {
	return c.question(ctx, agentID, c.line("withdraw", agentID).Arg("key", "pg_catalog.text", key))
}

// Question returns a question as it is now. Returns ErrNotFound when there is none.
func (c *Client) Question(ctx context.Context, agentID uuid.UUID, key string) (AskedQuestion, error) {
	return c.question(ctx, agentID, c.line("get_question", agentID).Arg("key", "pg_catalog.text", key))
}

// question runs a call that returns a question.
func (c *Client) question(ctx context.Context, agentID uuid.UUID, q *sqlcall.Call) (AskedQuestion, error) {
	var asked AskedQuestion
	if err := c.row(ctx, q, "pg_catalog.to_jsonb(r)", &asked); err != nil {
		return AskedQuestion{}, err
	}
	asked.AgentID = agentID // the row has the internal key
	asked.inUTC()
	return asked, nil
}

// inUTC sets all times to UTC, and JSON null to nil.
func (q *AskedQuestion) inUTC() {
	q.AskedAt = q.AskedAt.UTC()
	for _, at := range []*time.Time{q.ExpiresAt, q.ClosedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	if q.State != QuestionAnswered {
		q.Answer = nil
	}
	q.Schema = notNull(q.Schema)
}

// Questions returns one page of questions, the oldest first. Returns ErrInvalid when PageSize is not 1 to 1000, the state is
// unknown, or After is not the Next of an earlier page.
func (c *Client) Questions(ctx context.Context, params QuestionListParams) (*QuestionList, error) {
	data, err := c.QuestionsJSON(ctx, params)
	if err != nil {
		return nil, err
	}
	var list QuestionList
	if err := decode(data, &list); err != nil {
		return nil, err
	}
	for i := range list.Items {
		list.Items[i].inUTC()
	}
	return &list, nil
}

// QuestionsJSON returns the page of Questions as the JSON from Postgres. Its errors are those of Questions.
func (c *Client) QuestionsJSON(ctx context.Context, params QuestionListParams) (json.RawMessage, error) {
	q := c.call("list_questions")
	switch {
	case params.AnyState:
		q.Null("state", c.schema+".question_state")
	case params.State != "":
		q.Arg("state", c.schema+".question_state", string(params.State))
	}
	q.Text("agent_type", params.AgentType).Filter(alternatives(params.MetadataFilter)).Text("after", params.After).Int("page_size", params.PageSize).
		UUID("agent_id", params.AgentID)
	var list json.RawMessage
	err := c.row(ctx, q, "r", &list)
	return list, err
}
