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
		opts := []client.CreateOption{client.WithAgentID(a.ID), client.WithMetadata(a.Metadata)}
		if len(w.All) > 0 && w.IntN(2) == 0 {
			parent := scopetest.Pick(w.World, w.All...)
			opts = append(opts, client.WithParent(parent.ID))
			a.PutBelow(parent)
		}
		must[uuid.UUID](t)(b.c.Create(b.ctx, a.Type, "", opts...))
		for _, key := range []string{"a", "b"}[:w.IntN(3)] {
			must[client.AskedQuestion](t)(b.c.Ask(b.ctx, a.ID, client.Question{Key: key, Prompt: "a question of " + a.ID.String()}))
			w.Ask(&a, key)
			a.LastSeq++
		}
		a.Become(scopetest.Pick(w.World, client.Statuses()...))
		must[client.Log](t)(b.c.Update(b.ctx, a.ID, "", client.WithStatus(a.Status)))
		a.LastSeq++
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
	place := w.Place()
	params.ParentAgentID, params.RootAgentID, params.RootsOnly, params.Waiting = place.Parent, place.Root, place.RootsOnly, place.Waiting
	count.ParentAgentID, count.RootAgentID, count.RootsOnly, count.Waiting = place.Parent, place.Root, place.RootsOnly, place.Waiting
	what = fmt.Sprintf("%s, place %+v", what, place)
	here := place.Of(w.In(scope, filter), w.In(scope, client.Scope{}))
	counts := client.Counts{ByStatus: scopetest.Counts(here)}
	want := scopetest.Of(here, statuses)
	active := scopetest.Pending(w.In(scope, client.Scope{Metadata: filter.Metadata}))

	byNumber := []uuid.UUID{}
	for params.Page = 1; ; params.Page++ {
		list := must[*client.List](t)(c.List(ctx, params))
		require.Equal(t, len(want), *list.Total, what)
		for _, item := range list.Items {
			byNumber = append(byNumber, item.AgentID)
			require.Equal(t, scopetest.Children(w.All, item.AgentID, scope), item.Children, what)
			w.requireAbove(t, item.Activity, scope)
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
		require.Len(t, detail.Logs, a.LastSeq)
		require.Equal(t, scopetest.Children(w.All, a.ID, scope), detail.Children, what)
		require.Equal(t, a.Open(), detail.OpenQuestions)
		w.requireAbove(t, detail.Activity, scope)
		lines, err := collect(t, c.Logs(ctx, a.ID, 0))
		require.NoError(t, err)
		require.Len(t, lines, a.LastSeq)
	}
	w.readQuestions(t, c, what, scope, filter)
}

// requireAbove checks the parent and the root that an activity names: null where they lie outside the scope.
func (w world) requireAbove(t *testing.T, a client.Activity, scope client.Scope) {
	t.Helper()
	at := slices.IndexFunc(w.All, func(b scopetest.Activity) bool { return b.ID == a.AgentID })
	require.True(t, scopetest.SameID(a.ParentAgentID, scopetest.Visible(w.All, w.All[at].Parent, scope)), "parent %v", a.ParentAgentID)
	require.True(t, scopetest.SameID(a.RootAgentID, scopetest.Visible(w.All, w.All[at].Root, scope)), "root %v", a.RootAgentID)
}

// readQuestions compares the ways to read questions with the model.
func (w world) readQuestions(t *testing.T, c *client.Client, what string, scope, filter client.Scope) {
	t.Helper()
	params := client.QuestionListParams{MetadataFilter: filter.Metadata, PageSize: 1 + w.IntN(9)}
	if filter.AgentTypes != nil {
		params.AgentType = filter.AgentTypes[0]
	}
	state := scopetest.Pick(w.World, "", client.QuestionPending, client.QuestionWithdrawn)
	params.State, params.AnyState = state, state == ""
	ids, keys := scopetest.Asked(w.In(scope, filter), state)
	var gotIDs []uuid.UUID
	var gotKeys []string
	for more := true; more; {
		page := must[*client.QuestionList](t)(c.Questions(t.Context(), params))
		for _, q := range page.Items {
			gotIDs, gotKeys = append(gotIDs, q.AgentID), append(gotKeys, q.Key)
		}
		if more = page.Next != nil; more {
			params.After = *page.Next
		}
	}
	require.Equal(t, ids, gotIDs, what)
	require.Equal(t, keys, gotKeys, what)

	a := scopetest.Pick(w.World, w.All...)
	q, err := c.Question(t.Context(), a.ID, "a")
	if at := a.Question("a"); a.Within(scope) && at >= 0 {
		require.NoError(t, err, what)
		require.Equal(t, a.Questions[at].State, q.State, what)
		return
	}
	require.ErrorIs(t, err, client.ErrNotFound, what)
	require.ErrorContains(t, err, fmt.Sprintf(`activity %s has no question with key "a"`, a.ID), what)
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
			"Tree":     func(c *client.Client) error { _, err := c.Cancel(ctx, a.ID, "", client.WithTree()); return err },
			"Ask": func(c *client.Client) error {
				_, err := c.Ask(ctx, a.ID, client.Question{Key: "new", Prompt: "?"})
				return err
			},
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

		w.writeTree(t, x, what, scope, a)
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

// writeTree compares what closes a question, creates a child and prunes with the model.
func (w world) writeTree(t *testing.T, x transaction, what string, scope client.Scope, a scopetest.Activity) {
	t.Helper()
	ctx := t.Context()
	for name, closes := range map[string]func(*client.Client) error{
		"Answer":   func(c *client.Client) error { _, err := c.Answer(ctx, a.ID, "a", 1, ""); return err },
		"Decline":  func(c *client.Client) error { _, err := c.Decline(ctx, a.ID, "a", ""); return err },
		"Withdraw": func(c *client.Client) error { _, err := c.Withdraw(ctx, a.ID, "a"); return err },
	} {
		err := x.attempt(t, closes)
		switch at := a.Question("a"); {
		case !a.Within(scope):
			requireUnknown(t, err, a.ID)
		case at < 0:
			require.ErrorIs(t, err, client.ErrNotFound, "%s: %s", name, what)
		case a.Questions[at].State == client.QuestionPending || name == "Withdraw":
			require.NoError(t, err, "%s: %s", name, what)
		default:
			require.ErrorIs(t, err, client.ErrFinished, "%s: %s", name, what)
		}
	}

	child := w.Fresh(scope)
	err := x.attempt(t, func(c *client.Client) error {
		_, err := c.Create(ctx, child.Type, "", client.WithAgentID(child.ID), client.WithMetadata(child.Metadata), client.WithParent(a.ID))
		return err
	})
	if a.Within(scope) {
		child.PutBelow(a)
		require.NotErrorIs(t, err, client.ErrNotFound, what)
		require.Equal(t, child.Within(scope) && !w.Taken(child.ID), err == nil, "%s: %v", what, err)
	} else {
		require.ErrorIs(t, err, client.ErrNotFound, what)
	}

	rest := &scopetest.World{All: w.All}
	want := client.Pruned{}
	for _, gone := range rest.Prune(scope) {
		want.Activities++
		want.Lines += gone.LastSeq
	}
	require.NoError(t, x.attempt(t, func(c *client.Client) error {
		for _, dryRun := range []bool{true, false} {
			params := client.PruneParams{FinishedBefore: time.Now().Add(time.Hour), DryRun: dryRun}
			require.Equal(t, want, must[client.Pruned](t)(c.Prune(ctx, params)), "%s, dry run %v", what, dryRun)
		}
		return nil
	}))
}
