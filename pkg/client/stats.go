package client

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// StatsParams choose the range of Stats. The zero value is the last hour in minutes.
type StatsParams struct {
	// Since is the beginning of the range, at most 366 days ago. Default an hour ago.
	Since When
	// Bucket is the length of a bucket, from 1 s; a range has at most 1500 buckets. Default 1 minute.
	Bucket time.Duration
}

// Stats returns what happened since a time: what started and ended in each bucket, how long the runs of each type take, and the
// newest failures; and the counts of now.
//
// Nothing is a sample, so the cost grows with what ended in the range. Inside a transaction (see WithTx) it sees the
// transaction's writes. Returns ErrInvalid when Since is not in the past or more than 366 days ago, Bucket is below 1 s, or the
// range has more than 1500 buckets.
func (c *Client) Stats(ctx context.Context, params StatsParams) (*Stats, error) {
	data, err := c.StatsJSON(ctx, params)
	if err != nil {
		return nil, err
	}
	s := new(Stats)
	if err := decode(data, s); err != nil {
		return nil, err
	}
	return s, nil
}

// StatsJSON returns the result of Stats as the JSON from Postgres.
//
// Transactions and errors are as with Stats.
func (c *Client) StatsJSON(ctx context.Context, params StatsParams) (json.RawMessage, error) {
	q := c.call("stats").When("since", params.Since.Time(), params.Since.Before()).Interval("bucket", params.Bucket)
	var stats json.RawMessage
	err := c.row(ctx, q, "r", &stats)
	return stats, err
}

// Stats is what happened in a range. All times are UTC.
type Stats struct {
	// Since is the beginning of the range: the one asked for, rounded down to a multiple of Bucket since 1970. Until is its end: the
	// time of the call.
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Bucket Seconds   `json:"bucket"`
	// Counts are the activities of now, and Active the QUEUED and RUNNING ones.
	Counts Counts `json:"counts"`
	Active int64  `json:"active"`
	// Stopping counts RUNNING activities whose cancel was requested.
	Stopping int64 `json:"stopping"`
	// OldestQueuedAt is the CreatedAt of the activity that is QUEUED longest, nil where none is.
	OldestQueuedAt *time.Time `json:"oldest_queued_at"`
	// OldestStaleAt is the LastSeenAt of the stale activity that is silent longest, nil where none is.
	OldestStaleAt *time.Time `json:"oldest_stale_at"`
	// Ended counts what ended in the range.
	Ended StatsEnded `json:"ended"`
	// Series has a bucket for each part of the range, oldest first.
	Series []StatsBucket `json:"series"`
	// Types are the 50 types with the most runs, those first.
	Types []StatsType `json:"types"`
	// Failures are the newest 20, newest first; of each type each message once. Their counts are among the newest 5,000 failures
	// of the range; FailuresCounted says of how many.
	Failures        []StatsFailure `json:"failures"`
	FailuresCounted int64          `json:"failures_counted"`
}

// StatsEnded counts activities by how they ended.
type StatsEnded struct {
	Complete int64 `json:"complete"`
	Error    int64 `json:"error"`
	Canceled int64 `json:"canceled"`
}

// StatsBucket is one part of the range of Stats.
type StatsBucket struct {
	// At is its beginning.
	At time.Time `json:"at"`
	// Started counts activities that became RUNNING for the first time.
	Started int64 `json:"started"`
	StatsEnded
}

// StatsType is what Stats says of one type.
type StatsType struct {
	AgentType string `json:"agent_type"`
	// Running counts the RUNNING activities of now.
	Running int64 `json:"running"`
	// Ended counts what ended in the range, COMPLETE, ERROR and CANCELED together.
	Ended    int64 `json:"ended"`
	Error    int64 `json:"error"`
	Canceled int64 `json:"canceled"`
	// P50 and P95 are the median and the 95th percentile of FinishedAt - StartedAt of the COMPLETE runs, nil where there is none.
	P50 *Seconds `json:"p50"`
	P95 *Seconds `json:"p95"`
	// Series counts what ended in each twentieth of the range, oldest first.
	Series []int64 `json:"series"`
}

// StatsFailure is one message with which activities of a type failed.
type StatsFailure struct {
	// Message is its first line, at most 200 characters.
	Message   string `json:"message"`
	AgentType string `json:"agent_type"`
	Count     int64  `json:"count"`
	// LastAt is the FinishedAt of the last such activity, and AgentID its agent_id.
	LastAt  time.Time `json:"last_at"`
	AgentID uuid.UUID `json:"agent_id"`
}
