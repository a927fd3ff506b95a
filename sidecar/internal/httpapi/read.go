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
		Page:           rq.query.Positive("page"),
		PageSize:       rq.query.Positive("page_size"),
		Statuses:       rq.query.Statuses("status"),
		AgentType:      rq.query.Text("agent_type"),
		MetadataFilter: rq.query.Metadata(),
		After:          rq.query.Text("after"),
		Stale:          rq.query.Optional("stale"),
		Sort:           client.Sort(rq.query.Text("sort")),
		Order:          client.Order(rq.query.Text("order")),
		Since:          rq.query.When("since"),
		Until:          rq.query.When("until"),
		IDPrefix:       rq.query.Text("id_prefix"),
		ParentAgentID:  rq.query.AgentID("parent_agent_id"),
		RootAgentID:    rq.query.AgentID("root_agent_id"),
		RootsOnly:      rq.query.Boolean("roots_only"),
		Waiting:        rq.query.Optional("waiting"),
		Stopping:       rq.query.Optional("stopping"),

		IncludeMetadata: rq.query.Boolean("include_metadata"),
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
	if after := rq.query.Integer("after_seq"); after != nil {
		params.AfterSeq = *after
	}
	params.LogLimit = rq.query.Integer("limit")
	params.IncludeMetadata = rq.query.Boolean("include_metadata")
	return rq.page(func(ctx context.Context, c *client.Client) (any, error) {
		if params.IncludeMetadata && !access.GrantOf(ctx).IncludeMetadata {
			return nil, access.NotGranted("include_metadata")
		}
		return c.DetailPageJSON(ctx, rq.agentID, params)
	})
}
