package client_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// subject is one activity as the model knows it.
type subject struct {
	id       uuid.UUID
	kind     string
	metadata map[string]any // nil: none
	status   client.Status
	key      int // its place in creation, the newest is the highest
}

// within is the whole model of a scope, and of a filter, which is a scope too.
func (a subject) within(s client.Scope) bool {
	if s.AgentIDs != nil && !slices.Contains(s.AgentIDs, a.id) {
		return false
	}
	if s.AgentTypes != nil && !slices.Contains(s.AgentTypes, a.kind) {
		return false
	}
	for key, value := range s.Metadata {
		if got, ok := a.metadata[key]; !ok || !reflect.DeepEqual(got, value) {
			return false
		}
	}
	return true
}

func (a subject) rank() int {
	return map[client.Status]int{client.StatusRunning: 2, client.StatusQueued: 1}[a.status]
}

func (a subject) pending() bool { return a.rank() > 0 }

// world makes random activities and asks about them.
type world struct {
	*rand.Rand
	all []subject
}

func pick[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

func (w *world) metadata() map[string]any {
	switch w.IntN(6) {
	case 0:
		return nil
	case 1:
		return map[string]any{}
	case 2:
		return map[string]any{"team": pick(w, "x", "y")}
	}
	return map[string]any{"org": pick[any](w, "1", "2", 1.0), "team": pick[any](w, "x", "y", nil, true)}
}

var kinds = []string{"research", "write", "it's \\ $1", "re\"view"}

func (w *world) scope() client.Scope {
	var s client.Scope
	if w.IntN(3) == 0 {
		s.AgentIDs = []uuid.UUID{}
		for range w.IntN(2 * len(w.all) / 3) {
			s.AgentIDs = append(s.AgentIDs, pick(w, w.all...).id)
		}
		if w.IntN(4) == 0 {
			s.AgentIDs = append(s.AgentIDs, uuid.New())
		}
	}
	if w.IntN(3) == 0 {
		s.AgentTypes = []string{}
		for range w.IntN(4) {
			s.AgentTypes = append(s.AgentTypes, pick(w, kinds...))
		}
	}
	if w.IntN(2) == 0 {
		s.Metadata = w.metadata()
	}
	return s
}

// in is the activities within both scopes, in the order of a list.
func (w *world) in(scopes ...client.Scope) []subject {
	var found []subject
	for _, a := range w.all {
		if !slices.ContainsFunc(scopes, func(s client.Scope) bool { return !a.within(s) }) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b subject) int { return cmp.Or(b.rank()-a.rank(), b.key-a.key) })
	return found
}

func ids(from []subject) []uuid.UUID {
	found := make([]uuid.UUID, len(from))
	for i, a := range from {
		found[i] = a.id
	}
	return found
}

// TestScopeModel compares all there is to ask and to do, in random scopes and with random filters, with the model: once
// with the setting made in the session, as SQL would, and once with WithScope, on a pool, a connection and in a
// transaction.
func TestScopeModel(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := &world{Rand: rand.New(rand.NewPCG(seed, 0))}
			w.populate(t, b)
			for range 12 {
				w.tryScope(t, b, w.scope())
			}
		})
	}
}

func (w *world) populate(t *testing.T, b *bundle) {
	t.Helper()
	for i := range 40 {
		a := subject{id: uuid.New(), kind: pick(w, kinds...), metadata: w.metadata(), status: pick(w, client.StatusQueued,
			client.StatusRunning, client.StatusComplete, client.StatusError, client.StatusCanceled), key: i}
		must[uuid.UUID](t)(b.c.Create(b.ctx, a.kind, "", client.WithAgentID(a.id), client.WithMetadata(a.metadata)))
		must[client.Log](t)(b.c.Update(b.ctx, a.id, "", client.WithStatus(a.status)))
		w.all = append(w.all, a)
	}
}

