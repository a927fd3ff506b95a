package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
	"github.com/agentexec/agentexec/wsfeed"
)

// api is the HTTP API: it turns requests into calls of pkg/client and hands on what Postgres answers. It knows the
// types of what is sent, and no rule: bounds and the state machine are SQL's.
//
// A request passes guard.go (panics, other origins, its token, unknown routes, verbs that were not granted, the body's size and
// type), then huma, which has it read by query.go and body.go, then its handler in read.go or write.go, which asks in the
// scope of the caller (scoped). Every refusal is a problem. The document at /openapi.json is made of the same registrations
// (openapi.go).
type api struct {
	Config
	reads  *client.Client // for operations that take verbRead
	writes *client.Client // for all others: they may wait for row locks
	huma   huma.API
	verbs  map[string]access.Verb // what must be granted, by the pattern of the route

	answerTimeout time.Duration // how long the database may take
}

// Config is what the API needs.
type Config struct {
	Schema          string
	ReadDB, WriteDB pgurl.DB
	Access          *access.Guard
	Log             *slog.Logger
	// Note counts what is refused because of a limit; nil where nothing is counted.
	Note func(limit string)
	// Memory bounds bodies and answers; nil for no bound.
	Memory                *budget.Budget
	ReadSlots, WriteSlots Slots
	PageSize, BodyBytes   int
	BodyTimeout           time.Duration
}

// The names of the limits that the API notes.
const (
	LimitBodyBytes   = "body_bytes"
	LimitBodyTimeout = "body_timeout"
	LimitHeldBytes   = "held_bytes"
	LimitPageSize    = wsfeed.LimitListItems
)

// MaxPageSize is the bound that SQL sets.
const MaxPageSize = 1000

const activitiesPath = "/v1/activities"

// New returns the handler of the API. It answers everything below /v1/ but the feed, and /openapi.json.
func New(c Config) http.Handler {
	if c.Note == nil {
		c.Note = func(string) {}
	}
	schema := &client.Config{Schema: c.Schema}
	return (&api{
		Config: c, reads: client.New(c.ReadDB, schema), writes: client.New(c.WriteDB, schema), answerTimeout: readTimeout,
	}).handler()
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	a.huma = humago.New(mux, openAPIConfig())
	a.verbs = make(map[string]access.Verb)
	a.registerReads()
	a.registerWrites()
	a.registerTickets()
	document := a.document()
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	for _, path := range []string{"/v1/feed", "/v1/feed/{agent_id}"} {
		// The feed is mounted beside the API and takes every GET; this lets other methods have a 405 with its Allow.
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			problem.Write(w, http.StatusNotFound, "", "there is no feed here")
		})
	}
	return a.guard(mux)
}

// document is what /openapi.json answers. Where the code describes what cannot be written as JSON it panics, as
// http.ServeMux does with a bad pattern.
func (a *api) document() []byte {
	a.describeOthers()
	a.describeProblems()
	document, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		panic(fmt.Sprintf("sidecar: the OpenAPI document: %v", err))
	}
	return document
}

// scoped is a client in the caller's scope: nothing outside of it is there.
func scoped(ctx context.Context, c *client.Client) *client.Client {
	if scope := access.GrantOf(ctx).Scope; !scope.IsZero() {
		return c.WithScope(scope)
	}
	return c
}

// register adds one operation, which takes a verb: to the routes, and to the document.
func register[I, O any](a *api, takes access.Verb, op huma.Operation, serve func(context.Context, *I) (*O, error)) {
	a.verbs[op.Method+" "+op.Path] = takes
	op.Security = needsToken
	// A handler that reads the query itself documents its parameters itself, and refuses unknown ones.
	op.RejectUnknownQueryParameters = len(op.Parameters) == 0
	// The guard has read the body, and body.decode judges it. Without a negative timeout, huma would set the connection a
	// deadline of its own, and net/http ends the request when that passes, body or not.
	op.MaxBodyBytes, op.BodyReadTimeout, op.SkipValidateBody = -1, -1, true
	op.Responses = addProblems(op.Responses, append(op.Errors, 401, 403, 429, 500, 503)...)
	op.Errors = nil
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, a.timeout(op))
		defer cancel()
		out, err := run(ctx, a, takes, func(ctx context.Context) (*O, error) { return serve(ctx, in) })
		if err != nil {
			return nil, a.refuse(ctx, op, err)
		}
		return out, nil
	})
}

// timeout is how long an operation may take, its waits included.
func (a *api) timeout(op huma.Operation) time.Duration {
	if op.Method == http.MethodPost && op.OperationID != cancelPendingID {
		return min(a.answerTimeout, writeTimeout)
	}
	return a.answerTimeout
}

// refuse makes a problem of an error of the database, and leaves one that is a problem already. What is not the caller's
// doing is logged; a caller that went away is not.
func (a *api) refuse(ctx context.Context, op huma.Operation, err error) *problem.Problem {
	if p := (*problem.Problem)(nil); errors.As(err, &p) {
		return p
	}
	p := problem.OfDatabase(err)
	if p.Code == problem.CodeUnavailable && errors.Is(ctx.Err(), context.DeadlineExceeded) && a.timeout(op) == writeTimeout {
		p = problem.Locked() // nothing else makes one line take so long, but for a database that is about to fail
	}
	if p.Status >= http.StatusInternalServerError && !errors.Is(ctx.Err(), context.Canceled) {
		level := slog.LevelError
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		a.Log.Log(ctx, level, "the API cannot answer", "operation", op.OperationID, "status", p.Status, "error", err)
	}
	return p
}

// problemOf turns what huma found wrong with a request into a problem. It is a huma.Transformer.
func problemOf(_ huma.Context, _ string, v any) (any, error) {
	found, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem.New(found.Status, "", found.Detail)
	var details []string
	for _, e := range found.Errors {
		message := strings.TrimPrefix(e.Message, "invalid value: ")
		p.Errors = append(p.Errors, problem.Part{Location: e.Location, Message: message})
		_, name, _ := strings.Cut(e.Location, ".")
		if name == "" {
			name = e.Location
		}
		details = append(details, name+": "+message)
	}
	if len(details) > 0 {
		p.Detail = strings.Join(details, "; ")
	}
	return p, nil
}

// formats tells huma how JSON is read and written. Every answer is JSON, whatever the request says it accepts.
var formats = map[string]huma.Format{
	"application/json": {Marshal: problem.EncodeJSON, Unmarshal: unmarshalBody},
	"json":             {Marshal: problem.EncodeJSON, Unmarshal: unmarshalBody},
}

func (a *api) registry() huma.Registry { return a.huma.OpenAPI().Components.Schemas }
