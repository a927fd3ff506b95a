package client

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Status is the state of an activity, now or when a line was written.
type Status string

// The five statuses. QUEUED and RUNNING may become any other; ERROR may become QUEUED or RUNNING again, which is a
// retry, or CANCELED; COMPLETE and CANCELED are final.
const (
	StatusQueued   Status = "QUEUED"
	StatusRunning  Status = "RUNNING"
	StatusComplete Status = "COMPLETE"
	StatusError    Status = "ERROR"
	StatusCanceled Status = "CANCELED"
)

// Statuses returns the five statuses, in the order of an activity's life cycle.
func Statuses() []Status {
	return []Status{StatusQueued, StatusRunning, StatusComplete, StatusError, StatusCanceled}
}

// names returns the names of statuses.
func names(statuses []Status) []string {
	all := make([]string, len(statuses))
	for i, s := range statuses {
		all[i] = string(s)
	}
	return all
}

// ParseStatus returns the status with that name, in capital letters. Returns ErrInvalid when there is none.
func ParseStatus(name string) (Status, error) {
	for _, s := range Statuses() {
		if name == string(s) {
			return s, nil
		}
	}
	return "", invalid(fmt.Sprintf("status must be one of %v, got %q", Statuses(), name))
}

// ParseStatusFold is ParseStatus for a name in upper or lower case, as SQL reads text.
func ParseStatusFold(name string) (Status, error) {
	for _, s := range Statuses() {
		if strings.EqualFold(name, string(s)) { // no other letter folds to those of a status
			return s, nil
		}
	}
	return ParseStatus(name)
}

// String returns the status's name, such as "RUNNING".
func (s Status) String() string { return string(s) }

// IsFinal reports whether no status can follow: COMPLETE and CANCELED. An ERROR is not final, because it may be retried; see
// IsFinished.
func (s Status) IsFinal() bool { return s == StatusComplete || s == StatusCanceled }

// IsFinished reports whether the work has ended, for now at least: COMPLETE, CANCELED and ERROR, the statuses in which
// an activity has a FinishedAt.
func (s Status) IsFinished() bool { return s.IsFinal() || s == StatusError }

// ParseAgentID reads an agent_id in its usual form of 36 characters, in upper or lower case. Returns ErrInvalid for any other
// text, also for the other forms that uuid.Parse accepts.
func ParseAgentID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, invalid(fmt.Sprintf("agent_id must be a UUID, got %.50q", text))
	}
	return id, nil
}

// Activity is the state of one tracked run. All times are UTC.
type Activity struct {
	// AgentID is the activity's key in every call.
	AgentID uuid.UUID `json:"agent_id"`
	// AgentType is the task name given to Create.
	AgentType string `json:"agent_type"`
	Status    Status `json:"status"`
	// LatestPercentage is the progress that was last reported, 0 to 100.
	LatestPercentage *int `json:"latest_percentage"`
	// LastSeq is the Seq of the last line.
	LastSeq int `json:"last_seq"`
	// Attempt is 1 at first, and grows by one with each retry of an ERROR.
	Attempt   int       `json:"attempt"`
	CreatedAt time.Time `json:"created_at"`
	// UpdatedAt is the time of the last line.
	UpdatedAt time.Time `json:"updated_at"`
	// StartedAt is the time of the first line with RUNNING, nil before.
	StartedAt *time.Time `json:"started_at"`
	// FinishedAt is the time when the activity became COMPLETE, ERROR or CANCELED, nil while it is none of them.
	FinishedAt *time.Time `json:"finished_at"`
	// LastSeenAt is the time of the last line or heartbeat, whichever is later.
	LastSeenAt time.Time `json:"last_seen_at"`
	// ExpectEvery is the promise of the worker: it sends a heartbeat or a line at least that often. 0 where it made none.
	ExpectEvery Seconds `json:"expect_every"`
	// Stale is true while the activity is RUNNING and there was no heartbeat and no line for longer than ExpectEvery.
	Stale bool `json:"stale"`
	// Cancel is the request to cancel the activity, nil where there is none.
	Cancel *CancelRequest `json:"cancel"`
	// ParentAgentID is the activity that this one is a part of, and RootAgentID the root of the tree; nil for a root.
	ParentAgentID *uuid.UUID `json:"parent_agent_id"`
	RootAgentID   *uuid.UUID `json:"root_agent_id"`
	// Children counts the activities directly below, nil where there are none.
	Children *Children `json:"children"`
	// OpenQuestions is the number of questions that wait for the answer of a person.
	OpenQuestions int `json:"open_questions"`
	// Metadata is the JSON object given to Create; nil unless requested with IncludeMetadata, or where there is none.
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// Children counts the activities directly below another one.
type Children struct {
	Total    int `json:"total"`
	Queued   int `json:"queued"`
	Running  int `json:"running"`
	Complete int `json:"complete"`
	Error    int `json:"error"`
	Canceled int `json:"canceled"`
	// Percentage is their mean progress, 0 to 100; one that has finished counts 100.
	Percentage int `json:"percentage"`
}

// CancelRequest is the request to cancel an activity.
type CancelRequest struct {
	// Seq is the Seq of the line of the request.
	Seq int `json:"seq"`
	// Message is the message of that line, at most its first 500 characters. It and RequestedAt are nil where the line was
	// deleted.
	Message     *string    `json:"message"`
	RequestedAt *time.Time `json:"requested_at"`
	// RequestedBy is the name given with WithRequestedBy, nil where there is none.
	RequestedBy *string `json:"requested_by"`
	// ForceAt is when Sweep ends the activity, if its worker has not ended it before. nil for never.
	ForceAt *time.Time `json:"force_at"`
	// Forced is true if Sweep, or a Cancel with a grace of 0, ended the activity in place of its worker.
	Forced bool `json:"forced"`
}

// Seconds is a duration that is a number of seconds in JSON, null for 0.
type Seconds time.Duration

// Duration returns s as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(time.Duration(s).Seconds())
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	var seconds float64
	err := json.Unmarshal(data, &seconds)
	*s = Seconds(math.Round(seconds * float64(time.Second)))
	return err
}

