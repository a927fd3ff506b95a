package wsfeed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// ErrNotFound is returned by a Source when there is no such activity.
var ErrNotFound = errors.New("no such activity")

// Refusal is returned by a Source for a read that fails however often it is tried, such as one with an answer too large for
// Postgres. It ends the subscription with an error frame.
type Refusal struct {
	Code    string // of the error frame: "limit" or "invalid"
	Message string // the message for the client
	Err     error  // the error of Postgres, for the log

	logged atomic.Bool
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Unwrap returns the error of Postgres.
func (r *Refusal) Unwrap() error { return r.Err }

// Source is the feed's only access to Postgres. Many goroutines call its methods, at most Config.CatchUpReads at once. An
// error other than ErrNotFound and a *Refusal counts as temporary: the read is tried again.
//
// Each read has a scope, outside of which nothing exists. Postgres decides whether an activity lies in a scope.
type Source interface {
	// Snapshot reads an activity without its lines.
	Snapshot(ctx context.Context, agentID uuid.UUID, scope client.Scope) (Snapshot, error)
	// Replay reads lines with seq > afterSeq in seq order, and the activity's state, in one snapshot. It returns a bounded
	// number of lines with about the given bytes, and at least one line where there is one.
	Replay(ctx context.Context, agentID uuid.UUID, afterSeq, bytes int, scope client.Scope) (Batch, error)
	// List reads the first items of a list, in its order. held are activities whose items the feed has: a Source should return these
	// without JSON where that saves work.
	List(ctx context.Context, filter ListFilter, scope client.Scope, held []uuid.UUID) ([]ListItem, error)
	// Counts reads the number of activities per status, and the number of stale ones, for the filter. It ignores the filter's
	// Statuses and Stale.
	Counts(ctx context.Context, filter ListFilter, scope client.Scope) (json.RawMessage, error)
}

// Snapshot is an activity as read at one moment.
type Snapshot struct {
	Activity json.RawMessage // ActivityDetail without logs
	// InTree tells that the activity has a parent or children. Activity names only those within the scope it was read in.
	InTree bool
	State  State
}

// State is the part of an activity that lines and heartbeats change, as read at one moment. Of two states the one with the
// higher LastSeq is the newer. Only last_seen_at, expect_every and stale may change without a line.
type State struct {
	// Activity identifies the activity among all that ever had its agent_id. An activity that was deleted and created again
	// is another one, with lines of its own. uuid.Nil where it is not known.
	Activity uuid.UUID
	LastSeq  int
	Status   string
	Final    bool // COMPLETE, ERROR or CANCELED
	Stale    bool // RUNNING, and its worker sent no heartbeat and no line for longer than it promised
	// JSON is {status, latest_percentage, started_at, updated_at, finished_at, last_seq, attempt, cancel, last_seen_at,
	// expect_every, stale}.
	JSON json.RawMessage
}

// NewState returns the state of an activity from the values of its row and its JSON as Postgres prints it.
func NewState(activity uuid.UUID, lastSeq int, status string, json []byte) State {
	return State{
		Activity: activity, LastSeq: lastSeq, Status: status, Final: client.Status(status).IsFinished(), Stale: isStale(json), JSON: json,
	}
}

var staleTrue = []byte(`"stale": true`)

// isStale reads "stale" from the JSON of a state. Few states are stale, so the JSON is decoded only where it may say so.
func isStale(state []byte) bool {
	if !bytes.Contains(state, staleTrue) {
		return false
	}
	var s struct {
		Stale bool `json:"stale"`
	}
	return json.Unmarshal(state, &s) == nil && s.Stale
}

// Line is one committed line.
type Line struct {
	AgentID uuid.UUID
	Seq     int
	JSON    json.RawMessage // ActivityLog
	// CommittedAt is the time of the line's commit according to the tail, in Unix nanoseconds of this machine's clock; 0
	// where it is not known, as for lines of a Replay.
	CommittedAt int64
}

// Batch is lines of one activity in seq order, with its state read in the same snapshot.
type Batch struct {
	Lines []Line
	State State
}

// ListFilter says which activities a live list holds.
type ListFilter struct {
	Statuses  []string        `json:"statuses,omitempty"`
	AgentType string          `json:"agent_type,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"` // a JSON object: equal values for these keys
	Stale     *bool           `json:"stale,omitempty"`    // the stale activities (true), or the others (false); nil for all
	Limit     int             `json:"limit,omitempty"`    // items at most; default 50, at most 1000
	// Sort orders the items within RUNNING, QUEUED and finished: "created" (default), "duration" or "activity". Order is its direction:
	// "desc" (default) or "asc".
	Sort  string `json:"sort,omitempty"`
	Order string `json:"order,omitempty"`
	// Since and Until select the activities that were not finished before Since, and created before Until: as client.ParseWhen
	// reads them. A duration is one before each read, so the range moves on.
	Since string `json:"since,omitempty"`
	Until string `json:"until,omitempty"`
	// ParentAgentID selects the children of an activity, RootAgentID the tree of a root, with the root, and RootsOnly the
	// activities without a parent in the scope.
	ParentAgentID string `json:"parent_agent_id,omitempty"`
	RootAgentID   string `json:"root_agent_id,omitempty"`
	RootsOnly     bool   `json:"roots_only,omitempty"`
	Waiting       *bool  `json:"waiting,omitempty"`  // those with an open question (true), or the others (false); nil for all
	Stopping      *bool  `json:"stopping,omitempty"` // RUNNING ones whose cancel was requested (true), or the others (false); nil for all
	// IncludeMetadata adds the metadata to each item.
	IncludeMetadata bool `json:"include_metadata,omitempty"`
}

// ListItem is one item of a list.
type ListItem struct {
	AgentID uuid.UUID
	JSON    json.RawMessage // ActivityListItem; nil where the feed has it
}

// refused logs a read that fails however often it is tried: once for a subscription, and once for a list with all its
// subscriptions.
func (h *Hub) refused(r *Refusal, about ...any) {
	if r.logged.Swap(true) || !h.refusals.Allow() {
		return
	}
	h.cfg.Logger.Warn("a subscription cannot be served: "+r.Message, append(about, "error", r.Err)...)
}
