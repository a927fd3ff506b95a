package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// rawJSON is an answer that Postgres wrote.
type rawJSON struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

func raw(data json.RawMessage, err error) (*rawJSON, error) {
	return &rawJSON{ContentType: "application/json", Body: data}, err
}

type listInput struct {
	params client.ListParams
}

// Resolve implements huma.Resolver: it reads the query.
func (in *listInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	in.params = client.ListParams{
		Page:           q.positive("page"),
		PageSize:       q.positive("page_size"),
		Statuses:       q.statuses("status"),
		AgentType:      q.text("agent_type"),
		MetadataFilter: q.metadata(),
		After:          q.text("after"),

		IncludeMetadata: q.boolean("include_metadata"),
	}
	return q.done()
}

func (a *api) list(ctx context.Context, in *listInput) (*rawJSON, error) {
	if most := a.PageSize; in.params.PageSize > most && most < MaxPageSize { // SQL's own bound is SQL's to tell
		a.Note(LimitPageSize)
		return nil, problem.New(http.StatusUnprocessableEntity, problem.CodeInvalid,
			fmt.Sprintf("page_size must be between 1 and %d here, got %d; go on with after", most, in.params.PageSize))
	}
	if in.params.IncludeMetadata && !access.GrantOf(ctx).IncludeMetadata {
		return nil, access.NotGranted("include_metadata")
	}
	return raw(scoped(ctx, a.reads).ListJSON(ctx, in.params))
}

type detailInput struct {
	AgentID agentID `path:"agent_id" doc:"The activity."`
	params  client.DetailParams
}

// Resolve implements huma.Resolver: it reads the query.
func (in *detailInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	if after := q.integer("after_seq"); after != nil {
		in.params.AfterSeq = *after
	}
	in.params.LogLimit = q.integer("limit")
	in.params.IncludeMetadata = q.boolean("include_metadata")
	return q.done()
}

func (a *api) detail(ctx context.Context, in *detailInput) (*rawJSON, error) {
	if in.params.IncludeMetadata && !access.GrantOf(ctx).IncludeMetadata {
		return nil, access.NotGranted("include_metadata")
	}
	return raw(scoped(ctx, a.reads).DetailPageJSON(ctx, uuid.UUID(in.AgentID), in.params))
}

type statsOutput struct{ Body stats }

// stats reads one set of counts, so that active is their sum whatever is written meanwhile.
func (a *api) stats(ctx context.Context, _ *struct{}) (*statsOutput, error) {
	counts, err := scoped(ctx, a.reads).CountByStatus(ctx, client.CountParams{})
	if err != nil {
		return nil, err
	}
	return &statsOutput{Body: stats{
		Counts: statusCounts{
			Queued:   counts[client.StatusQueued],
			Running:  counts[client.StatusRunning],
			Complete: counts[client.StatusComplete],
			Error:    counts[client.StatusError],
			Canceled: counts[client.StatusCanceled],
		},
		Active: counts[client.StatusQueued] + counts[client.StatusRunning],
	}}, nil
}

var includeMetadata = queryParam("include_metadata", &huma.Schema{Type: huma.TypeBoolean, Examples: []any{true}},
	"Add `metadata`: an object, or null. Where authentication is on, the token must grant it. Default false.")

func (a *api) registerReads() {
	register(a, access.VerbRead, huma.Operation{
		OperationID: "list-activities",
		Method:      http.MethodGet,
		Path:        "/v1/activities",
		Tags:        []string{tagActivities},
		Summary:     "List activities",
		Description: "One page of activities, by number or by key. Numbered pages come with a total; `after` costs the same at any depth. " +
			"A page holds at most 4 MiB: it then ends early, and `next` goes on.",
		Parameters: []*huma.Param{
			queryParam("page", integerSchema(1), "The number of the page, from 1 on. Default 1. Ignored with `after`."),
			queryParam("page_size", integerSchema(50), "The most items on a page, 1 to 1000. Default 50."),
			queryParam("status", statusListSchema(a.registry()), "Only activities with one of these statuses, in upper or lower case: separated by commas, or the parameter given several times."),
			queryParam("agent_type", textSchema("research"), "Only activities with this task name."),
			queryParam("metadata.KEY", textSchema("42"), "Only activities whose metadata has this value for KEY, which is any key, "+
				"as in `metadata.org=42`; with several keys, all must match. `42` is the number 42 or the string; `true`, `false` and `null` are "+
				"JSON; in double quotes it is always the string between them; any other text is a string. At most four values may be numbers."),
			queryParam("after", textSchema("2.1772357400123456~"+exampleID), "The `next` of an earlier page. `total`, `page` and `pages` are then null."),
			includeMetadata,
		},
		Responses: jsonResponse(http.StatusOK, "The page.", schemaOf[activityList](a.registry())),
		Errors:    []int{422},
	}, a.list)

	register(a, access.VerbRead, huma.Operation{
		OperationID: "get-activity",
		Method:      http.MethodGet,
		Path:        "/v1/activities/{agent_id}",
		Tags:        []string{tagActivities},
		Summary:     "Get one activity with its lines",
		Description: "Answers at most 1,000 lines or 4 MiB of them, and at least one. While lines are left, `next_after_seq` is the `after_seq` to go on with. " +
			"To follow an activity without a socket, ask again with `after_seq` set to the last `seq` seen: lines are never missed and never repeated.",
		Parameters: []*huma.Param{
			queryParam("after_seq", integerSchema(0), "Leave out the lines up to this seq. Default 0."),
			queryParam("limit", integerSchema(100), "The most lines to return, 0 for none, at most 1000. Default: 1000."),
			includeMetadata,
		},
		Responses: jsonResponse(http.StatusOK, "The activity.", schemaOf[activityDetail](a.registry())),
		Errors:    []int{404, 422},
	}, a.detail)

	register(a, access.VerbRead, huma.Operation{
		OperationID: "get-stats",
		Method:      http.MethodGet,
		Path:        "/v1/stats",
		Tags:        []string{tagActivities},
		Summary:     "Count activities by status",
		Responses:   jsonResponse(http.StatusOK, "The counts.", nil),
		Errors:      []int{422},
	}, a.stats)
}
