package client

import (
	"time"

	"github.com/google/uuid"
)

// CreateOption is an option of Create.
type CreateOption func(*createOptions)

type createOptions struct {
	agentID, parent *uuid.UUID
	metadata        map[string]any
}

// WithParent makes the activity a part of another one, which must exist. A tree is at most 32 deep. Without WithMetadata, the
// activity gets the metadata of its parent.
func WithParent(id uuid.UUID) CreateOption { return func(o *createOptions) { o.parent = &id } }

// WithAgentID makes id the activity's agent_id, in place of a random one.
func WithAgentID(id uuid.UUID) CreateOption { return func(o *createOptions) { o.agentID = &id } }

// WithMetadata stores a JSON object with the activity, for filters. It never changes afterwards, and reads omit it unless it
// is requested. nil stores none.
func WithMetadata(metadata map[string]any) CreateOption {
	return func(o *createOptions) { o.metadata = metadata }
}

// UpdateOption is an option of Update; some are options of Complete and Error too.
type UpdateOption func(*updateOptions)

type updateOptions struct {
	percentage *float64
	status     *Status
	data       any
	atSeq      *int
}

func applyUpdate(opts []UpdateOption) updateOptions {
	var o updateOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// WithPercentage reports the progress, 0 to 100; a fraction is rounded down. It may also go down. For Update and Complete.
func WithPercentage[N interface {
	~int | ~int32 | ~int64 | ~float32 | ~float64
}](percentage N) UpdateOption {
	return func(o *updateOptions) { o.percentage = new(float64(percentage)) }
}

// WithStatus changes the activity's status. For Update.
func WithStatus(status Status) UpdateOption {
	return func(o *updateOptions) { o.status = &status }
}

// WithData stores a JSON value with the line: any value that json.Marshal accepts. A json.RawMessage is stored as it is. nil
// stores none. For Update, Complete and Error.
func WithData(data any) UpdateOption { return func(o *updateOptions) { o.data = data } }

// WithAtSeq writes the line only as the line with that Seq. If that line exists already with the same message, percentage and
// data (and status, where one is given), it is returned and nothing is written, so a call whose answer was lost can be
// repeated. Otherwise Update returns ErrFinished, with the activity's last Seq in its message, so a worker that was replaced
// cannot write. For Update.
func WithAtSeq(seq int) UpdateOption { return func(o *updateOptions) { o.atSeq = &seq } }

// CancelOption is an option of Cancel.
type CancelOption func(*cancelOptions)

type cancelOptions struct {
	grace       *time.Duration
	never       bool // the grace is unlimited
	requestedBy string
	tree        bool
}

// WithTree also cancels the QUEUED, RUNNING and ERROR activities below the activity, in the same way.
func WithTree() CancelOption { return func(o *cancelOptions) { o.tree = true } }

// WithGrace sets the time that the worker has to end a RUNNING activity; after it, Sweep ends the activity. It is 0 to
// 365 days, to the microsecond. 0 ends the activity at once. Default 30 s.
func WithGrace(grace time.Duration) CancelOption {
	return func(o *cancelOptions) { o.grace, o.never = &grace, false }
}

// WithoutForce gives the worker of a RUNNING activity unlimited time: Sweep never ends the activity.
func WithoutForce() CancelOption { return func(o *cancelOptions) { o.grace, o.never = nil, true } }

// WithRequestedBy stores the name of the requester, at most 255 characters, in the data of the line.
func WithRequestedBy(name string) CancelOption {
	return func(o *cancelOptions) { o.requestedBy = name }
}

// Entry is one line for AppendLogs.
type Entry struct {
	AgentID uuid.UUID `json:"agent_id"`
	Message string    `json:"message"`
	// Percentage reports the progress, 0 to 100; nil leaves it as it was.
	Percentage *int `json:"percentage,omitempty"`
	// Status changes the activity's status; "" keeps it.
	Status Status `json:"status,omitempty"`
	// Data is a JSON value, as in WithData; nil is none.
	Data any `json:"data,omitempty"`
	// AtSeq is the Seq that the line must get, as in WithAtSeq; 0 is any.
	AtSeq int `json:"at_seq,omitempty"`
}

// CancelPendingParams select the activities that CancelPending cancels: the QUEUED and RUNNING ones that match each field
// that is not zero.
type CancelPendingParams struct {
	// AgentType is a task name.
	AgentType string
	// MetadataFilter selects activities whose metadata has an equal value for every key; a value may be a NumberOrText. A nil
	// or empty map selects all.
	MetadataFilter map[string]any
	// IdleFor selects activities without a line for at least that long, to the microsecond.
	IdleFor time.Duration
	// Message is written into the log of each. Default "Canceled".
	Message string
}

// CancelPendingCounts counts the matching activities by outcome.
type CancelPendingCounts struct {
	Canceled int `json:"canceled"`
	// Skipped counts activities that another transaction kept locked for longer than 1 s, and those at the highest seq.
	Skipped int `json:"skipped"`
}

// ListParams choose a page of a list. The zero value is the first page of everything.
type ListParams struct {
	// Page is the number of the page, from 1. Default 1. Large numbers cost time; After does not.
	Page int
	// PageSize bounds the items on a page, 1 to 1000. Default 50. A page holds at most 4 MiB, so it may end earlier.
	PageSize int
	// Statuses selects activities with any of these statuses. Default all.
	Statuses []Status
	// AgentType selects activities with that task name. Default all.
	AgentType string
	// MetadataFilter selects activities whose metadata has an equal value for every key; a value may be a NumberOrText.
	// Default all.
	MetadataFilter map[string]any
	// After is the Next of an earlier page. Page is then ignored and nothing is counted. Default the first page.
	After string
	// IncludeMetadata fills in Metadata. Default false.
	IncludeMetadata bool
	// Stale selects the stale activities (true) or the others (false). Default all.
	Stale *bool
	// Sort is the order within RUNNING, QUEUED and finished. Default SortCreated.
	Sort Sort
	// Order is the direction of Sort. Default OrderDesc.
	Order Order
	// Since selects activities that were not finished before it. Default all.
	Since When
	// Until selects activities that were created before it. Default all.
	Until When
	// IDPrefix selects activities whose agent_id begins with these hexadecimal digits, 4 to 32; hyphens are left out. Default all.
	IDPrefix string
	// ParentAgentID selects the activities directly below this one, and RootAgentID the whole tree of this root, with the root.
	// Default all.
	ParentAgentID, RootAgentID uuid.UUID
	// RootsOnly selects the activities without a parent in the scope. Default false.
	RootsOnly bool
	// Waiting selects the activities with an open question (true) or the others (false). Default all.
	Waiting *bool
	// Stopping selects the RUNNING activities whose cancel was requested (true) or the others (false). Default all.
	Stopping *bool
}

// Sort says by what a list is ordered within RUNNING, QUEUED and finished.
type Sort string

// The sorts of a list.
const (
	// SortCreated is the time of creation.
	SortCreated Sort = "created"
	// SortDuration is how long an activity has run: RUNNING since it started, QUEUED since it was created, finished from start to
	// end.
	SortDuration Sort = "duration"
	// SortActivity is the time of the last line, for a finished activity of the line that ended it.
	SortActivity Sort = "activity"
)

// Order is the direction of a Sort.
type Order string

// The directions.
const (
	// OrderDesc has the newest, or the longest, first.
	OrderDesc Order = "desc"
	OrderAsc  Order = "asc"
)

// DetailParams choose what Detail and DetailPage return. The zero value is the activity with all its lines.
type DetailParams struct {
	// AfterSeq omits the lines up to that Seq. Default 0.
	AfterSeq int
	// LogLimit bounds the lines to return, 0 for none. Default nil: all. A long log may then exceed the largest value of
	// Postgres (256 MB); DetailPage and Logs have no such bound.
	LogLimit *int
	// MetadataFilter makes the activity not found unless its metadata has an equal value for every key; a value may be a
	// NumberOrText. Default all.
	MetadataFilter map[string]any
	// IncludeMetadata fills in Metadata. Default false.
	IncludeMetadata bool
}

// CountParams narrow CountByStatus. The zero value counts everything.
type CountParams struct {
	// AgentType counts activities with that task name. Default all.
	AgentType string
	// MetadataFilter counts activities whose metadata has an equal value for every key; a value may be a
	// NumberOrText. Default all.
	MetadataFilter map[string]any
	// Since counts activities that were not finished before it, and Until those that were created before it. Default all.
	Since, Until When
	// ParentAgentID, RootAgentID, RootsOnly, Waiting and Stopping count what ListParams selects with them. Default all.
	ParentAgentID, RootAgentID uuid.UUID
	RootsOnly                  bool
	Waiting, Stopping          *bool
}