func (w *world) tryScope(t *testing.T, b *bundle, scope client.Scope) {
	t.Helper()
	text := scope.String()
	session := b.db.Conn(t)
	defer func() { require.NoError(t, session.Close(context.WithoutCancel(b.ctx))) }()
	_, err := session.Exec(b.ctx, "select pg_catalog.set_config('agentexec.scope', $1, false)", text)
	require.NoError(t, err)
	plain := b.db.Conn(t)
	defer func() { require.NoError(t, plain.Close(context.WithoutCancel(b.ctx))) }()

	filter := client.Scope{Metadata: w.metadata()}
	if w.IntN(3) == 0 {
		filter.AgentTypes = []string{pick(w, kinds...)}
	}
	statuses := pick(w, nil, []client.Status{client.StatusRunning}, []client.Status{client.StatusError},
		[]client.Status{client.StatusQueued, client.StatusComplete})
	for name, c := range map[string]*client.Client{
		"Session": client.New(session), "Pool": b.c.WithScope(scope), "Conn": client.New(plain).WithScope(scope),
	} {
		what := fmt.Sprintf("%s, scope %s, filter %s %v", name, text, filter, statuses)
		w.read(t, c, what, scope, client.Scope{}, nil)
		w.read(t, c, what, scope, filter, statuses)
	}
	for name, conn := range map[string]*pgx.Conn{"Session": session, "Tx": plain} {
		tx, err := conn.Begin(b.ctx)
		require.NoError(t, err)
		in := transaction{Tx: tx}
		if name == "Tx" {
			in.scope = scope
		}
		w.write(t, in, name+", scope "+text, scope, filter)
		require.NoError(t, tx.Rollback(b.ctx))
	}
}

// read compares every way to read with the model.
func (w *world) read(t *testing.T, c *client.Client, what string, scope, filter client.Scope, statuses []client.Status) {
	t.Helper()
	ctx := t.Context()
	params := client.ListParams{PageSize: 1 + w.IntN(9), Statuses: statuses, MetadataFilter: filter.Metadata}
	counted := client.CountParams{MetadataFilter: filter.Metadata}
	if filter.AgentTypes != nil {
		params.AgentType, counted.AgentType = filter.AgentTypes[0], filter.AgentTypes[0]
	}
	counts := map[client.Status]int64{"QUEUED": 0, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0}
	var want, active []subject
	for _, a := range w.in(scope, filter) {
		counts[a.status]++
		if statuses == nil || slices.Contains(statuses, a.status) {
			want = append(want, a)
		}
	}
	for _, a := range w.in(scope, client.Scope{Metadata: filter.Metadata}) {
		if a.pending() {
			active = append(active, a)
		}
	}

	byNumber := []uuid.UUID{}
	for params.Page = 1; ; params.Page++ {
		list := must[*client.List](t)(c.List(ctx, params))
		require.Equal(t, len(want), *list.Total, what)
		for _, item := range list.Items {
			byNumber = append(byNumber, item.AgentID)
		}
		if params.Page >= *list.Pages {
			break
		}
	}
	require.Equal(t, ids(want), byNumber, what)
	byKey := []uuid.UUID{}
	for params.After = startKey; params.After != ""; {
		list := must[*client.List](t)(c.List(ctx, params))
		for _, item := range list.Items {
			byKey = append(byKey, item.AgentID)
		}
		params.After = ""
		if list.Next != nil {
			params.After = *list.Next
		}
	}
	require.Equal(t, ids(want), byKey, what)

	require.Equal(t, counts, must[map[client.Status]int64](t)(c.CountByStatus(ctx, counted)), what)
	require.EqualValues(t, len(active), must[int64](t)(c.CountActive(ctx, filter.Metadata)), what)
	var pending []subject
	for _, a := range w.in(scope) {
		if a.pending() {
			pending = append(pending, a)
		}
	}
	slices.SortFunc(pending, func(a, b subject) int { return a.key - b.key })
	require.Equal(t, ids(pending), must[[]uuid.UUID](t)(c.PendingIDs(ctx)), what)

	for range 4 {
		a := pick(w, w.all...)
		detail, err := c.Detail(ctx, a.id, client.DetailParams{MetadataFilter: filter.Metadata, IncludeMetadata: true})
		if !a.within(scope) || !a.within(client.Scope{Metadata: filter.Metadata}) {
			requireUnknown(t, err, a.id)
			continue
		}
		require.NoError(t, err, what)
		require.Len(t, detail.Logs, 2)
		lines, err := collect(t, c.Logs(ctx, a.id, 0))
		require.NoError(t, err)
		require.Len(t, lines, 2)
	}
}

// startKey is the cursor before every activity.
const startKey = "2.99999999999999999.ffffffff-ffff-ffff-ffff-ffffffffffff"

