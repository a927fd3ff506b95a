package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// ErrNotFound is returned by a Source when there is no such activity.
var ErrNotFound = errors.New("no such activity")

// Refusal is returned by a Source for a read that fails however often it is tried, such as one whose answer is larger than
// Postgres can make. It ends the subscription with an error frame.
type Refusal struct {
	Code    string // of the error frame: "limit" or "invalid"
	Message string // what a client may be told
	Err     error  // what Postgres said; for the log

	logged atomic.Bool
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Unwrap returns what Postgres said.
func (r *Refusal) Unwrap() error { return r.Err }

// Source is all the feed sees of Postgres. Its methods are called from many goroutines at once, though never from
// more than Config.CatchUpReads. An error other than ErrNotFound and a *Refusal is taken as passing: the read is tried again.
//
// Each read is made in a scope, outside of which nothing exists. Whether an activity lies in one is Postgres's to say.
type Source interface {
	// Snapshot reads an activity without its lines.
	Snapshot(ctx context.Context, agentID uuid.UUID, scope client.Scope) (Snapshot, error)
	// Replay reads lines with seq > afterSeq in seq order, and the activity's state, in one snapshot. It returns a
	// bounded number of lines, of about so many bytes, and at least one line where there is one.
	Replay(ctx context.Context, agentID uuid.UUID, afterSeq, bytes int, scope client.Scope) (Batch, error)
	// List reads the first items of a list, in its order.
	List(ctx context.Context, filter ListFilter, scope client.Scope) ([]ListItem, error)
	// Counts reads the number of activities per status under the filter's type and metadata, whatever its statuses.
	Counts(ctx context.Context, filter ListFilter, scope client.Scope) (json.RawMessage, error)
}

// Snapshot is an activity as read at one moment.
type Snapshot struct {
	Activity json.RawMessage // ActivityDetail without logs
	State    State
}

// State is what lines change of an activity, as read at one moment. Every change comes with a line, so of two states
// the one with the higher LastSeq is the newer.
type State struct {
	// Activity identifies the activity among all that ever had its agent_id: one that was deleted and made again is
	// another, and has lines of its own. uuid.Nil where it is not known.
	Activity uuid.UUID
	LastSeq  int
	Status   string
	Final    bool            // COMPLETE, ERROR or CANCELED
	JSON     json.RawMessage // {status, latest_percentage, started_at, updated_at, finished_at, last_seq, attempt}
}

// NewState returns the state of an activity as the rows of the database tell it.
func NewState(activity uuid.UUID, lastSeq int, status string, json []byte) State {
	return State{Activity: activity, LastSeq: lastSeq, Status: status, Final: client.Status(status).IsFinished(), JSON: json}
}

// Line is one committed line.
type Line struct {
	AgentID uuid.UUID
	Seq     int
	JSON    json.RawMessage // ActivityLog
	// CommittedAt is when the tail says that the line was committed, in Unix nanoseconds of this machine's clock; 0 where
	// that is not known, as of lines of a Replay.
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
	Limit     int             `json:"limit,omitempty"`    // items at most; default 50, at most 1000
}

// ListItem is one item of a list.
type ListItem struct {
	AgentID uuid.UUID
	JSON    json.RawMessage // ActivityListItem
}

// refused logs a read that fails however often it is tried. It is called once for a subscription, and for a list once for
// all that watch it.
func (h *Hub) refused(r *Refusal, about ...any) {
	if r.logged.Swap(true) || !h.refusals.Allow() {
		return
	}
	h.cfg.Logger.Warn("a subscription cannot be served: "+r.Message, append(about, "error", r.Err)...)
}
