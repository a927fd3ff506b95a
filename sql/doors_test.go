package sql_test

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
)

// line is what a caller writes. A nil field is not given.
type line struct {
	agent      uuid.UUID
	message    string
	percentage *int
	status     *string
	data       json.RawMessage
}

// door is one of the ways a line comes in. The rules are the same at each.
type door struct {
	name  string
	write func(ctx context.Context, q querier, l line) error
}

var doors = []door{
	{"append_log", func(ctx context.Context, q querier, l line) error {
		_, err := q.Exec(ctx, "select agentexec.append_log($1, $2, $3, $4, $5)",
			l.agent, l.message, l.percentage, l.status, l.data)
		return err
	}},
	{"append_logs", func(ctx context.Context, q querier, l line) error {
		_, err := q.Exec(ctx, "select agentexec.append_logs($1)", []entry{l.entry()})
		return err
	}},
	{"Insert", func(ctx context.Context, q querier, l line) error {
		// An unknown agent is an unknown activity here.
		_, err := q.Exec(ctx, `insert into agentexec.activity_log (activity_id, message, percentage, status, data)
			values (coalesce((select a.id from agentexec.activity a where a.agent_id = $1), $1), $2, $3, $4, $5)`,
			l.agent, l.message, l.percentage, l.status, l.data)
		return err
	}},
}

// entry is an element of append_logs' argument.
type entry map[string]any

func (l line) entry() entry {
	e := entry{"agent_id": l.agent, "message": l.message}
	if l.percentage != nil {
		e["percentage"] = *l.percentage
	}
	if l.status != nil {
		e["status"] = *l.status
	}
	if l.data != nil {
		e["data"] = l.data
	}
	return e
}