// transaction is one that is rolled back, and the scope of its clients where the session has none.
type transaction struct {
	pgx.Tx
	scope client.Scope
}

func (x transaction) client() *client.Client {
	if x.scope.IsZero() {
		return client.New(x.Tx)
	}
	return client.New(x.Tx).WithScope(x.scope)
}

// attempt makes a call that may fail and leaves nothing behind.
func (x transaction) attempt(t *testing.T, call func(*client.Client) error) error {
	t.Helper()
	sub, err := x.Begin(t.Context())
	require.NoError(t, err)
	answer := call(transaction{sub, x.scope}.client())
	require.NoError(t, sub.Rollback(t.Context()))
	return answer
}

func requireUnknown(t *testing.T, err error, id uuid.UUID) {
	t.Helper()
	require.ErrorIs(t, err, client.ErrNotFound)
	var db *client.DBError
	require.ErrorAs(t, err, &db)
	require.Equal(t, "no activity with agent_id "+id.String(), db.Message)
}

// write compares what every way to write does with the model.
func (w *world) write(t *testing.T, x transaction, what string, scope, filter client.Scope) {
	t.Helper()
	ctx := t.Context()
	for range 3 {
		a := pick(w, w.all...)
		for name, write := range map[string]func(*client.Client) error{
			"Update": func(c *client.Client) error { _, err := c.Update(ctx, a.id, "x"); return err },
			"Running": func(c *client.Client) error {
				_, err := c.Update(ctx, a.id, "x", client.WithStatus("RUNNING"))
				return err
			},
			"Complete": func(c *client.Client) error { _, err := c.Complete(ctx, a.id, ""); return err },
			"Error":    func(c *client.Client) error { _, err := c.Error(ctx, a.id, ""); return err },
			"Cancel":   func(c *client.Client) error { _, err := c.Cancel(ctx, a.id, ""); return err },
		} {
			err := x.attempt(t, write)
			if a.within(scope) {
				require.NotErrorIs(t, err, client.ErrNotFound, "%s: %s", name, what)
			} else {
				requireUnknown(t, err, a.id)
			}
		}

		other := pick(w, w.all...)
		err := x.attempt(t, func(c *client.Client) error {
			_, err := c.AppendLogs(ctx, []client.Entry{{AgentID: a.id}, {AgentID: other.id}})
			return err
		})
		switch {
		case !a.within(scope):
			require.ErrorContains(t, err, fmt.Sprintf("entries[0]: no activity with agent_id %s", a.id), what)
		case !other.within(scope):
			require.ErrorContains(t, err, fmt.Sprintf("entries[1]: no activity with agent_id %s", other.id), what)
		default:
			require.NoError(t, err, what)
		}

		fresh := subject{id: uuid.New(), kind: pick(w, kinds...), metadata: w.metadata()}
		if len(scope.AgentIDs) > 0 && w.IntN(2) == 0 {
			fresh.id = pick(w, scope.AgentIDs...)
		}
		err = x.attempt(t, func(c *client.Client) error {
			_, err := c.Create(ctx, fresh.kind, "", client.WithAgentID(fresh.id), client.WithMetadata(fresh.metadata))
			return err
		})
		taken := slices.ContainsFunc(w.all, func(a subject) bool { return a.id == fresh.id })
		switch {
		case !fresh.within(scope):
			var db *client.DBError
			require.ErrorAs(t, err, &db, what)
			require.Equal(t, "42501", db.Code, what)
		case taken:
			require.ErrorIs(t, err, client.ErrExists, what)
		default:
			require.NoError(t, err, what)
		}
	}

	var want []uuid.UUID
	for _, a := range w.in(scope, filter) {
		if a.pending() {
			want = append(want, a.id)
		}
	}
	params := client.CancelPendingParams{MetadataFilter: filter.Metadata}
	if filter.AgentTypes != nil {
		params.AgentType = filter.AgentTypes[0]
	}
	require.Equal(t, len(want), must[int](t)(x.client().CancelPending(ctx, params)), what)
	rows, err := x.Query(ctx, "select a.agent_id from agentexec.activity a where a.status = 'CANCELED'")
	require.NoError(t, err)
	canceled, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	for _, a := range w.all {
		require.Equal(t, a.status == client.StatusCanceled || slices.Contains(want, a.id), slices.Contains(canceled, a.id), what)
	}
}
