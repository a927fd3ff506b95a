package client_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/scopetest"
	"github.com/agentexec/agentexec/pkg/client"
)

// world is a model, and asks the client about it.
type world struct{ *scopetest.World }

// TestScopeModel compares all there is to ask and to do, in random scopes and with random filters, with the model: once
// with the setting made in the session, as SQL would, and once with WithScope, on a pool, a connection and in a
// transaction.
func TestScopeModel(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := world{scopetest.NewWorld(seed)}
			w.populate(t, b)
			session, plain := b.db.Conn(t), b.db.Conn(t)
			for range 12 {
				w.tryScope(t, b, session, plain, w.Scope())
			}
		})
	}
}

func (w world) populate(t *testing.T, b *bundle) {
	t.Helper()
	for range 40 {
		a := w.Fresh(client.Scope{})
		a.Status = scopetest.Pick(w.World, client.Statuses()...)
		must[uuid.UUID](t)(b.c.Create(b.ctx, a.Type, "", client.WithAgentID(a.ID), client.WithMetadata(a.Metadata)))
		must[client.Log](t)(b.c.Update(b.ctx, a.ID, "", client.WithStatus(a.Status)))
		w.All = append(w.All, a)
	}
}

// tryScope sets the scope in session, and gives it to the clients of plain and of the pool.
func (w world) tryScope(t *testing.T, b *bundle, session, plain *pgx.Conn, scope client.Scope) {
	t.Helper()
	text := scope.String()
	_, err := session.Exec(b.ctx, "select pg_catalog.set_config('agentexec.scope', $1, false)", text)
	require.NoError(t, err)

	filter, statuses := w.Filter(), w.Statuses()
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
func (w world) read(t *testing.T, c *client.Client, what string, scope, filter client.Scope, statuses []client.Status) {
	t.Helper()
	ctx := t.Context()
	params := client.ListParams{PageSize: 1 + w.IntN(9), Statuses: statuses, MetadataFilter: filter.Metadata}
	count := client.CountParams{MetadataFilter: filter.Metadata}
	if filter.AgentTypes != nil {
		params.AgentType, count.AgentType = filter.AgentTypes[0], filter.AgentTypes[0]
	}
	counts := client.Counts{ByStatus: scopetest.Counts(w.In(scope, filter))}
	want := scopetest.Of(w.In(scope, filter), statuses)
	active := scopetest.Pending(w.In(scope, client.Scope{Metadata: filter.Metadata}))

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
	require.Equal(t, scopetest.IDs(want), byNumber, what)
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
	require.Equal(t, scopetest.IDs(want), byKey, what)

	require.Equal(t, counts, must[client.Counts](t)(c.CountByStatus(ctx, count)), what)
	require.EqualValues(t, len(active), must[int64](t)(c.CountActive(ctx, filter.Metadata)), what)
	pending := scopetest.Pending(w.In(scope))
	slices.SortFunc(pending, func(a, b scopetest.Activity) int { return a.Key - b.Key })
	require.Equal(t, scopetest.IDs(pending), must[[]uuid.UUID](t)(c.PendingIDs(ctx)), what)

	for range 4 {
		a := scopetest.Pick(w.World, w.All...)
		detail, err := c.Detail(ctx, a.ID, client.DetailParams{MetadataFilter: filter.Metadata, IncludeMetadata: true})
		if !a.Within(scope) || !a.Within(client.Scope{Metadata: filter.Metadata}) {
			requireUnknown(t, err, a.ID)
			continue
		}
		require.NoError(t, err, what)
		require.Len(t, detail.Logs, 2)
		lines, err := collect(t, c.Logs(ctx, a.ID, 0))
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
func (w world) write(t *testing.T, x transaction, what string, scope, filter client.Scope) {
	t.Helper()
	ctx := t.Context()
	for range 3 {
		a := scopetest.Pick(w.World, w.All...)
		for name, write := range map[string]func(*client.Client) error{
			"Update": func(c *client.Client) error { _, err := c.Update(ctx, a.ID, "x"); return err },
			"Running": func(c *client.Client) error {
				_, err := c.Update(ctx, a.ID, "x", client.WithStatus("RUNNING"))
				return err
			},
			"Complete": func(c *client.Client) error { _, err := c.Complete(ctx, a.ID, ""); return err },
			"Error":    func(c *client.Client) error { _, err := c.Error(ctx, a.ID, ""); return err },
			"Cancel":   func(c *client.Client) error { _, err := c.Cancel(ctx, a.ID, ""); return err },
			"Force":    func(c *client.Client) error { _, err := c.Cancel(ctx, a.ID, "", client.WithGrace(0)); return err },
			"AtSeq":    func(c *client.Client) error { _, err := c.Update(ctx, a.ID, "x", client.WithAtSeq(3)); return err },
			"Heartbeat": func(c *client.Client) error {
				result, err := c.Heartbeat(ctx, a.ID, time.Minute)
				require.True(t, err != nil || result.Status == a.Status, what)
				return err
			},
		} {
			err := x.attempt(t, write)
			if a.Within(scope) {
				require.NotErrorIs(t, err, client.ErrNotFound, "%s: %s", name, what)
			} else {
				requireUnknown(t, err, a.ID)
			}
		}

		other := scopetest.Pick(w.World, w.All...)
		err := x.attempt(t, func(c *client.Client) error {
			_, err := c.AppendLogs(ctx, []client.Entry{{AgentID: a.ID}, {AgentID: other.ID}})
			return err
		})
		switch {
		case !a.Within(scope):
			require.ErrorContains(t, err, fmt.Sprintf("entries[0]: no activity with agent_id %s", a.ID), what)
		case !other.Within(scope):
			require.ErrorContains(t, err, fmt.Sprintf("entries[1]: no activity with agent_id %s", other.ID), what)
		default:
			require.NoError(t, err, what)
		}

		fresh := w.Fresh(scope)
		err = x.attempt(t, func(c *client.Client) error {
			_, err := c.Create(ctx, fresh.Type, "", client.WithAgentID(fresh.ID), client.WithMetadata(fresh.Metadata))
			return err
		})
		switch {
		case !fresh.Within(scope):
			var db *client.DBError
			require.ErrorAs(t, err, &db, what)
			require.Equal(t, "42501", db.Code, what)
		case w.Taken(fresh.ID):
			require.ErrorIs(t, err, client.ErrExists, what)
		default:
			require.NoError(t, err, what)
		}
	}

	want := scopetest.IDs(scopetest.Pending(w.In(scope, filter)))
	params := client.CancelPendingParams{MetadataFilter: filter.Metadata}
	if filter.AgentTypes != nil {
		params.AgentType = filter.AgentTypes[0]
	}
	require.Equal(t, len(want), must[int](t)(x.client().CancelPending(ctx, params)), what)
	rows, err := x.Query(ctx, "select a.agent_id from agentexec.activity a where a.status = 'CANCELED'")
	require.NoError(t, err)
	canceled, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	for _, a := range w.All {
		require.Equal(t, a.Status == client.StatusCanceled || slices.Contains(want, a.ID), slices.Contains(canceled, a.ID), what)
	}
}
