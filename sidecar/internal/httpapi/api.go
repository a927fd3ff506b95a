package httpapi

import (
	_ "embed" // of the document
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/edge"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
	"github.com/agentexec/agentexec/wsfeed"
)

// api is the HTTP API. It checks the types of values, but no rule: SQL checks bounds and the state machine.
//
// A request passes guard.go (panics, other origins, its token, unknown routes), then request.go (the verb of its route, its
// body), then the handler of its route. The handler reads the query or the body (package input), and returns an action: one
// call of pkg/client in the scope of the caller. Every refusal is a problem.
type api struct {
	Config
	reads  *client.Client // for operations that wait for no row lock (route.waits)
	writes *client.Client // for all others

	answerTimeout time.Duration // the time limit of the database
	ranges        ranges
	closed        notify.Broadcast // a question was closed through this sidecar
	waiting       atomic.Int64     // requests that wait for an answer
}

// Config configures the API. All fields but Stopping are required.
type Config struct {
	Schema          string
	ReadDB, WriteDB pgurl.DB
	Access          *access.Guard
	Log             *slog.Logger
	Note            func(limit string) // counts rejections by the limit's name
	Memory          *budget.Budget     // bounds bodies and answers

	ReadSlots, WriteSlots Slots
	PageSize, BodyBytes   int
	// Stopping is closed when the service ends; reads that wait then answer at once. nil where it never is.
	Stopping    <-chan struct{}
	BodyTimeout time.Duration
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

// DocumentPath serves the description of the API, without a token.
const DocumentPath = "/openapi.json"

// document describes the API, and what other handlers of the sidecar serve. Tests compare it with the routes, with the
// structs of this package and with the answers.
//
//go:embed openapi.json
var document []byte

// documentBelow returns the document for clients that reach the service below a path prefix: paths are relative to its server.
func documentBelow(prefix string) []byte {
	if prefix == "" {
		return document
	}
	return fmt.Appendf(nil, `{"servers": [{"url": %q}],%s`, prefix, document[1:]) // a part of a URL is escaped already
}

// New returns the handler of the API. It answers everything below /v1/ but the feed, and /openapi.json.
func New(c Config) http.Handler {
	schema := &client.Config{Schema: c.Schema}
	return (&api{
		Config: c, reads: client.New(c.ReadDB, schema), writes: client.New(c.WriteDB, schema), answerTimeout: readTimeout,
	}).handler()
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.pattern, a.serve(route))
	}
	mux.HandleFunc("GET "+DocumentPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(documentBelow(edge.Prefix(r)))
	})
	for _, path := range []string{"/v1/feed", "/v1/feed/{agent_id}"} {
		// The feed is mounted beside the API and takes every GET. With these routes, other methods are answered 405 with Allow.
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			problem.Write(w, http.StatusNotFound, "", "there is no feed here")
		})
	}
	return a.guard(mux)
}
