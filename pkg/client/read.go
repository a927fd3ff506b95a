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
	l := new(List)
	if err := decode(data, l); err != nil {
		return nil, err
	}
	for i := range l.Items {
		l.Items[i].Metadata = notNull(l.Items[i].Metadata)
	}
	return l, nil
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
	if err := decode(data, &counts); err != nil {
		return Counts{}, err
	}
	return counts, nil
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

// FindID returns the agent_id that begins with a prefix of at least 4 hexadecimal digits, in upper or lower case; hyphens are left out.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Returns ErrNotFound when no activity has such an agent_id,
// and ErrInvalid when several have, or the prefix is not 4 to 32 hexadecimal digits.
func (c *Client) FindID(ctx context.Context, prefix string) (uuid.UUID, error) {
	if prefix == "" {
		return uuid.Nil, invalid("id_prefix must be 4 to 32 hexadecimal digits, got none")
	}
	list, err := c.List(ctx, ListParams{IDPrefix: prefix, PageSize: 1})
	switch {
	case err != nil:
		return uuid.Nil, err
	case *list.Total == 0:
		return uuid.Nil, &DBError{Code: "TA404", Message: fmt.Sprintf("no activity has an agent_id that begins with %s", prefix)}
	case *list.Total > 1:
		return uuid.Nil, invalid(fmt.Sprintf("%d activities have an agent_id that begins with %s; give more of it", *list.Total, prefix))
	}
	return list.Items[0].AgentID, nil
}

// decode stores the JSON of a SQL function in the value that into points to.
func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", errDecode, err)
	}
	return nil
}

func decodeDetail(data []byte) (*Detail, error) {
	d := new(Detail)
	if err := decode(data, d); err != nil {
		return nil, err
	}
	d.Metadata = notNull(d.Metadata)
	for i := range d.Logs {
		d.Logs[i].Data = notNull(d.Logs[i].Data)
	}
	return d, nil
}

// notNull returns nil for the JSON null.
func notNull(data json.RawMessage) json.RawMessage {
	if string(data) == "null" {
		return nil
	}
	return data
}
