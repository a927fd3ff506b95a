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
	"github.com/agentexec/agentexec/sidecar/internal/input"
	"github.com/agentexec/agentexec/sidecar/internal/problem"
)

// request is one request to a route.
type request struct {
	api     *api
	route   route
	w       http.ResponseWriter
	r       *http.Request
	agentID uuid.UUID // of the path, or of the activity that the request creates
	query   *input.Query
	body    []byte // without the white space around it
	faults  []input.Fault
	status  int // of the answer, 0 before it begins

	bodyShare, answerShare *budget.Share // the memory held until the client has taken the answer
	slow                   *time.Timer   // ends the connection of a client that takes the answer too slowly
}

// handler reads the query and the body of a request, and returns the action that answers it. The action does not run where the
// request has faults.
type handler func(*request) action

// action returns an answer: a json.RawMessage is sent as it is, any other value is encoded.
type action func(context.Context) (any, error)

// serve answers the requests to a route.
func (a *api) serve(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rq := &request{api: a, route: route, w: w, r: r, query: input.NewQuery(r.URL.RawQuery)}
		defer rq.release()
		if route.takes != access.VerbRead {
			defer rq.audit()
		}
		out, err := rq.result()
		if err != nil {
			p := rq.problemOf(r.Context(), err)
			rq.status = p.Status
			p.Write(w)
			return
		}
		rq.answer(out)
	}
}

// result checks and reads the request, and runs its action.
func (rq *request) result() (any, error) {
	if p := access.Denied(access.GrantOf(rq.r.Context()), rq.route.takes); p != nil {
		return nil, p
	}
	if rq.r.Method == http.MethodPost {
		if err := rq.readBody(); err != nil {
			return nil, err
		}
		if faults := rq.query.Done(); len(faults) > 0 { // a POST takes no parameters
			return nil, input.Problem(faults...)
		}
	}
	if text := rq.r.PathValue("agent_id"); text != "" {
		rq.agentID, rq.faults = input.PathID("agent_id", text)
	}
	act := rq.route.handle(rq)
	if faults := append(rq.faults, rq.query.Done()...); len(faults) > 0 {
		return nil, input.Problem(faults...)
	}
	return act(rq.r.Context())
}

// answer sends the result of an action.
func (rq *request) answer(out any) {
	rq.status = rq.route.status
	rq.w.Header().Set("Content-Type", "application/json")
	if page, ok := out.(json.RawMessage); ok {
		rq.answerShare.Resize(int64(len(page)))
		rq.endSlow(len(page))
		_, _ = rq.w.Write(page)
		return
	}
	rq.w.WriteHeader(rq.status)
	_ = problem.EncodeJSON(rq.w, out)
}

// audit logs a write that was answered, or has panicked: the caller, the operation, the activity and the status.
func (rq *request) audit() {
	id := rq.r.PathValue("agent_id")
	if id == "" && rq.agentID != uuid.Nil {
		id = rq.agentID.String()
	}
	who := "anonymous"
	if rq.api.Access.Enabled() {
		who = access.GrantOf(rq.r.Context()).Subject
	}
	_, path, _ := strings.Cut(rq.route.pattern, " ")
	rq.api.Log.Info("audit", "who", who, "remote", rq.api.Access.Remote(rq.r), "what", path, "activity", problem.Clipped(id),
		"status", cmp.Or(rq.status, http.StatusInternalServerError))
}

// call is a call of pkg/client in the scope of the caller.
type call func(ctx context.Context, c *client.Client) (any, error)

// page makes a call that returns JSON as Postgres wrote it, once there is memory for it.
func (rq *request) page(ask call) action {
	return func(ctx context.Context) (_ any, err error) {
		if rq.answerShare, err = rq.reserve(ctx, PageBytes); err != nil {
			return nil, err
		}
		return rq.call(ctx, ask)
	}
}

// call makes a call with a slot for a connection, in the time limit of the operation.
func (rq *request) call(ctx context.Context, ask call) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, rq.timeout())
	defer cancel()
	db, slots := rq.api.reads, rq.api.ReadSlots
	if rq.route.waits() {
		db, slots = rq.api.writes, rq.api.WriteSlots
	}
	leave := slots.Enter(ctx)
	if leave == nil {
		return nil, problem.New(http.StatusServiceUnavailable, "", "other requests use all connections to the database; try again shortly")
	}
	defer leave() // a panic is answered 500, and the process goes on
	if scope := access.GrantOf(ctx).Scope; !scope.IsZero() {
		db = db.WithScope(scope)
	}
	out, err := ask(ctx, db)
	if err != nil {
		return nil, rq.problemOf(ctx, err)
	}
	return out, nil
}

// timeout returns the time limit of a call, its waits included.
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
