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
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

type createActivity struct {
	TaskName string                     `json:"task_name" example:"research" doc:"What kind of work it is, 1 to 255 characters; read back as agent_type."`
	Message  string                     `json:"message,omitempty" example:"Agent queued" doc:"The first line of the log, up to 1 MiB. Without it, \"Agent queued\"."`
	AgentID  *agentID                   `json:"agent_id,omitempty" doc:"The activity's key. Without it, a random one."`
	Metadata map[string]json.RawMessage `json:"metadata,omitempty" example:"{\"org\":\"42\"}" doc:"A JSON object to filter by. It never changes, and is in no response unless asked for."`
}

type appendLog struct {
	Message    string          `json:"message" example:"Reading page 3 of 8" doc:"What happened, up to 1 MiB."`
	Percentage *float64        `json:"percentage,omitempty" example:"40" doc:"The progress, 0 to 100; a fraction is rounded down. Without it, the latest one stays."`
	Status     *status         `json:"status,omitempty" doc:"The new status, in upper or lower case. Without it, the current one stays."`
	Data       json.RawMessage `json:"data,omitempty" example:"{\"page\":3}" doc:"Any JSON to keep with the line."`
}

type completeActivity struct {
	Message    string          `json:"message,omitempty" example:"8 pages read" doc:"The last line, up to 1 MiB. Without it, \"Agent completed\"."`
	Percentage *float64        `json:"percentage,omitempty" example:"100" doc:"The progress, 0 to 100; a fraction is rounded down. Without it, 100."`
	Data       json.RawMessage `json:"data,omitempty" example:"{\"pages\":8}" doc:"Any JSON to keep with the line."`
}

type failActivity struct {
	Message string          `json:"message,omitempty" example:"page 3 cannot be read" doc:"The last line, up to 1 MiB. Without it, \"Agent failed\"."`
	Data    json.RawMessage `json:"data,omitempty" example:"{\"page\":3}" doc:"Any JSON to keep with the line."`
}

type cancelActivity struct {
	Message string `json:"message,omitempty" example:"Canceled by the user" doc:"The last line, up to 1 MiB. Without it, \"Canceled\"."`
}

type cancelPending struct {
	AgentType      string                     `json:"agent_type,omitempty" example:"research" doc:"Only activities with this task name."`
	MetadataFilter map[string]json.RawMessage `json:"metadata_filter,omitempty" example:"{\"org\":\"42\"}" doc:"Only activities whose metadata has an equal value for every key."`
	All            bool                       `json:"all,omitempty" example:"false" doc:"true cancels every pending activity; no other field may be given then."`
	IdleFor        duration                   `json:"idle_for,omitempty" doc:"Only activities without a line for at least that long: numbers with a unit (h, m, s, ms, us), to the microsecond."`
}

type createInput struct{ Body body[createActivity] }

type createOutput struct {
	Location string `header:"Location" doc:"Where the activity is." example:"/v1/activities/8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"`
	Body     created
}

type created struct {
	AgentID agentID `json:"agent_id" doc:"The activity's key in every call."`

	_ struct{} `additionalProperties:"true"`
}

func (a *api) create(ctx context.Context, in *createInput) (*createOutput, error) {
	b := in.Body.value
	opts := []client.CreateOption{client.WithMetadata(object(b.Metadata))}
	if b.AgentID != nil {
		opts = append(opts, client.WithAgentID(uuid.UUID(*b.AgentID)))
	}
	id, err := scoped(ctx, a.writes).Create(ctx, b.TaskName, b.Message, opts...)
	if outsideScope(ctx, err) {
		return nil, problem.New(http.StatusForbidden, "", "the activity would be outside the scope of the token")
	}
	return &createOutput{Location: activitiesPath + "/" + id.String(), Body: created{AgentID: agentID(id)}}, err
}

// outsideScope reports whether SQL refused to create what the caller could not see afterwards. Without a scope the same
// SQLSTATE says that the sidecar's own role lacks a right.
func outsideScope(ctx context.Context, err error) bool {
	var db *client.DBError
	return errors.As(err, &db) && db.Code == problem.CodeDenied && !access.GrantOf(ctx).Scope.IsZero()
}

type appendInput struct {
	AgentID agentID `path:"agent_id" doc:"The activity."`
	Body    body[appendLog]
}

// endInput is the input of what ends an activity; its body is optional.
type endInput[T any] struct {
	AgentID agentID `path:"agent_id" doc:"The activity."`
	Body    *body[T]
}

func (in *endInput[T]) read() (id uuid.UUID, value T) {
	if in.Body != nil {
		value = in.Body.value
	}
	return uuid.UUID(in.AgentID), value
}

type logOutput struct{ Body activityLog }

func written(l client.Log, err error) (*logOutput, error) { return &logOutput{Body: logOf(l)}, err }

func (a *api) append(ctx context.Context, in *appendInput) (*logOutput, error) {
	b := in.Body.value
	opts := lineOptions(b.Percentage, b.Data)
	if b.Status != nil && client.Status(*b.Status) == client.StatusCanceled && !access.GrantOf(ctx).Cancel {
		return nil, access.NotGranted(string(access.VerbCancel)) // a line that cancels is a cancel
	}
	if b.Status != nil {
		opts = append(opts, client.WithStatus(client.Status(*b.Status)))
	}
	return written(scoped(ctx, a.writes).Update(ctx, uuid.UUID(in.AgentID), b.Message, opts...))
}

func (a *api) complete(ctx context.Context, in *endInput[completeActivity]) (*logOutput, error) {
	id, b := in.read()
	return written(scoped(ctx, a.writes).Complete(ctx, id, b.Message, lineOptions(b.Percentage, b.Data)...))
}

func (a *api) fail(ctx context.Context, in *endInput[failActivity]) (*logOutput, error) {
	id, b := in.read()
	return written(scoped(ctx, a.writes).Error(ctx, id, b.Message, lineOptions(nil, b.Data)...))
}

func (a *api) cancel(ctx context.Context, in *endInput[cancelActivity]) (*logOutput, error) {
	id, b := in.read()
	return written(scoped(ctx, a.writes).Cancel(ctx, id, b.Message))
}

type cancelPendingInput struct{ Body *body[cancelPending] }

type cancelPendingOutput struct{ Body canceled }

type canceled struct {
	Canceled int64 `json:"canceled" example:"3" doc:"How many activities were canceled."`
	Skipped  int64 `json:"skipped" example:"0" doc:"How many more match and were not: another transaction kept them locked for longer than 1 s, or their log is full."`

	_ struct{} `additionalProperties:"true"`
}

func (a *api) cancelPending(ctx context.Context, in *cancelPendingInput) (*cancelPendingOutput, error) {
	var b cancelPending
	if in.Body != nil {
		b = in.Body.value
	}
	filtered := b.AgentType != "" || len(b.MetadataFilter) > 0 || b.IdleFor != 0
	if filtered == b.All {
		return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid,
			"give at least one of agent_type, metadata_filter and idle_for, or else all: true to cancel every pending activity")
	}
	counts, err := scoped(ctx, a.writes).CancelPendingCounts(ctx, client.CancelPendingParams{
		AgentType: b.AgentType, MetadataFilter: object(b.MetadataFilter), IdleFor: time.Duration(b.IdleFor),
	})
	return &cancelPendingOutput{Body: canceled{Canceled: int64(counts.Canceled), Skipped: int64(counts.Skipped)}}, err
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

// object is a JSON object as pkg/client takes it, its values as they came: a float64 would cut long numbers.
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
