package sql_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// child returns the agent_id of a new child of parent.
func (b *bundle) child(parent uuid.UUID, agentType string) uuid.UUID {
	b.Helper()
	return one[uuid.UUID](b.T, b.pool, "select agentexec.create_activity($1, parent_agent_id => $2)", agentType, parent)
}

// children returns the "children" of an activity, and checks that the detail and the list agree.
func (b *bundle) children(q querier, agent uuid.UUID) string {
	b.Helper()
	children := one[string](b.T, q, "select coalesce(agentexec.activity_detail($1) ->> 'children', 'null')", agent)
	listed := all[string](b.T, q, `select coalesce(i ->> 'children', 'null') from jsonb_array_elements(agentexec.list_activities(page_size => 1000) -> 'items') i
		where i ->> 'agent_id' = $1::text`, agent.String())
	for _, l := range listed {
		require.JSONEq(b, children, l)
	}
	return children
}

func TestChildKnowsItsTree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := one[uuid.UUID](t, b.pool, `select agentexec.create_activity('plan', metadata => '{"org": 1}')`)
	part := b.child(root, "part")
	leaf := one[uuid.UUID](t, b.pool, `select agentexec.create_activity('leaf', metadata => '{"org": 2}', parent_agent_id => $1)`, part)

	for agent, want := range map[uuid.UUID]string{
		root: `{"parent": null, "root": null, "metadata": {"org": 1}}`,
		part: `{"parent": "` + root.String() + `", "root": "` + root.String() + `", "metadata": {"org": 1}}`,
		leaf: `{"parent": "` + part.String() + `", "root": "` + root.String() + `", "metadata": {"org": 2}}`,
	} {
		require.JSONEq(t, want, one[string](t, b.pool, `select jsonb_build_object('parent', d -> 'parent_agent_id', 'root', d -> 'root_agent_id', 'metadata', d -> 'metadata')::text
			from agentexec.activity_detail($1, include_metadata => true) d`, agent))
	}
	require.Equal(t, "null", b.children(b.pool, leaf))
	require.JSONEq(t, `{"total": 1, "queued": 1, "running": 0, "complete": 0, "error": 0, "canceled": 0, "percentage": 0}`, b.children(b.pool, part))
}

func TestChildrenAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.create("plan")
	for range 2 {
		b.exec("select agentexec.complete($1)", b.child(root, "part"))
	}
	b.exec("select agentexec.error($1)", b.child(root, "part"))
	b.exec("select agentexec.append_log($1, 'x', 50, 'RUNNING')", b.child(root, "part"))
	b.child(root, "part")
	b.exec("select agentexec.cancel($1)", b.child(root, "other"))
	b.child(b.child(root, "other"), "grandchild")
	require.JSONEq(t, `{"total": 7, "queued": 2, "running": 1, "complete": 2, "error": 1, "canceled": 1, "percentage": 64}`, b.children(b.pool, root))

	// A parent that ends leaves its children alone, and a child outside of the scope is not counted.
	b.exec("select agentexec.complete($1)", root)
	require.Equal(t, 3, one[int](t, b.pool, "select count(*) from agentexec.activity where parent_agent_id = $1 and finished_at is null", root))
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // only read
	_, err = tx.Exec(t.Context(), `set local agentexec.scope = '{"agent_types": ["plan", "other"]}'`)
	require.NoError(t, err)
	require.JSONEq(t, `{"total": 2, "queued": 1, "running": 0, "complete": 0, "error": 0, "canceled": 1, "percentage": 50}`, b.children(tx, root))
}

func TestBadParents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.pool.Exec(t.Context(), "select agentexec.create_activity('part', parent_agent_id => gen_random_uuid())")
	requireRefused(t, err, "TA404", "to be the parent")

	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // nothing is written
	parent := b.create("plan")
	_, err = tx.Exec(t.Context(), `set local agentexec.scope = '{"agent_types": ["part"]}'`)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select agentexec.create_activity('part', parent_agent_id => $1)", parent)
	requireRefused(t, err, "TA404", "to be the parent")

	at := parent
	for range 32 {
		at = b.child(at, "part")
	}
	_, err = b.pool.Exec(t.Context(), "select agentexec.create_activity('part', parent_agent_id => $1)", at)
	requireRefused(t, err, "TA422", "at most 32 deep")
}

func TestCancelTree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.in("RUNNING")
	queued, running, failed, done := b.child(root, "part"), b.child(root, "part"), b.child(root, "part"), b.child(root, "part")
	below := b.child(done, "other")
	b.exec("select agentexec.append_log($1, 'x', status => 'RUNNING')", running)
	b.exec("select agentexec.error($1)", failed)
	b.exec("select agentexec.complete($1)", done)
	states := func() string {
		return strings.Join(all[string](t, b.pool, "select a.status || case when a.cancel_seq is not null then '!' else '' end from unnest($1::uuid[]) with ordinality x(id, n) join agentexec.activity a on a.agent_id = x.id order by n",
			[]uuid.UUID{root, queued, running, failed, done, below}), " ")
	}

	// Only what lies in the scope is canceled.
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `set local agentexec.scope = '{"agent_types": ["research", "other"]}'`)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select agentexec.cancel($1, tree => true)", root)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, "RUNNING! QUEUED RUNNING ERROR COMPLETE CANCELED!", states())

	b.exec("select agentexec.cancel($1, 'enough', tree => true, requested_by => 'ada')", root)
	require.Equal(t, "RUNNING! CANCELED! RUNNING! CANCELED! COMPLETE CANCELED!", states())
	require.Equal(t, "enough ada", one[string](t, b.pool, `select l.message || ' ' || (l.data ->> 'requested_by') from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id and a.cancel_seq = l.seq where a.agent_id = $1`, running))
	b.exec("select agentexec.cancel($1, grace => '0', tree => true)", root)
	require.Equal(t, "CANCELED! CANCELED! CANCELED! CANCELED! COMPLETE CANCELED!", states())

	// A COMPLETE activity with others below it that go on.
	part := b.child(done, "part")
	require.Equal(t, "Agent completed", one[string](t, b.pool, "select message from agentexec.cancel($1, tree => true)", done))
	require.Equal(t, "CANCELED", one[string](t, b.pool, "select status from agentexec.activity where agent_id = $1", part))
	_, err = b.pool.Exec(t.Context(), "select agentexec.cancel($1, tree => true)", done)
	requireRefused(t, err, "TA409")
	_, err = b.pool.Exec(t.Context(), "select agentexec.cancel(gen_random_uuid(), tree => true)")
	requireRefused(t, err, "TA404")
}
