package httpapi

import (
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

const (
	tagActivities = "activities"
	tagFeed       = "feed"
	tagService    = "service"

	responsePrefix = "#/components/responses/"
)

// openAPIConfig is huma without what it adds by default: pages that load scripts from elsewhere, links to schemas in
// every answer, and documents in other formats.
func openAPIConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "agentexec",
				Version: "1.0.0",
				Description: "Tracks long-running work in Postgres and shows it live.\n\n" +
					"An activity is one run of an agent or job. It is created QUEUED, appends lines while it runs, and ends COMPLETE, ERROR " +
					"or CANCELED. Its lines are numbered by `seq` from 1 on without gaps; a client that remembers the last `seq` can always go " +
					"on from there.\n\n" +
					"Times are UTC. In requests, unknown fields and parameters are refused, and null counts as not given. " +
					"Errors are problem documents (RFC 9457) with a `code`.",
				License: &huma.License{Name: "MIT", Identifier: "MIT"},
			},
			Tags: []*huma.Tag{
				{Name: tagActivities, Description: "Write and read activities."},
				{Name: tagFeed, Description: "Follow activities live."},
				{Name: tagService, Description: "The sidecar itself."},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					tokenScheme: {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "Where authentication is on. The claim " +
						"`agentexec` grants: `{\"read\": true, \"write\": false, \"cancel\": true, \"include_metadata\": false}`, and narrows what there is " +
						"to `agent_ids`, `agent_types` and `metadata`, where given. Outside of that nothing exists."},
				},
			},
		},
		Formats:       formats,
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{problemOf},
	}
}

const tokenScheme = "token"

// needsToken is the security of what takes a token.
var needsToken = []map[string][]string{{tokenScheme: {}}}

// problemDocs says of each status what it means; the name is that of the response among the components.
var problemDocs = map[int]struct{ name, description, example string }{
	400: {"Malformed", "The body is no JSON, or missing where one must be. Code `malformed`.", "body: must be JSON: unexpected end of JSON input (at byte 12)"},
	401: {"Unauthorized", "Authentication is on, and there is no token, or one that does not hold. Code `unauthorized`.", "the token has expired"},
	403: {"Forbidden", "The token does not grant this, or a page of another origin may not do this. Code `forbidden`.", "the token does not grant write"},
	404: {"NotFound", "There is no such activity. Code `TA404`.", "no activity with agent_id " + exampleID},
	408: {"TimedOut", "The body did not come in time. Code `timeout`.", "the body did not come in time"},
	409: {"Conflict", "The activity's status does not allow this (code `TA409`), or the agent_id is taken (code `23505`).", "activity " + exampleID + " is COMPLETE and cannot become RUNNING"},
	413: {"TooLarge", "The body is over 2 MiB. Code `too_large`.", "the body must be at most 2097152 bytes"},
	415: {"UnsupportedMediaType", "The body is not application/json. Code `unsupported_media_type`.", "the body must be application/json, got \"text/plain\""},
	422: {"Invalid", "A field or parameter is unknown, of the wrong type or out of its bounds. Code `TA422`.", "percentage must be between 0 and 100, got 101"},
	426: {"UpgradeRequired", "The request asks for no WebSocket. Code `upgrade_required`.", "connect with a WebSocket"},
	429: {"OverLimit", "Too many requests, or too many sockets open. Code `over_limit`; `detail` says what to do.", "more than 500 requests a second from your address: wait, and ask less often"},
	500: {"Internal", "Something went wrong in the sidecar. Code `internal`.", "something went wrong here; the log of the sidecar says more"},
	503: {"Unavailable", "The database cannot be reached. Code `unavailable`.", "the database cannot be reached; try again shortly"},
}

// addProblems adds refusals to the answers of an operation.
func addProblems(responses map[string]*huma.Response, statuses ...int) map[string]*huma.Response {
	for _, status := range statuses {
		docs, ok := problemDocs[status]
		if !ok {
			panic(fmt.Sprintf("sidecar: status %d is not documented", status))
		}
		responses[fmt.Sprint(status)] = &huma.Response{Ref: responsePrefix + docs.name}
	}
	return responses
}

// describeProblems puts the problems among the components.
func (a *api) describeProblems() {
	components := a.huma.OpenAPI().Components
	schema := schemaOf[problem.Problem](components.Schemas)
	components.Responses = map[string]*huma.Response{}
	for status, docs := range problemDocs {
		response := &huma.Response{
			Description: docs.description,
			Content: map[string]*huma.MediaType{
				problem.ContentType: {Schema: schema, Example: problem.New(status, exampleCode(status), docs.example)},
			},
		}
		switch status {
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			response.Headers = map[string]*huma.Param{
				"Retry-After": {Description: "When to try again, in seconds.", Schema: integerSchema(problem.RetryAfter)},
			}
		case http.StatusUnauthorized:
			response.Headers = map[string]*huma.Param{
				"WWW-Authenticate": {Description: "That a bearer token is wanted.", Schema: textSchema(`Bearer realm="agentexec"`)},
			}
		}
		components.Responses[docs.name] = response
	}
	// huma describes its own errors as well; no client gets one (problemOf).
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} {
		delete(components.Schemas.Map(), unused)
	}
}

func exampleCode(status int) string {
	if status == http.StatusNotFound {
		return problem.CodeNotFound
	}
	return problem.CodeOf(status)
}

// jsonResponse is the answer to a request that went well. Without a schema, it is that of the handler's output.
func jsonResponse(status int, description string, schema *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{fmt.Sprint(status): {
		Description: description,
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}}
}

func queryParam(name string, schema *huma.Schema, description string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema}
}

func integerSchema(example int) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int32", Examples: []any{example}}
}

func textSchema(example string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{example}}
}

func statusListSchema(r huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: status("").Schema(r)}
}
