package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

func (rq *request) list() action {
	params := client.ListParams{
		Page:           rq.query.positive("page"),
		PageSize:       rq.query.positive("page_size"),
		Statuses:       rq.query.statuses("status"),
		AgentType:      rq.query.text("agent_type"),
		MetadataFilter: rq.query.metadata(),
		After:          rq.query.text("after"),
		Stale:          rq.query.optional("stale"),
		Sort:           client.Sort(rq.query.text("sort")),
		Order:          client.Order(rq.query.text("order")),
		Since:          rq.query.when("since"),
		Until:          rq.query.when("until"),
		IDPrefix:       rq.query.text("id_prefix"),
		ParentAgentID:  rq.query.agentID("parent_agent_id"),
		RootAgentID:    rq.query.agentID("root_agent_id"),
		RootsOnly:      rq.query.boolean("roots_only"),
		Waiting:        rq.query.optional("waiting"),
		Stopping:       rq.query.optional("stopping"),

		IncludeMetadata: rq.query.boolean("include_metadata"),
	}
	return rq.page(func(ctx context.Context, c *client.Client) (any, error) {
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

func (rq *request) detail() action {
	var params client.DetailParams
	if after := rq.query.integer("after_seq"); after != nil {
		params.AfterSeq = *after
	}
	params.LogLimit = rq.query.integer("limit")
	params.IncludeMetadata = rq.query.boolean("include_metadata")
	return rq.page(func(ctx context.Context, c *client.Client) (any, error) {
		if params.IncludeMetadata && !access.GrantOf(ctx).IncludeMetadata {
			return nil, access.NotGranted("include_metadata")
		}
		return c.DetailPageJSON(ctx, rq.agentID, params)
	})
}
