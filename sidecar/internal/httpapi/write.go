package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/input"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// operation is the body of a POST, and the call that it asks for.
type operation interface {
	do(ctx context.Context, c *client.Client, rq *request) (any, error)
}

// post is the handler of the operation with the body B.
func post[B operation](rq *request) action {
	b, faults := input.Body[B](rq.body)
	rq.faults = append(rq.faults, faults...)
	return func(ctx context.Context) (any, error) {
		return rq.call(ctx, func(ctx context.Context, c *client.Client) (any, error) { return b.do(ctx, c, rq) })
	}
}

type createActivity struct {
	TaskName string                     `json:"task_name"`
	Message  string                     `json:"message,omitempty"`
	AgentID  *input.AgentID             `json:"agent_id,omitempty"`
	Metadata map[string]json.RawMessage `json:"metadata,omitempty"`
	Parent   *input.AgentID             `json:"parent_agent_id,omitempty"`
}

type created struct {
	AgentID uuid.UUID `json:"agent_id"`
}

func (b createActivity) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	opts := []client.CreateOption{client.WithMetadata(object(b.Metadata))}
	if b.AgentID != nil {
		opts = append(opts, client.WithAgentID(uuid.UUID(*b.AgentID)))
	}
	if b.Parent != nil {
		opts = append(opts, client.WithParent(uuid.UUID(*b.Parent)))
	}
	id, err := c.Create(ctx, b.TaskName, b.Message, opts...)
	if outsideScope(ctx, err) {
		return nil, problem.New(http.StatusForbidden, "", "the activity would be outside the scope of the token")
	}
	if err == nil {
		rq.agentID = id
		rq.w.Header().Set("Location", edge.Prefix(rq.r)+activitiesPath+"/"+id.String())
	}
	return created{AgentID: id}, err
}

// outsideScope reports whether SQL refused to create a row that the caller could not see afterwards. Without a scope, the same
// SQLSTATE means that the sidecar's own role lacks a right.
func outsideScope(ctx context.Context, err error) bool {
	var db *client.DBError
	return errors.As(err, &db) && db.Code == problem.CodeDenied && !access.GrantOf(ctx).Scope.IsZero()
}

// activityLog is a written line. It has the same JSON as a read of the line.
type activityLog struct {
	client.Log
	CreatedAt timestamp `json:"created_at"`
}

// line returns the answer to a write of a line.
func line(l client.Log, err error) (any, error) { return activityLog{l, timestamp(l.CreatedAt)}, err }

// timestamp is a time in SQL's format: UTC, six digits of a second.
type timestamp time.Time

// MarshalText writes the time in that format.
func (t timestamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000000Z")), nil
}

type appendLog struct {
	Message    string          `json:"message"`
	Percentage *float64        `json:"percentage,omitempty"`
	Status     *input.Status   `json:"status,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	AtSeq      *int32          `json:"at_seq,omitempty"`
}

func (b appendLog) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	opts := lineOptions(b.Percentage, b.Data)
	if b.Status != nil {
		to := client.Status(*b.Status)
		if to == client.StatusCanceled && !access.GrantOf(ctx).Cancel {
			return nil, access.NotGranted(string(access.VerbCancel)) // a line that cancels is a cancel
		}
		opts = append(opts, client.WithStatus(to))
	}
	if b.AtSeq != nil {
		opts = append(opts, client.WithAtSeq(int(*b.AtSeq)))
	}
	return line(c.Update(ctx, rq.agentID, b.Message, opts...))
}

type completeActivity struct {
	Message    string          `json:"message,omitempty"`
	Percentage *float64        `json:"percentage,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

func (b completeActivity) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	return line(c.Complete(ctx, rq.agentID, b.Message, lineOptions(b.Percentage, b.Data)...))
}

type failActivity struct {
	Message string          `json:"message,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (b failActivity) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	return line(c.Error(ctx, rq.agentID, b.Message, lineOptions(nil, b.Data)...))
}

type sendHeartbeat struct {
	ExpectEvery *input.Duration `json:"expect_every,omitempty"`
}

// heartbeatResult is the answer to a heartbeat. cancel_message is null where no cancel was requested.
type heartbeatResult struct {
	client.HeartbeatResult
	CancelMessage *string `json:"cancel_message"`
}

func (b sendHeartbeat) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	var every time.Duration
	if b.ExpectEvery != nil {
		if every = time.Duration(*b.ExpectEvery); every == 0 { // pkg/client takes 0 as not given; SQL checks other bounds
			return nil, input.Problem(input.Fault{Location: "body.expect_every", Message: "must be between 1 second and 1 day, got 0s"})
		}
	}
	r, err := c.Heartbeat(ctx, rq.agentID, every)
	out := heartbeatResult{HeartbeatResult: r}
	if r.CancelRequested {
		out.CancelMessage = &r.CancelMessage
	}
	return out, err
}

type cancelActivity struct {
	Message string       `json:"message,omitempty"`
	Grace   *input.Grace `json:"grace,omitempty"`
	Force   bool         `json:"force,omitempty"`
	Tree    bool         `json:"tree,omitempty"`
}

func (b cancelActivity) do(ctx context.Context, c *client.Client, rq *request) (any, error) {
	opts := []client.CancelOption{client.WithRequestedBy(subject(ctx))}
	if b.Tree {
		opts = append(opts, client.WithTree())
	}
	switch {
	case b.Force && b.Grace != nil:
		return nil, input.Problem(input.Fault{Location: "body.force", Message: "must not be true beside a grace: force ends the activity at once"})
	case b.Force:
		opts = append(opts, client.WithGrace(0))
	case b.Grace != nil && b.Grace.Never:
		opts = append(opts, client.WithoutForce())
	case b.Grace != nil:
		opts = append(opts, client.WithGrace(time.Duration(b.Grace.Time)))
	}
	return line(c.Cancel(ctx, rq.agentID, b.Message, opts...))
}

// subject is the subject of the token, cut to the longest requested_by and answered_by that SQL takes: 255 characters.
func subject(ctx context.Context) string {
	name := []rune(access.GrantOf(ctx).Subject)
	return string(name[:min(len(name), 255)])
}

type cancelPending struct {
	AgentType      string                     `json:"agent_type,omitempty"`
	MetadataFilter map[string]json.RawMessage `json:"metadata_filter,omitempty"`
	All            bool                       `json:"all,omitempty"`
	IdleFor        input.Duration             `json:"idle_for,omitempty"`
}

func (b cancelPending) do(ctx context.Context, c *client.Client, _ *request) (any, error) {
	filtered := b.AgentType != "" || len(b.MetadataFilter) > 0 || b.IdleFor != 0
	if filtered == b.All {
		return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid,
			"give at least one of agent_type, metadata_filter and idle_for, or else all: true to cancel every pending activity")
	}
	return c.CancelPendingCounts(ctx, client.CancelPendingParams{
		AgentType: b.AgentType, MetadataFilter: object(b.MetadataFilter), IdleFor: time.Duration(b.IdleFor),
	})
}

func lineOptions(percentage *float64, data json.RawMessage) (opts []client.UpdateOption) {
	if percentage != nil {
		opts = append(opts, client.WithPercentage(*percentage))
	}
	if data != nil {
		opts = append(opts, client.WithData(data))
	}
	return opts
}

// object returns a JSON object as pkg/client takes it, with its values unchanged: a float64 would cut long numbers.
func object(values map[string]json.RawMessage) map[string]any {
	if values == nil {
		return nil
	}
	out := make(map[string]any, len(values))
	for key, value := range values {
		out[key] = value
	}
	return out
}
