package sql_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// filterCases are filters, with the organisations of setupOrgs that they take.
var filterCases = map[string][]string{
	`{"org": 42}`:                  {`42`, `42.0`},
	`{"org": 42.00}`:               {`42`, `42.0`},
	`{"org": "42"}`:                {`"42"`},
	`[{"org": 42}, {"org": "42"}]`: {`42`, `42.0`, `"42"`},
	`[{"org": "42"}]`:              {`"42"`},
	`[{"org": 9007199254740993}, {"org": "9007199254740993"}]`:      {`9007199254740993`, `"9007199254740993"`},
	`[{"org": 42, "team": "x"}, {"org": null}]`:                     {`42`, `42.0`, `null`},
	`[{"org": 42, "team": "y"}, {"org": "none"}]`:                   nil,
	`[{"org": {"id": 1}}, {"org": [7]}]`:                            {`{"id": 1, "x": 2}`, `[7, 8]`},
	`{"org": [7]}`:                                                  {`[7, 8]`},
	`[` + strings.Repeat(`{"org": "none"},`, 15) + `{"org": true}]`: {`true`},
	`[{"org": 42}, {}]`:                                             orgs,
	`[{}]`:                                                          orgs,
	`{}`:                                                            orgs,
}

var orgs = []string{`42`, `42.0`, `"42"`, `9007199254740993`, `9007199254740992`, `"9007199254740993"`, `null`, `true`, `{"id": 1, "x": 2}`, `[7, 8]`, ""}

// setupOrgs makes an activity for each of orgs; "" has no metadata.
func setupOrgs(b *bundle) map[uuid.UUID]string {
	b.Helper()
	made := map[uuid.UUID]string{}
	for _, org := range orgs {
		var metadata []byte
		if org != "" {
			metadata = fmt.Appendf(nil, `{"org": %s, "team": "x"}`, org)
		}
		made[one[uuid.UUID](b.T, b.pool, "select agentexec.create_activity('research', metadata => $1)", metadata)] = org
	}
	return made
}

// A filter is an object, or an array of objects of which at least one must match: for each function, and as a scope.
func TestMetadataFilterOfAlternatives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := setupOrgs(b)
	conn := b.db.Conn(t)
	for filter, want := range filterCases {
		shown := func(ids []uuid.UUID) []string {
			got := []string{}
			for _, id := range ids {
				got = append(got, made[id])
			}
			return got
		}
		listed := func(arguments string, args ...any) []string {
			var p page
			require.NoError(t, json.Unmarshal(one[json.RawMessage](t, conn, "select agentexec.list_activities("+arguments+")", args...), &p))
			return shown(p.agents())
		}
		require.ElementsMatch(t, want, listed("metadata_filter => $1", filter), filter)
		require.ElementsMatch(t, want, listed("metadata_filter => $1, after => agentexec._list_start()", filter), filter)
		require.Equal(t, len(want), one[int](t, conn, "select agentexec.count_active($1)", filter))
		require.Equal(t, len(want), one[int](t, conn, "select (agentexec.count_by_status(metadata_filter => $1)->>'QUEUED')::int", filter))
		for id, org := range made {
			for _, function := range []string{"activity_detail", "_detail_page"} {
				require.Equal(t, slices.Contains(want, org), one[bool](t, conn, "select agentexec."+function+"($1, metadata_filter => $2) is not null", id, filter))
			}
		}

		require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "select set_config('agentexec.scope', $1, true)", `{"metadata": `+filter+`}`)
			require.NoError(t, err)
			require.ElementsMatch(t, want, shown(all[uuid.UUID](t, tx, "select agentexec.pending_ids()")))
			require.Equal(t, len(want), one[int](t, tx, "select agentexec.count_active()"))
			require.ElementsMatch(t, want, listed(""))
			for id, org := range made {
				require.Equal(t, slices.Contains(want, org), one[bool](t, tx, "select agentexec.activity_detail($1) is not null", id))
			}
			return nil
		}))
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		require.Equal(t, len(want), one[int](t, tx, "select agentexec.cancel_pending(metadata_filter => $1)", filter), filter)
		require.NoError(t, tx.Rollback(t.Context()))
	}

	// A scope of alternatives is one for writers.
	_, err := conn.Exec(t.Context(), `set agentexec.scope = '{"metadata": [{"org": 42}, {"org": "42"}]}'`)
	require.NoError(t, err)
	for id, org := range made {
		_, err := conn.Exec(t.Context(), "select agentexec.append_log($1, 'x')", id)
		if slices.Contains([]string{`42`, `42.0`, `"42"`}, org) {
			require.NoError(t, err)
		} else {
			requireRefused(t, err, "TA404")
		}
	}
	_, err = conn.Exec(t.Context(), `select agentexec.create_activity('x', metadata => '{"org": "42"}')`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `select agentexec.create_activity('x', metadata => '{"org": "43"}')`)
	requireRefused(t, err, "42501")
}

func TestMetadataFilterRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.create("research")
	conn := b.db.Conn(t)
	for _, filter := range []string{`[]`, `[1]`, `[{}, 1]`, `[[]]`, `[[{}]]`, `[null]`, `[{"a": 1}, null]`, `1`, `"x"`, `true`,
		`[` + strings.Repeat(`{"a": 1},`, 16) + `{"a": 1}]`} {
		for _, call := range []string{"list_activities(", "activity_detail($2, ", "_detail_page($2, ", "count_active(", "count_by_status(", "cancel_pending("} {
			args := []any{filter}
			if strings.Contains(call, "$2") {
				args = append(args, agent)
			}
			_, err := conn.Exec(t.Context(), "select agentexec."+call+"metadata_filter => $1)", args...)
			requireRefused(t, err, "TA422", "metadata_filter", "object", "array")
		}
		_, err := conn.Exec(t.Context(), "select set_config('agentexec.scope', $1, false)", `{"metadata": `+filter+`}`)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "select agentexec.count_active()")
		requireRefused(t, err, "TA422", "agentexec.scope: metadata", "object")
		_, err = conn.Exec(t.Context(), "reset agentexec.scope")
		require.NoError(t, err)
	}
}

// Alternatives are looked up in the index of the metadata, in a filter and in a scope, whatever kind of plan is made.
func TestMetadataFilterUsesTheIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.db.Conn(t)
	for _, sql := range []string{
		"set session_replication_role = replica",
		`insert into agentexec.activity (agent_id, agent_type, last_seq, metadata)
			select gen_random_uuid(), 'bulk', 1, jsonb_build_object('org', case when n % 2 = 0 then to_jsonb(n) else to_jsonb(n::text) end) from generate_series(1, 20000) n`,
		"reset session_replication_role",
		"analyze agentexec.activity",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	t.Cleanup(func() { b.db.Exec(t, "truncate agentexec.activity cascade") })
	for condition, modes := range map[string][]string{
		"agentexec._matches(a.metadata, $1)": {"force_custom_plan", "force_generic_plan"},
		// A scope may ask nothing of metadata, which only a plan of its own knows.
		"agentexec._in_scope(null, null, $1, a.agent_id, a.agent_type, a.metadata)": {"force_custom_plan"},
	} {
		for _, mode := range modes {
			for _, sql := range []string{"set plan_cache_mode = " + mode, "prepare q(jsonb) as select a.id from agentexec.activity a where " + condition} {
				_, err := conn.Exec(t.Context(), sql)
				require.NoError(t, err)
			}
			plan := strings.Join(all[string](t, conn, `explain execute q('[{"org": 42}, {"org": "42"}]')`), "\n")
			require.Contains(t, plan, "activity_metadata_idx", "%s %s", condition, mode)
			_, err := conn.Exec(t.Context(), "deallocate q; reset plan_cache_mode")
			require.NoError(t, err)
		}
	}
	for _, call := range []string{"list_activities(metadata_filter => $1)", "count_active($1)", "count_by_status(metadata_filter => $1)"} {
		for range 8 { // also when the plans of the function might be generic
			require.LessOrEqual(t, measure(t, conn, "select agentexec."+call, `[{"org": 42}, {"org": "42"}]`).ActivityRows, 10, call)
		}
	}
}
