package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

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
	// Metadata is the JSON object given to Create; nil unless requested with IncludeMetadata, or where there is none.
	Metadata json.RawMessage `json:"metadata,omitempty"`
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
}

// errDecode means that this package does not fit the functions installed in the database.
var errDecode = errors.New("agentexec: unexpected JSON from Postgres")

// decodeLog, decodeList and decodeDetail read the JSON of the SQL functions.
func decodeLog(data []byte) (Log, error) {
	var l Log
	if err := json.Unmarshal(data, &l); err != nil {
		return Log{}, fmt.Errorf("%w: %w", errDecode, err)
	}
	l.Data = notNull(l.Data)
	return l, nil
}

func decodeList(data []byte) (*List, error) {
	l := new(List)
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	for i := range l.Items {
		l.Items[i].Metadata = notNull(l.Items[i].Metadata)
	}
	return l, nil
}

func decodeDetail(data []byte) (*Detail, error) {
	d := new(Detail)
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
	}
	d.Metadata = notNull(d.Metadata)
	for i := range d.Logs {
		d.Logs[i].Data = notNull(d.Logs[i].Data)
	}
	return d, nil
}

func notNull(data json.RawMessage) json.RawMessage {
	if string(data) == "null" {
		return nil
	}
	return data
}
