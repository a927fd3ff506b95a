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
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

type createActivity struct {
	TaskName string                     `json:"task_name"`
	Message  string                     `json:"message,omitempty"`
	AgentID  *agentID                   `json:"agent_id,omitempty"`
	Metadata map[string]json.RawMessage `json:"metadata,omitempty"`
	Parent   *agentID                   `json:"parent_agent_id,omitempty"`
}

type created struct {
	AgentID uuid.UUID `json:"agent_id"`
}

func (rq *request) create() {
	b := body[createActivity](rq)
	rq.answer(http.StatusCreated, func(ctx context.Context, c *client.Client) (any, error) {
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
			rq.w.Header().Set("Location", edge.Prefix(rq.r)+activitiesPath+"/"+id.String())
		}
		return created{AgentID: id}, err
	})
}

// outsideScope reports whether SQL refused to create a row that the caller could not see afterwards. Without a scope, the same
// SQLSTATE means that the sidecar's own role lacks a right.
func outsideScope(ctx context.Context, err error) bool {
	var db *client.DBError
	return errors.As(err, &db) && db.Code == problem.CodeDenied && !access.GrantOf(ctx).Scope.IsZero()
}

// activityLog is a written line. It has the same JSON as a read of the line.
type activityLog struct {
	ID         int64           `json:"id"`
	Seq        int             `json:"seq"`
	Message    string          `json:"message"`
	Status     client.Status   `json:"status"`
	Percentage *int            `json:"percentage"`
	CreatedAt  timestamp       `json:"created_at"`
	Data       json.RawMessage `json:"data"`
	Attempt    int             `json:"attempt"`
	// CancelRequested tells the worker to end the activity.
	CancelRequested bool `json:"cancel_requested"`
}

// timestamp is a time in SQL's format: UTC, six digits of a second.
type timestamp time.Time

// MarshalText writes the time in that format.
func (t timestamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000000Z")), nil
}

// line answers with the line that write writes.
func (rq *request) line(status int, write call[client.Log]) {
	rq.answer(status, func(ctx context.Context, c *client.Client) (any, error) {
		l, err := write(ctx, c)
		return activityLog{
			ID: l.ID, Seq: l.Seq, Message: l.Message, Status: l.Status, Percentage: l.Percentage, CreatedAt: timestamp(l.CreatedAt), Data: l.Data,
			Attempt: l.Attempt, CancelRequested: l.CancelRequested,
		}, err
	})
}

