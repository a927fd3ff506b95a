package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

var ticketParam = queryParam("ticket", textSchema("7UZ4QJ3X5TLK2CV6WNOADBRMGY"), "In place of a token, for an EventSource.")

// describeOthers documents what other handlers of the sidecar serve.
func (a *api) describeOthers() {
	for _, op := range []*huma.Operation{
		{
			OperationID: "open-feed",
			Path:        "/v1/feed",
			Tags:        []string{tagFeed},
			Summary:     "Follow many activities and lists on one WebSocket",
			Description: "Subprotocol `agentexec.v1`: JSON text frames, one message a frame. The server greets with " +
				"`{\"type\":\"welcome\",\"protocol\":\"agentexec.v1\"}`; then subscribe with `{\"type\":\"subscribe\",\"sub\":\"a\",\"agent_id\":\"...\",\"after_seq\":0}` " +
				"or `{\"type\":\"subscribe\",\"sub\":\"b\",\"list\":{\"statuses\":[\"RUNNING\"]}}`. Lines come in the order of `seq`, without a gap, none twice. " +
				"A browser's WebSocket carries the token as a second subprotocol, `bearer.<token>`; `{\"type\":\"auth\",\"token\":\"...\"}` renews it, and " +
				"its expiry closes the socket with 4401.",
			Security:   needsToken,
			Parameters: []*huma.Param{ticketParam},
			Responses:  addProblems(map[string]*huma.Response{"101": {Description: "The WebSocket is open."}}, 401, 403, 426, 429, 503),
		},
		{
			OperationID: "follow-activity",
			Path:        "/v1/feed/{agent_id}",
			Tags:        []string{tagFeed},
			Summary:     "Follow one activity",
			Description: "The frames of one subscription, without `sub`: as a WebSocket, which closes with 1000 at the end of the activity, or as " +
				"Server-Sent Events with `Accept: text/event-stream`, where `event` is the type, `data` the same JSON and `id` the last seq in it.",
			Security: needsToken,
			Parameters: []*huma.Param{
				ticketParam,
				{Name: "agent_id", In: "path", Required: true, Description: "The activity.", Schema: agentID{}.Schema(a.registry())},
				queryParam("after_seq", integerSchema(0), "Leave out the lines up to this seq. Default 0."),
				{Name: "Last-Event-ID", In: "header", Description: "In place of after_seq, when an EventSource comes back.", Schema: integerSchema(7)},
			},
			Responses: addProblems(map[string]*huma.Response{
				"101": {Description: "The WebSocket is open."},
				"200": {Description: "The events.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}},
			}, 401, 403, 404, 422, 426, 429, 503),
		},
		{
			OperationID: "get-health",
			Path:        "/healthz",
			Tags:        []string{tagService},
			Summary:     "Is the sidecar alive?",
			Responses:   map[string]*huma.Response{"200": jsonObject("It is.")},
		},
		{
			OperationID: "get-readiness",
			Path:        "/readyz",
			Tags:        []string{tagService},
			Summary:     "Can the sidecar serve requests?",
			Description: "`tail` and `listen` are the live feed's; `parts` says of `reads`, `writes` and `memory` whether the next request would get what it " +
				"needs; `problems` says in words why the sidecar is not ready; `wakeup_lock_held_by` is a foreign session that holds the wake-up lock.",
			Responses: map[string]*huma.Response{
				"200": jsonObject("It can."),
				"503": jsonObject("It cannot: it is starting or stopping, the database cannot be reached, or requests or the feed are not served."),
			},
		},
		{
			OperationID: "get-metrics",
			Path:        "/metrics",
			Tags:        []string{tagService},
			Summary:     "Metrics for Prometheus",
			Description: "They tell of all activities, so the token must grant `read` and narrow nothing.",
			Security:    needsToken,
			Responses: addProblems(map[string]*huma.Response{
				"200": {Description: "The metrics.", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}},
			}, 401, 403, 503),
		},
		{
			OperationID: "get-openapi",
			Path:        "/openapi.json",
			Tags:        []string{tagService},
			Summary:     "This document",
			Responses:   map[string]*huma.Response{"200": jsonObject("The document.")},
		},
	} {
		op.Method = http.MethodGet
		a.huma.OpenAPI().AddOperation(op)
	}
}

func jsonObject(description string) *huma.Response {
	return &huma.Response{
		Description: description,
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}},
	}
}
