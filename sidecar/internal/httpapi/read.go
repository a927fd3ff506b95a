package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

func (rq *request) list() {
	params := client.ListParams{
		Page:           rq.query.positive("page"),
		PageSize:       rq.query.positive("page_size"),
		Statuses:       rq.query.statuses("status"),
		AgentType:      rq.query.text("agent_type"),
		MetadataFilter: rq.query.metadata(),
		After:          rq.query.text("after"),
		Stale:          rq.query.optional("stale"),

		IncludeMetadata: rq.query.boolean("include_metadata"),
	}
	rq.page(func(ctx context.Context, c *client.Client) (json.RawMessage, error) {
		if most := rq.api.PageSize; params.PageSize > most && most < MaxPageSize { // SQL reports its own bound
			rq.api.Note(LimitPageSize)
			return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid,
				fmt.Sprintf("page_size must be between 1 and %d here, got %d; go on with after", most, params.PageSize))
		}
		if params.IncludeMetadata && !access.GrantOf(ctx).IncludeMetadata {
			return nil, access.NotGranted("include_metadata")
		}
		return c.ListJSON(ctx, params)
	})
}

func (rq *request) detail() {
	id := rq.agentID()
	var params client.DetailParams
	if after := rq.query.integer("after_seq"); after != nil {
		params.AfterSeq = *after
	}
	params.LogLimit = rq.query.integer("limit")
	params.IncludeMetadata = rq.query.boolean("include_metadata")
	rq.page(func(ctx context.Context, c *client.Client) (json.RawMessage, error) {
		if params.IncludeMetadata && !access.GrantOf(ctx).IncludeMetadata {
			return nil, access.NotGranted("include_metadata")
		}
		return c.DetailPageJSON(ctx, id, params)
	})
}

type statusCounts struct {
	Queued   int64 `json:"QUEUED"`
	Running  int64 `json:"RUNNING"`
	Complete int64 `json:"COMPLETE"`
	Error    int64 `json:"ERROR"`
	Canceled int64 `json:"CANCELED"`
	Stale    int64 `json:"stale"`
}

type stats struct {
	Counts statusCounts `json:"counts"`
	Active int64        `json:"active"`
}

// stats reads one set of counts, so that active is their sum despite concurrent writes.
func (rq *request) stats() {
	rq.answer(http.StatusOK, func(ctx context.Context, c *client.Client) (any, error) {
		counts, err := c.CountByStatus(ctx, client.CountParams{})
		return stats{
			Counts: statusCounts{
				Queued:   counts.ByStatus[client.StatusQueued],
				Running:  counts.ByStatus[client.StatusRunning],
				Complete: counts.ByStatus[client.StatusComplete],
				Error:    counts.ByStatus[client.StatusError],
				Canceled: counts.ByStatus[client.StatusCanceled],
				Stale:    counts.Stale,
			},
			Active: counts.ByStatus[client.StatusQueued] + counts.ByStatus[client.StatusRunning],
		}, err
	})
}
