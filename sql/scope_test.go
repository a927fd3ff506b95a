package sql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A malformed scope shows nothing and changes nothing.
func TestMalformedScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	before := contents(t, b.pool)
	for scope, word := range map[string]string{
		`x`:                             "invalid input syntax",
		` `:                             "invalid input syntax",
		`{`:                             "invalid input syntax",
		`null`:                          "JSON object",
		`[]`:                            "JSON object",
		`"x"`:                           "JSON object",
		`{"agent_id": []}`:              "unknown key",
		`{"Metadata": {}}`:              "unknown key",
		`{"metadata": null}`:            "metadata",
		`{"metadata": []}`:              "metadata",
		`{"metadata": {"a": "\u0000"}}`: "Unicode",
		`{"agent_ids": null}`:           "agent_ids",
		`{"agent_ids": {}}`:             "agent_ids",
		`{"agent_ids": "x"}`:            "agent_ids",
		`{"agent_ids": ["x"]}`:          "uuid",
		`{"agent_ids": [null]}`:         "agent_ids",
		`{"agent_ids": [["x"]]}`:        "agent_ids",
		`{"agent_types": null}`:         "agent_types",
		`{"agent_types": "research"}`:   "agent_types",
		`{"agent_types": [1]}`:          "agent_types",
		`{"agent_types": [["a"]]}`:      "agent_types",
		strings.Repeat(`[`, 100_000):    "stack depth",
	} {
		conn := b.db.Conn(t)
		_, err := conn.Exec(t.Context(), "select set_config('agentexec.scope', $1, false)", scope)
		require.NoError(t, err)
		for _, calls := range []map[string]string{writers, readers} {
			for name, call := range calls {
				if name == "activity_list" || name == "sweep" {
					continue // a view, which row-level security narrows; and a function that no scope narrows
				}
				_, err := conn.Exec(t.Context(), call, agent)
				requireRefused(t, err, "TA422", "agentexec.scope", word)
			}
		}
		_, err = conn.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, message) select a.id, 'x' from agentexec.activity a")
		requireRefused(t, err, "TA422", "agentexec.scope", word)
		require.NoError(t, conn.Close(t.Context()))
	}
	require.Equal(t, before, contents(t, b.pool))
}

// The setting is the session's or the transaction's.
func TestScopeSetting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := one[string](t, b.pool, `select agentexec.create_activity('x', metadata => '{"org": "1", "n": 1}')::text`)
	b.in("RUNNING")
	conn, _ := role(t, b.db, useSchema, executePublic, readTables)
	count := func() int { return one[int](t, conn, "select agentexec.count_active()") }
	require.Equal(t, 2, count())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `set local agentexec.scope = '{"metadata": {"org": "1"}}'`)
	require.NoError(t, err)
	require.Equal(t, 1, count())
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, 2, count(), "empty is everything")
	_, err = conn.Exec(t.Context(), `set agentexec.scope = '{"agent_ids": ["`+strings.ToUpper(mine)+`"], "metadata": {}}'`)
	require.NoError(t, err)
	require.Equal(t, 1, count())
	_, err = conn.Exec(t.Context(), `reset agentexec.scope`)
	require.NoError(t, err)
	require.Equal(t, 2, count())
}

// A direct insert obeys the scope too, and a line outside says what one of no activity says.
func TestScopeOfADirectInsert(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	id := one[string](t, b.pool, "select a.id::text from agentexec.activity a where a.agent_id = $1", agent)
	conn := b.db.Conn(t)
	insert := func() error {
		_, err := conn.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, message) values ($1, 'x')", id)
		return err
	}
	_, err := conn.Exec(t.Context(), `set agentexec.scope = '{"agent_types": ["write"]}'`)
	require.NoError(t, err)
	requireRefused(t, insert(), "TA404", "no activity with id "+id)
	_, err = conn.Exec(t.Context(), `set agentexec.scope = '{"agent_types": ["write", "research"]}'`)
	require.NoError(t, err)
	require.NoError(t, insert())
}

// In a scope that lists agent_ids, one of them must be given: a random one would lie outside.
func TestScopeOfANewActivity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.db.Conn(t)
	_, err := conn.Exec(t.Context(), `set agentexec.scope = '{"agent_ids": ["`+cursorID+`"]}'`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select agentexec.create_activity('x')")
	requireRefused(t, err, "42501", "outside agentexec.scope")
	require.Equal(t, cursorID, one[string](t, conn, "select agentexec.create_activity('x', agent_id => $1)::text", cursorID))
	_, err = conn.Exec(t.Context(), `set agentexec.scope = '{"metadata": {"org": "1"}}'`)
	require.NoError(t, err)
	for _, metadata := range []string{`null`, `{}`, `{"org": 1}`, `{"org": ["1"]}`} {
		_, err = conn.Exec(t.Context(), "select agentexec.create_activity('x', metadata => $1)", json.RawMessage(metadata))
		requireRefused(t, err, "42501")
	}
	_, err = conn.Exec(t.Context(), "select agentexec.create_activity('x', metadata => null)")
	requireRefused(t, err, "42501")
}
