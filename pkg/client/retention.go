package client

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// RetentionRule says for how long finished activities are kept. The most specific rule counts: type and status, type, status, the
// default.
type RetentionRule struct {
	// AgentType is the task name that the rule is for, "" for any.
	AgentType string `json:"agent_type,omitempty"`
	// Status is the final status that the rule is for, "" for any.
	Status Status `json:"status,omitempty"`
	// Keep is the time after the end, 1 second to 100 years. A month in Postgres counts as 30 days.
	Keep Seconds `json:"keep"`
}

// SetRetention sets a rule; Keep 0 removes it. Sweep deletes what the rules say. Without a rule nothing is ever deleted.
//
// Returns ErrInvalid when Keep or AgentType is out of its bounds, or Status does not end an activity.
func (c *Client) SetRetention(ctx context.Context, rule RetentionRule) error {
	q := c.call("set_retention")
	if rule.Keep == 0 {
		q.Null("keep", "pg_catalog.interval")
	} else {
		q.Interval("keep", rule.Keep.Duration())
	}
	q.Text("agent_type", rule.AgentType)
	if rule.Status != "" {
		q.Arg("status", c.schema+".status", string(rule.Status))
	}
	var nothing any
	return c.row(ctx, q, "r::pg_catalog.text", &nothing)
}

// Retention returns the rules, the most specific first. It needs the right to read the table retention.
func (c *Client) Retention(ctx context.Context) ([]RetentionRule, error) {
	rows, err := c.db.Query(ctx, `select coalesce(r.agent_type, ''), coalesce(r.status::pg_catalog.text, ''), extract(epoch from r.keep)::pg_catalog.float8
		from `+c.schema+`.retention r order by r.agent_type is null, r.status is null, r.agent_type, r.status`)
	if err != nil {
		return nil, dbError("retention", err)
	}
	rules, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r RetentionRule, err error) {
		var seconds float64
		err = row.Scan(&r.AgentType, &r.Status, &seconds)
		r.Keep = Seconds(seconds * float64(time.Second))
		return r, err
	})
	return rules, dbError("retention", err)
}

// PruneParams select what Prune deletes: finished activities, by the root of their tree.
type PruneParams struct {
	// FinishedBefore is required: only what finished before this time is deleted.
	FinishedBefore time.Time
	// AgentType and Statuses are those of the root of the tree. Default all.
	AgentType string
	Statuses  []Status
	// MaxRows bounds the activities and the lines of one call, 1 to 100,000. Default 1,000.
	MaxRows int
	// DryRun deletes nothing, and counts what all calls would delete.
	DryRun bool
}

// Pruned counts what was deleted.
type Pruned struct {
	Activities int `json:"activities"`
	Lines      int `json:"lines"`
}

// Prune deletes finished activities with their lines, the oldest first, at most MaxRows of each. Call it again until both numbers
// are 0. A tree goes as a whole, when all of it finished before the time. A long log goes in several calls; its watchers get a gap.
//
// Returns ErrInvalid when a bound does not hold.
func (c *Client) Prune(ctx context.Context, params PruneParams) (Pruned, error) {
	q := c.call("prune")
	if params.FinishedBefore.IsZero() {
		q.Null("finished_before", "pg_catalog.timestamptz")
	} else {
		q.Arg("finished_before", "pg_catalog.timestamptz", params.FinishedBefore.Format(time.RFC3339Nano))
	}
	q.Text("agent_type", params.AgentType).Statuses("statuses", names(params.Statuses)).Int("max_rows", params.MaxRows).
		Bool("dry_run", params.DryRun)
	var pruned Pruned
	err := c.row(ctx, q, "r", &pruned)
	return pruned, err
}
