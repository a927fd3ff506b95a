package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// List returns one page of activities: RUNNING first, then QUEUED, then finished, in each the newest first unless Sort and Order
// say otherwise, ties by agent_id in the same order.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Returns ErrInvalid when Page is below 1, PageSize is
// not 1 to 1000, a status, Sort or Order is unknown, IDPrefix is not 4 to 32 hexadecimal digits, or After is not the Next of an
// earlier page with the same Sort.
func (c *Client) List(ctx context.Context, params ListParams) (*List, error) {
	data, err := c.ListJSON(ctx, params)
	if err != nil {
		return nil, err
	}
	return decodeList(data)
}

// ListJSON returns the page of List as the JSON from Postgres.
//
// Transactions and errors are as with List.
func (c *Client) ListJSON(ctx context.Context, params ListParams) (json.RawMessage, error) {
	q := c.call("list_activities").Int("page", params.Page).Int("page_size", params.PageSize)
	q.Statuses("statuses", names(params.Statuses)).Text("agent_type", params.AgentType).Filter(alternatives(params.MetadataFilter)).
		Text("after", params.After).Bool("include_metadata", params.IncludeMetadata).BoolPtr("stale", params.Stale).
		Text("sort", string(params.Sort)).Text(`"order"`, string(params.Order)).When("since", params.Since.Time(), params.Since.Before()).When("until", params.Until.Time(), params.Until.Before()).
		Text("id_prefix", params.IDPrefix).UUID("parent_agent_id", params.ParentAgentID).UUID("root_agent_id", params.RootAgentID).
		Bool("roots_only", params.RootsOnly).BoolPtr("waiting", params.Waiting).BoolPtr("stopping", params.Stopping)
	var list json.RawMessage
	err := c.row(ctx, q, "r", &list)
	return list, err
}

// Detail returns one activity with its lines.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Returns ErrNotFound when there is no such activity or
// the metadata does not match, and ErrInvalid when AfterSeq or LogLimit is negative.
func (c *Client) Detail(ctx context.Context, agentID uuid.UUID, params DetailParams) (*Detail, error) {
	data, err := c.DetailJSON(ctx, agentID, params)
	if err != nil {
		return nil, err
	}
	return decodeDetail(data)
}

// DetailJSON returns the result of Detail as the JSON from Postgres.
//
// Transactions and errors are as with Detail.
func (c *Client) DetailJSON(ctx context.Context, agentID uuid.UUID, params DetailParams) (json.RawMessage, error) {
	return c.detailJSON(ctx, "activity_detail", agentID, params)
}

// DetailPage returns one activity with its next lines: at most 1,000 lines or 4 MiB of them, and at least one where there
// is one. NextAfterSeq is set while lines are left.
//
// Transactions and errors are as with Detail.
func (c *Client) DetailPage(ctx context.Context, agentID uuid.UUID, params DetailParams) (*Detail, error) {
	data, err := c.DetailPageJSON(ctx, agentID, params)
	if err != nil {
		return nil, err
	}
	return decodeDetail(data)
}

// DetailPageJSON returns the result of DetailPage as the JSON from Postgres; next_after_seq is a number or null.
//
// Transactions and errors are as with Detail.
func (c *Client) DetailPageJSON(ctx context.Context, agentID uuid.UUID, params DetailParams) (json.RawMessage, error) {
	return c.detailJSON(ctx, "_detail_page", agentID, params)
}

func (c *Client) detailJSON(ctx context.Context, function string, agentID uuid.UUID, params DetailParams) (json.RawMessage, error) {
	q := c.call(function).UUIDPtr("agent_id", &agentID).
		Filter(alternatives(params.MetadataFilter)).Int("after_seq", params.AfterSeq).
		IntPtr("log_limit", params.LogLimit).Bool("include_metadata", params.IncludeMetadata)
	var detail json.RawMessage
	if err := c.row(ctx, q, "r", &detail); err != nil {
		return nil, err
	}
	if detail == nil {
		return nil, &DBError{Code: "TA404", Message: fmt.Sprintf("no activity with agent_id %s", agentID)}
	}
	return detail, nil
}

// CountActive returns the number of QUEUED and RUNNING activities whose metadata has an equal value for every key of
// metadataFilter; nil counts all.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Returns ErrInvalid when metadataFilter cannot be
// written as JSON.
func (c *Client) CountActive(ctx context.Context, metadataFilter map[string]any) (int64, error) {
	var n int64
	err := c.row(ctx, c.call("count_active").Filter(alternatives(metadataFilter)), "r", &n)
	return n, err
}

// CountByStatus returns the number of activities with each status, and the number of stale ones.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Returns ErrInvalid when MetadataFilter cannot be
// written as JSON.
func (c *Client) CountByStatus(ctx context.Context, params CountParams) (Counts, error) {
	q := c.call("count_by_status").Text("agent_type", params.AgentType).Filter(alternatives(params.MetadataFilter)).
		When("since", params.Since.Time(), params.Since.Before()).When("until", params.Until.Time(), params.Until.Before()).
		UUID("parent_agent_id", params.ParentAgentID).UUID("root_agent_id", params.RootAgentID).
		Bool("roots_only", params.RootsOnly).BoolPtr("waiting", params.Waiting).BoolPtr("stopping", params.Stopping)
	var data []byte
	if err := c.row(ctx, q, "r", &data); err != nil {
		return Counts{}, err
	}
	var counts Counts
	if err := json.Unmarshal(data, &counts); err != nil {
		return Counts{}, fmt.Errorf("%w: %w", errDecode, err)
	}
	return counts, nil
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
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%w: %w", errDecode, err)
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

// PendingIDs returns the agent_ids of the QUEUED and RUNNING activities, oldest first.
//
// Inside a transaction (see WithTx) it sees the transaction's writes.
func (c *Client) PendingIDs(ctx context.Context) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := c.rows(ctx, c.call("pending_ids"), "r", func(rows pgx.Rows) (err error) {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	return ids, err
}
