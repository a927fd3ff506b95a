package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/budget"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/access"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// request is one request to a route. Its handler reads the path, the query and the body, and then calls page or answer. The
// readers collect faults.
type request struct {
	api    *api
	route  route
	w      http.ResponseWriter
	r      *http.Request
	query  *query
	body   []byte // without the white space around it
	faults []fault

	bodyShare, answerShare *budget.Share // the memory held until the client has taken the answer
	slow                   *time.Timer   // ends the connection of a client that takes the answer too slowly
}

// fault is an error in one part of a request. The status of the answer is 400 where a fault is malformed, else 422.
type fault struct {
	malformed bool
	location  string // body, body.FIELD, query, query.PARAMETER, path.PARAMETER, or "" for a body that is missing
	message   string
}

// serve answers the requests to a route.
func (a *api) serve(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p := access.Denied(access.GrantOf(r.Context()), route.takes); p != nil {
			p.Write(w)
			return
		}
		rq := &request{api: a, route: route, w: w, r: r, query: newQuery(r.URL.RawQuery)}
		defer rq.release()
		if r.Method == http.MethodPost {
			if err := rq.readBody(); err != nil {
				problem.Refuse(w, err)
				return
			}
			rq.faults = rq.query.done() // a POST takes no parameters
			if rq.refused() {
				return
			}
		}
		route.handle(rq)
	}
}

// agentID reads the agent_id in the path.
func (rq *request) agentID() uuid.UUID {
	id, err := parseID(rq.r.PathValue("agent_id"))
	if err != nil {
		rq.faults = append(rq.faults, fault{location: "path.agent_id", message: err.Error()})
	}
	return id
}

// refused reports whether the request has faults, and answers with a problem that lists all of them.
func (rq *request) refused() bool {
	if len(rq.faults) == 0 {
		return false
	}
	status, parts, details := http.StatusUnprocessableEntity, []problem.Part(nil), []string(nil)
	for _, f := range rq.faults {
		if f.malformed {
			status = http.StatusBadRequest
		}
		if f.location == "" {
			details = append(details, f.message)
			continue
		}
		parts = append(parts, problem.Part{Location: f.location, Message: f.message})
		name := f.location[strings.IndexByte(f.location, '.')+1:]
		details = append(details, cmp.Or(name, f.location)+": "+f.message)
	}
	p := problem.New(status, "", strings.Join(details, "; "))
	p.Errors = parts
	p.Write(rq.w)
	return true
}

// call is a call of pkg/client in the scope of the caller.
type call[T any] func(ctx context.Context, c *client.Client) (T, error)

// page answers with JSON as Postgres wrote it, once there is memory for it.
func (rq *request) page(ask call[json.RawMessage]) {
	rq.pageOf(func(ctx context.Context) (json.RawMessage, error) { return reserved(ctx, rq, PageBytes, ask) })
}

// pageOf does the same with the result of read, for which memory is reserved.
func (rq *request) pageOf(read func(context.Context) (json.RawMessage, error)) {
	page, ok := run(rq, read)
	if !ok {
		return
	}
	rq.answerShare.Resize(int64(len(page)))
	rq.endSlow(len(page))
	rq.w.Header().Set("Content-Type", "application/json")
	_, _ = rq.w.Write(page)
}

// answer answers with the result of ask, as JSON.
func (rq *request) answer(status int, ask call[any]) {
	out, ok := run(rq, func(ctx context.Context) (any, error) { return reserved(ctx, rq, 0, ask) })
	if ok {
		rq.json(status, out)
	}
}

// json answers with a value as JSON.
func (rq *request) json(status int, value any) {
	rq.w.Header().Set("Content-Type", "application/json")
	rq.w.WriteHeader(status)
	_ = problem.EncodeJSON(rq.w, value)
}

// run requires that the request has no faults, and calls read. On failure, it answers with a problem and reports false.
func run[T any](rq *request, read func(context.Context) (T, error)) (out T, ok bool) {
	rq.faults = append(rq.faults, rq.query.done()...)
	if rq.refused() {
		return out, false
	}
	ctx, cancel := context.WithTimeout(rq.r.Context(), rq.timeout())
	defer cancel()
	out, err := read(ctx)
	if err != nil {
		rq.problemOf(ctx, err).Write(rq.w)
	}
	return out, err == nil
}

// reserved reserves so many bytes of memory for the answer, and calls ask with a connection.
func reserved[T any](ctx context.Context, rq *request, bytes int64, ask call[T]) (out T, err error) {
	if rq.answerShare, err = rq.reserve(ctx, bytes); err != nil {
		return out, err
	}
	return inSlot(ctx, rq, ask)
}

// inSlot takes a slot for a connection, and calls ask in the scope of the caller.
func inSlot[T any](ctx context.Context, rq *request, ask call[T]) (out T, err error) {
	db, slots := rq.api.reads, rq.api.ReadSlots
	if rq.route.waits() {
		db, slots = rq.api.writes, rq.api.WriteSlots
	}
	leave := slots.Enter(ctx)
	if leave == nil {
		return out, problem.New(http.StatusServiceUnavailable, "", "other requests use all connections to the database; try again shortly")
	}
	defer leave() // a panic is answered 500, and the process goes on
	if scope := access.GrantOf(ctx).Scope; !scope.IsZero() {
		db = db.WithScope(scope)
	}
	return ask(ctx, db)
}

// timeout returns the time limit of the request, its waits included.
func (rq *request) timeout() time.Duration {
	if rq.r.Method == http.MethodPost && rq.route.operation != cancelPendingID {
		return min(rq.api.answerTimeout, writeTimeout)
	}
	return rq.api.answerTimeout
}

// problemOf makes a problem of an error of the database, and returns a problem as it is. It logs failures that the caller did
// not cause, unless the caller disconnected.
func (rq *request) problemOf(ctx context.Context, err error) *problem.Problem {
	if p := (*problem.Problem)(nil); errors.As(err, &p) {
		return p
	}
	p := problem.OfDatabase(err)
	if p.Code == problem.CodeUnavailable && errors.Is(ctx.Err(), context.DeadlineExceeded) && rq.timeout() == writeTimeout {
		p = problem.Locked() // only a row lock, or a database that is about to fail, makes one line take so long
	}
	if p.Status >= http.StatusInternalServerError && !errors.Is(ctx.Err(), context.Canceled) {
		level := slog.LevelError
		if p.Status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		rq.api.Log.Log(ctx, level, "the API cannot answer", "operation", rq.route.operation, "status", p.Status, "error", err)
	}
	return p
}
