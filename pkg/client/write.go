package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/pkg/client/internal/sqlcall"
)

// Create registers an activity and writes its line 1, QUEUED at 0 percent with the message; an empty message is
// "Agent queued". It returns the agent_id: the one of WithAgentID, or else a new random one.
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns ErrExists
// when the agent_id is taken, and ErrInvalid when taskName is not of 1 to 255 characters or message is over 1 MiB.
func (c *Client) Create(ctx context.Context, taskName, message string, opts ...CreateOption) (uuid.UUID, error) {
	var o createOptions
	for _, opt := range opts {
		opt(&o)
	}
	q := c.call("create_activity").Arg("task_name", "pg_catalog.text", taskName).Text("message", message).
		UUIDPtr("agent_id", o.agentID).UUIDPtr("parent_agent_id", o.parent).Object("metadata", o.metadata)
	var id uuid.UUID
	if err := c.row(ctx, q, "r", &id); err != nil {
		return uuid.Nil, err
	}
	return id, nil
}

// Update appends one line to the activity's log and returns it, with the activity's current status: a worker learns from it
// that it was canceled. Without WithStatus the status stays; without WithPercentage the progress stays.
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns ErrNotFound when
// there is no such activity, ErrFinished when the current status does not allow the one of WithStatus, and ErrInvalid when
// message is over 1 MiB or the percentage is not 0 to 100.
func (c *Client) Update(ctx context.Context, agentID uuid.UUID, message string, opts ...UpdateOption) (Log, error) {
	q := c.line("append_log", agentID).Arg("message", "pg_catalog.text", message)
	o := applyUpdate(opts)
	if o.status != nil {
		q.Arg("status", c.schema+".status", string(*o.status))
	}
	return c.write(ctx, q, o)
}

// Complete appends the line that ends the activity with success: COMPLETE, at 100 percent unless WithPercentage sets another.
// An empty message is "Agent completed".
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns ErrNotFound
// when there is no such activity, ErrFinished when it has ended otherwise, and ErrInvalid when message is over 1 MiB,
// the percentage is not 0 to 100, or there is a WithStatus.
func (c *Client) Complete(ctx context.Context, agentID uuid.UUID, message string, opts ...UpdateOption) (Log, error) {
	q := c.line("complete", agentID).Text("message", message)
	o := applyUpdate(opts)
	q.Refuse(o.status != nil, "WithStatus").Refuse(o.atSeq != nil, "WithAtSeq")
	return c.write(ctx, q, o)
}

// Error appends the line that ends the activity, or this attempt, with a failure: ERROR. A later Update with RUNNING or
// QUEUED is a retry. An empty message is "Agent failed".
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns ErrNotFound
// when there is no such activity, ErrFinished when it is COMPLETE or CANCELED, and ErrInvalid when message is over
// 1 MiB, or there is a WithStatus or WithPercentage (the progress stays where it was).
func (c *Client) Error(ctx context.Context, agentID uuid.UUID, message string, opts ...UpdateOption) (Log, error) {
	q := c.line("error", agentID).Text("message", message)
	o := applyUpdate(opts)
	q.Refuse(o.status != nil, "WithStatus").Refuse(o.percentage != nil, "WithPercentage").Refuse(o.atSeq != nil, "WithAtSeq")
	return c.write(ctx, q, o)
}

// Cancel cancels the activity, or requests that its worker ends it, and returns the line of that. An empty message is
// "Cancel requested".
//
// A QUEUED or ERROR activity becomes CANCELED at once. A RUNNING one stays RUNNING: its worker learns of the request from its
// next line or heartbeat (in [Client.Run], at once), and ends the activity. If the worker does not end it within the grace
// period, Sweep ends it as CANCELED. A repeated request writes no second line, and the shorter grace period counts.
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns ErrNotFound when
// there is no such activity, ErrFinished when it is COMPLETE, and ErrInvalid when message is over 1 MiB or an option is out of
// its bounds.
func (c *Client) Cancel(ctx context.Context, agentID uuid.UUID, message string, opts ...CancelOption) (Log, error) {
	var o cancelOptions
	for _, opt := range opts {
		opt(&o)
	}
	q := c.line("cancel", agentID).Text("message", message).Text("requested_by", o.requestedBy).Bool("tree", o.tree)
	if o.never {
		q.Null("grace", "pg_catalog.interval")
	}
	q.IntervalPtr("grace", o.grace)
	return c.write(ctx, q, updateOptions{})
}