// ListItem is one activity of a List.
type ListItem struct {
	Activity
	// LatestLog is the message of the last line, at most its first 500 characters.
	LatestLog *string `json:"latest_log"`
	// LatestLogTruncated is true where the message is longer than LatestLog.
	LatestLogTruncated bool `json:"latest_log_truncated"`
}

// Detail is one activity with its lines.
type Detail struct {
	Activity
	// Logs are the lines asked for, in the order of Seq.
	Logs []Log `json:"logs"`
	// NextAfterSeq is the AfterSeq of the next page; nil where no line is left, and always nil from Client.Detail.
	NextAfterSeq *int `json:"next_after_seq,omitempty"`
}

// List is one page of activities.
type List struct {
	Items []ListItem `json:"items"`
	// Total is the number of activities that match, nil on a page reached by ListParams.After.
	Total *int `json:"total"`
	// Page is the page's number from 1, and Pages the number of pages; nil on a page reached by ListParams.After.
	Page     *int `json:"page"`
	PageSize int  `json:"page_size"`
	Pages    *int `json:"pages"`
	// Next is the ListParams.After of the next page, nil at the end. A page of more than 4 MiB ends early. Next then
	// continues after its last item, also on a page that was requested by its number.
	Next *string `json:"next"`
}

// Log is one line of an activity.
type Log struct {
	// ID is unique among all lines and grows with Seq within an activity. To resume after a line, use Seq.
	ID int64 `json:"id"`
	// Seq numbers the lines of an activity from 1 on, without gaps.
	Seq     int    `json:"seq"`
	Message string `json:"message"`
	// Status is the activity's status after this line.
	Status Status `json:"status"`
	// Percentage is the progress this line reports, nil if it reports none.
	Percentage *int      `json:"percentage"`
	CreatedAt  time.Time `json:"created_at"`
	// Data is the JSON that came with the line, nil where there is none (or it is the JSON null).
	Data json.RawMessage `json:"data"`
	// Attempt is the attempt of the activity that the line belongs to, from 1.
	Attempt int `json:"attempt"`
	// CancelRequested tells the worker to end: a cancel was requested. In a line that is read later, it is true if the
	// request came before the line.
	CancelRequested bool `json:"cancel_requested"`
}

// AppendResult is the state of an activity after AppendLogs.
type AppendResult struct {
	AgentID uuid.UUID `json:"agent_id"`
	LastSeq int       `json:"last_seq"`
	Status  Status    `json:"status"`
	Attempt int       `json:"attempt"`
	// CancelRequested tells the worker to end: a cancel was requested.
	CancelRequested bool `json:"cancel_requested"`
}

// HeartbeatResult is the answer to a heartbeat.
type HeartbeatResult struct {
	Status  Status `json:"status"`
	Attempt int    `json:"attempt"`
	// CancelRequested tells the worker to end: a cancel was requested, with this message.
	CancelRequested bool   `json:"cancel_requested"`
	CancelMessage   string `json:"cancel_message"`
}

// Counts are numbers of activities.
type Counts struct {
	// ByStatus has all five statuses.
	ByStatus map[Status]int64
	// Stale is the number of stale activities, which are RUNNING too.
	Stale int64
}

// staleKey is the key of Counts.Stale in the JSON of SQL, beside those of the statuses.
const staleKey = "stale"

// MarshalJSON writes the JSON of SQL: a number per status, and "stale".
func (c Counts) MarshalJSON() ([]byte, error) {
	all := map[string]int64{staleKey: c.Stale}
	for status, n := range c.ByStatus {
		all[string(status)] = n
	}
	return json.Marshal(all)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Counts) UnmarshalJSON(data []byte) error {
	*c = Counts{}
	if err := json.Unmarshal(data, &c.ByStatus); err != nil {
		return err
	}
	c.Stale = c.ByStatus[staleKey]
	delete(c.ByStatus, staleKey)
	return nil
}

// Swept are the numbers of rows that a sweep changed.
type Swept struct {
	// Forced counts cancels whose grace period was over.
	Forced int `json:"forced"`
	// Expired counts questions whose time was over.
	Expired int `json:"expired"`
	// Pruned counts activities and lines that the retention rules deleted.
	Pruned int `json:"pruned"`
}