type appendLog struct {
	Message    string          `json:"message"`
	Percentage *float64        `json:"percentage,omitempty"`
	Status     *status         `json:"status,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	AtSeq      *int32          `json:"at_seq,omitempty"`
}

func (rq *request) append() {
	id, b := rq.agentID(), body[appendLog](rq)
	rq.line(http.StatusCreated, func(ctx context.Context, c *client.Client) (client.Log, error) {
		opts := lineOptions(b.Percentage, b.Data)
		if b.Status != nil {
			to := client.Status(*b.Status)
			if to == client.StatusCanceled && !access.GrantOf(ctx).Cancel {
				return client.Log{}, access.NotGranted(string(access.VerbCancel)) // a line that cancels is a cancel
			}
			opts = append(opts, client.WithStatus(to))
		}
		if b.AtSeq != nil {
			opts = append(opts, client.WithAtSeq(int(*b.AtSeq)))
		}
		return c.Update(ctx, id, b.Message, opts...)
	})
}

type completeActivity struct {
	Message    string          `json:"message,omitempty"`
	Percentage *float64        `json:"percentage,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

func (rq *request) complete() {
	id, b := rq.agentID(), body[completeActivity](rq)
	rq.line(http.StatusOK, func(ctx context.Context, c *client.Client) (client.Log, error) {
		return c.Complete(ctx, id, b.Message, lineOptions(b.Percentage, b.Data)...)
	})
}

type failActivity struct {
	Message string          `json:"message,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (rq *request) fail() {
	id, b := rq.agentID(), body[failActivity](rq)
	rq.line(http.StatusOK, func(ctx context.Context, c *client.Client) (client.Log, error) {
		return c.Error(ctx, id, b.Message, lineOptions(nil, b.Data)...)
	})
}

type sendHeartbeat struct {
	ExpectEvery *duration `json:"expect_every,omitempty"`
}

type heartbeatResult struct {
	Status          client.Status `json:"status"`
	Attempt         int           `json:"attempt"`
	CancelRequested bool          `json:"cancel_requested"`
	CancelMessage   *string       `json:"cancel_message"`
}

func (rq *request) heartbeat() {
	id, b := rq.agentID(), body[sendHeartbeat](rq)
	if b.ExpectEvery != nil && *b.ExpectEvery == 0 && len(rq.faults) == 0 { // pkg/client takes 0 as not given; SQL checks other bounds
		rq.faults = append(rq.faults, fault{location: "body.expect_every", message: "must be between 1 second and 1 day, got 0s"})
	}
	rq.answer(http.StatusOK, func(ctx context.Context, c *client.Client) (any, error) {
		var every time.Duration
		if b.ExpectEvery != nil {
			every = time.Duration(*b.ExpectEvery)
		}
		r, err := c.Heartbeat(ctx, id, every)
		out := heartbeatResult{Status: r.Status, Attempt: r.Attempt, CancelRequested: r.CancelRequested}
		if r.CancelRequested {
			out.CancelMessage = &r.CancelMessage
		}
		return out, err
	})
}

type cancelActivity struct {
	Message string `json:"message,omitempty"`
	Grace   *grace `json:"grace,omitempty"`
	Force   bool   `json:"force,omitempty"`
	Tree    bool   `json:"tree,omitempty"`
}

// maxRequestedBy is the longest requested_by, in characters, that SQL takes.
const maxRequestedBy = 255

func (rq *request) cancel() {
	id, b := rq.agentID(), body[cancelActivity](rq)
	if b.Force && b.Grace != nil {
		rq.faults = append(rq.faults, fault{location: "body.force", message: "must not be true beside a grace: force ends the activity at once"})
	}
	rq.line(http.StatusOK, func(ctx context.Context, c *client.Client) (client.Log, error) {
		opts := []client.CancelOption{client.WithRequestedBy(subject(ctx))}
		if b.Tree {
			opts = append(opts, client.WithTree())
		}
		switch {
		case b.Force:
			opts = append(opts, client.WithGrace(0))
		case b.Grace != nil && b.Grace.never:
			opts = append(opts, client.WithoutForce())
		case b.Grace != nil:
			opts = append(opts, client.WithGrace(time.Duration(b.Grace.time)))
		}
		return c.Cancel(ctx, id, b.Message, opts...)
	})
}

type cancelPending struct {
	AgentType      string                     `json:"agent_type,omitempty"`
	MetadataFilter map[string]json.RawMessage `json:"metadata_filter,omitempty"`
	All            bool                       `json:"all,omitempty"`
	IdleFor        duration                   `json:"idle_for,omitempty"`
}

type canceled struct {
	Canceled int `json:"canceled"`
	Skipped  int `json:"skipped"`
}

func (rq *request) cancelPending() {
	b := body[cancelPending](rq)
	rq.answer(http.StatusOK, func(ctx context.Context, c *client.Client) (any, error) {
		filtered := b.AgentType != "" || len(b.MetadataFilter) > 0 || b.IdleFor != 0
		if filtered == b.All {
			return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid,
				"give at least one of agent_type, metadata_filter and idle_for, or else all: true to cancel every pending activity")
		}
		counts, err := c.CancelPendingCounts(ctx, client.CancelPendingParams{
			AgentType: b.AgentType, MetadataFilter: object(b.MetadataFilter), IdleFor: time.Duration(b.IdleFor),
		})
		return canceled{Canceled: counts.Canceled, Skipped: counts.Skipped}, err
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