// Heartbeat records that the worker of the activity is alive, and returns whether the worker is to end. expectEvery, 1 s to
// 1 day, is the promise of the worker: it sends a heartbeat or a line at least that often. Otherwise the activity is stale:
// readers see that, and nothing else changes. 0 keeps the earlier promise, or makes one of 60 s. The promise ends with the run.
//
// It writes no line and waits for no lock of the activity. It does not change a finished activity. Returns ErrNotFound when
// there is no such activity, and ErrInvalid when expectEvery is out of its bounds.
func (c *Client) Heartbeat(ctx context.Context, agentID uuid.UUID, expectEvery time.Duration) (HeartbeatResult, error) {
	q := c.line("heartbeat", agentID).Interval("expect_every", expectEvery)
	var result HeartbeatResult
	err := c.row(ctx, q, "pg_catalog.to_jsonb(r)", &result)
	return result, err
}

// Sweep ends the activities whose cancel was requested and whose grace period is over. It changes at most maxRows rows of each
// kind, 1 to 100,000; 0 is 1,000. Every sidecar sweeps about once a second. While another sweep runs, it does nothing. Returns
// ErrInvalid when maxRows is out of its bounds.
func (c *Client) Sweep(ctx context.Context, maxRows int) (Swept, error) {
	var swept Swept
	err := c.row(ctx, c.call("sweep").Int("max_rows", maxRows), "r", &swept)
	return swept, err
}

// CancelPending cancels every QUEUED or RUNNING activity that matches, in one statement, and returns their number. The zero
// params match all of them, also those of other programs. It skips activities that another transaction keeps locked for
// longer than 1 s in all; CancelPendingCounts returns their number.
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns ErrInvalid
// when Message is over 1 MiB or IdleFor is negative.
func (c *Client) CancelPending(ctx context.Context, params CancelPendingParams) (int, error) {
	counts, err := c.CancelPendingCounts(ctx, params)
	return counts.Canceled, err
}

// CancelPendingCounts is CancelPending, and also counts the matching activities that were skipped: another transaction kept
// them locked for longer than 1 s, or their log has reached the highest seq. Its errors are those of CancelPending.
func (c *Client) CancelPendingCounts(ctx context.Context, params CancelPendingParams) (CancelPendingCounts, error) {
	q := c.call("cancel_pending").Text("agent_type", params.AgentType).Filter(alternatives(params.MetadataFilter)).
		Interval("idle_for", params.IdleFor).Text("message", params.Message)
	var counts CancelPendingCounts
	err := c.row(ctx, q,
		"pg_catalog.jsonb_build_object('canceled', r, 'skipped', pg_catalog.current_setting('agentexec.skipped')::pg_catalog.int4)", &counts)
	return counts, err
}

// AppendLogs appends many lines, of any activities, in the order given: all of them or none. It returns the state of each
// activity after them, in the order of first appearance. For more than a handful of lines it is many times faster than one
// Update each. An entry with AtSeq that is stored already is left out, so a call whose answer was lost can be repeated.
//
// Inside a transaction (see WithTx) nothing is visible, and no watcher is told, until it commits. Returns the error that
// Update would return for one of the entries, and the message names that entry: entries[0] is the first.
func (c *Client) AppendLogs(ctx context.Context, entries []Entry) ([]AppendResult, error) {
	for i := range entries {
		if !utf8.ValidString(entries[i].Message) { // JSON would replace the invalid bytes
			return nil, &DBError{Code: "22021", Message: fmt.Sprintf("entries[%d].message is not valid UTF-8", i)}
		}
	}
	if entries == nil {
		entries = []Entry{}
	}
	var results []AppendResult
	err := c.rows(ctx, c.call("append_logs").JSON("entries", entries), "pg_catalog.to_jsonb(r)", func(rows pgx.Rows) (err error) {
		results, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r AppendResult, err error) { return r, row.Scan(&r) })
		return err
	})
	return results, err
}

func (c *Client) line(fn string, agentID uuid.UUID) *sqlcall.Call {
	return c.call(fn).UUIDPtr("agent_id", &agentID)
}

// write runs a function that returns the line it wrote.
func (c *Client) write(ctx context.Context, q *sqlcall.Call, o updateOptions) (Log, error) {
	if o.percentage != nil {
		q.Arg("percentage", "pg_catalog.float8", strconv.FormatFloat(*o.percentage, 'g', -1, 64))
	}
	if o.data != nil {
		q.JSON("data", o.data)
	}
	q.IntPtr("at_seq", o.atSeq)
	var data json.RawMessage
	if err := c.row(ctx, q, c.schema+"._log_json(r)", &data); err != nil {
		return Log{}, err
	}
	var line Log
	if err := decode(data, &line); err != nil {
		return Log{}, err
	}
	line.Data = notNull(line.Data)
	return line, nil
}
