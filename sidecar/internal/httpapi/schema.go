package httpapi

import (
	"encoding/json"
	"maps"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentexec/agentexec/pkg/client"
)

// The shapes of the contract's JSON. Lists and details are never decoded into these: the JSON of the SQL functions
// goes out untouched, and a test holds its keys against these.

const (
	exampleID   = "8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11"
	exampleTime = "2026-03-01T09:30:00.123456Z"
)

// activityState is what a list item and a detail share.
type activityState struct {
	AgentID          agentID    `json:"agent_id" doc:"The activity's key in every call."`
	AgentType        string     `json:"agent_type" example:"research" doc:"The task name it was created with."`
	Status           status     `json:"status" doc:"Where the activity stands."`
	LatestPercentage *int32     `json:"latest_percentage" example:"40" doc:"The progress that was last reported, 0 to 100."`
	LastSeq          int32      `json:"last_seq" example:"7" doc:"The seq of the last line; it grows with every change, so it is also the activity's version."`
	Attempt          int32      `json:"attempt" example:"1" doc:"1, and one more after each retry of an ERROR."`
	CreatedAt        timestamp  `json:"created_at" doc:"When it was created."`
	StartedAt        *timestamp `json:"started_at" nullable:"true" doc:"The time of the first line with RUNNING, null before."`
	UpdatedAt        timestamp  `json:"updated_at" doc:"The time of the last line."`
	FinishedAt       *timestamp `json:"finished_at" nullable:"true" doc:"When it became COMPLETE, ERROR or CANCELED, null while it is none of them."`
}

type activityListItem struct {
	LatestLog          *string `json:"latest_log" example:"Reading page 3 of 8" doc:"The message of the last line, at most its first 500 characters."`
	LatestLogTruncated bool    `json:"latest_log_truncated" example:"false" doc:"Whether the message is longer than latest_log."`

	_ struct{} `additionalProperties:"true"`
}

type activityDetail struct {
	Logs         []activityLog `json:"logs" nullable:"false" doc:"The lines asked for, in the order of seq."`
	NextAfterSeq *int32        `json:"next_after_seq" example:"1000" doc:"The after_seq to go on with, null where no line is left, and with limit=0."`

	_ struct{} `additionalProperties:"true"`
}

// TransformSchema implements huma.SchemaTransformer.
func (activityListItem) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	return withState(r, s)
}

// TransformSchema implements huma.SchemaTransformer.
func (activityDetail) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	return withState(r, s)
}

// withState adds the fields of activityState. huma would do so for an embedded struct, were it exported.
func withState(r huma.Registry, s *huma.Schema) *huma.Schema {
	state := huma.SchemaFromType(r, reflect.TypeFor[activityState]())
	maps.Copy(s.Properties, state.Properties)
	s.Required = append(state.Required, s.Required...)
	return s
}

type activityList struct {
	Items    []activityListItem `json:"items" nullable:"false" doc:"RUNNING first, then QUEUED, then finished; in each the newest first, ties by agent_id descending."`
	Total    *int64             `json:"total" example:"120" doc:"The number of activities that match; null on a page reached by after."`
	Page     *int32             `json:"page" example:"1" doc:"The number of the page; null on a page reached by after."`
	PageSize int32              `json:"page_size" example:"50" doc:"The most items on a page. A page of more than 4 MiB ends early."`
	Pages    *int64             `json:"pages" example:"3" doc:"The number of pages; null on a page reached by after."`
	Next     *string            `json:"next" example:"2.1772357400123456~8d0e1c9a-5b7f-4c3e-9a51-0d2f6b7e4c11" doc:"The value of after for the next page, null at the end. Where a numbered page ended early, it goes on behind the last item. Opaque: only ever hand it back."`

	_ struct{} `additionalProperties:"true"`
}

// activityLog is one line, as it goes out after a write.
type activityLog struct {
	ID         int64           `json:"id" example:"4211" doc:"Unique among all lines. To go on from a line, use seq."`
	Seq        int32           `json:"seq" example:"7" doc:"The number of the line in its activity, from 1 on without gaps."`
	Message    string          `json:"message" example:"Reading page 3 of 8" doc:"What happened."`
	Status     status          `json:"status" doc:"The activity's status after this line: a worker learns from it that it was canceled."`
	Percentage *int32          `json:"percentage" example:"40" doc:"The progress this line reports, null if it reports none."`
	CreatedAt  timestamp       `json:"created_at" doc:"When it was written."`
	Data       json.RawMessage `json:"data" example:"{\"page\":3}" doc:"The JSON that came with the line, null if none did."`

	_ struct{} `additionalProperties:"true"`
}

func logOf(l client.Log) activityLog {
	out := activityLog{
		ID: l.ID, Seq: int32(l.Seq), Message: l.Message, Status: status(l.Status), CreatedAt: timestamp(l.CreatedAt), Data: l.Data,
	}
	if l.Percentage != nil {
		p := int32(*l.Percentage)
		out.Percentage = &p
	}
	return out
}

type statusCounts struct {
	Queued   int64 `json:"QUEUED" example:"12"`
	Running  int64 `json:"RUNNING" example:"5"`
	Complete int64 `json:"COMPLETE" example:"101"`
	Error    int64 `json:"ERROR" example:"2"`
	Canceled int64 `json:"CANCELED" example:"0"`

	_ struct{} `additionalProperties:"true"`
}

type stats struct {
	Counts statusCounts `json:"counts" doc:"The number of activities with each status."`
	Active int64        `json:"active" example:"17" doc:"The number of QUEUED and RUNNING activities."`

	_ struct{} `additionalProperties:"true"`
}

// timestamp is a time as SQL writes it: UTC, six digits of a second.
type timestamp time.Time

// MarshalText writes it.
func (t timestamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000000Z")), nil
}

// Schema implements huma.SchemaProvider.
func (timestamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{exampleTime}}
}

// Schema implements huma.SchemaProvider.
func (agentID) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid", Examples: []any{exampleID}}
}

// Schema implements huma.SchemaProvider: the statuses are a schema of their own, for generated clients to name.
func (status) Schema(r huma.Registry) *huma.Schema {
	const name = "Status"
	if r.Map()[name] == nil {
		s := &huma.Schema{
			Type: huma.TypeString,
			Description: "QUEUED and RUNNING may become any other; ERROR may become QUEUED or RUNNING again, which is a retry; " +
				"COMPLETE and CANCELED are final.",
			Examples: []any{string(client.StatusRunning)},
		}
		for _, each := range client.Statuses() {
			s.Enum = append(s.Enum, string(each))
		}
		r.Map()[name] = s
	}
	return &huma.Schema{Ref: schemaPrefix + name}
}

// Schema implements huma.SchemaProvider.
func (duration) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{"15m", "1h30m", "90s"}}
}

const schemaPrefix = "#/components/schemas/"

// schemaOf puts T among the components and returns a reference to it.
func schemaOf[T any](r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }
