package sql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// A percentage is taken in every type of number, rounded down, and refused alike out of its bounds.
func TestPercentageOfEveryType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	calls := func(value string) map[string]string {
		calls := map[string]string{}
		for _, typ := range []string{"", "::smallint", "::int", "::bigint", "::real", "::double precision", "::numeric"} {
			if strings.Contains(typ, "int") && strings.ContainsAny(value, ".eNI") {
				continue
			}
			calls["append_log"+typ] = fmt.Sprintf("select percentage from agentexec.append_log('%s', 'x', '%s'%s)", agent, value, typ)
			calls["complete"+typ] = fmt.Sprintf("select percentage from agentexec.complete('%s', 'x', '%s'%s)", b.in("RUNNING"), value, typ)
		}
		return calls
	}
	for value, want := range map[string]int{"0": 0, "-0.0": 0, "0.9": 0, "33": 33, "33.3": 33, "99.99": 99, "100": 100, "1e2": 100} {
		for name, call := range calls(value) {
			require.Equal(t, want, one[int](t, b.pool, call), "%s %s", name, value)
		}
		b.exec("select agentexec.append_logs($1)", json.RawMessage(fmt.Sprintf(`[{"agent_id": %q, "message": "x", "percentage": %s}]`, agent, value)))
		require.Equal(t, want, *readActivity(t, b.pool, agent).LatestPercentage, value)
	}
	for _, value := range []string{"-1", "-0.5", "100.5", "101", "1e30", "-1e30", "NaN", "Infinity", "-Infinity"} {
		for name, call := range calls(value) {
			if strings.Contains(name, "smallint") {
				continue
			}
			_, err := b.pool.Exec(t.Context(), call)
			requireRefused(t, err, "TA422", "percentage must be between 0 and 100")
		}
	}
}

// A direct INSERT rounds a fraction to the nearest integer before its bounds are checked, because the column is an integer.
func TestInsertRoundsAPercentage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	insert := "insert into agentexec.activity_log (activity_id, message, percentage) select a.id, 'x', %s from agentexec.activity a where a.agent_id = $1 returning percentage"
	for value, want := range map[string]int{"55.7": 56, "55.4": 55, "100.4": 100, "-0.4": 0} {
		require.Equal(t, want, one[int](t, b.pool, fmt.Sprintf(insert, value), agent))
	}
	for _, value := range []string{"100.6", "-0.6"} {
		_, err := b.pool.Exec(t.Context(), fmt.Sprintf(insert, value), agent)
		requireRefused(t, err, "TA422", "percentage must be between 0 and 100")
	}
}

// Text is a status in upper or lower case wherever a status is asked for.
func TestStatusAsText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, typ := range []string{"text", "varchar"} {
		for _, status := range []string{"RUNNING", "running", "Running", "queued", "complete", "error", "canceled"} {
			agent := b.in("RUNNING")
			require.Equal(t, strings.ToUpper(status), one[string](t, b.pool,
				"select status::text from agentexec.append_log($1, 'x', status => $2::"+typ+")", agent, status))
		}
		for _, status := range []string{"", " running", "done", "rünning", "cancelled", strings.Repeat("x", 100000)} {
			_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, 'x', status => $2::"+typ+")", b.in("RUNNING"), status)
			requireRefused(t, err, "TA422", "status must be one of QUEUED, RUNNING, COMPLETE, ERROR, CANCELED, got")
			require.Less(t, len(err.Error()), 400)
		}
		require.Equal(t, 1, one[int](t, b.pool, "select (agentexec.list_activities(statuses => $1::"+typ+"[]::agentexec.status[], page_size => 1)->>'page')::int",
			[]string{"running", "QUEUED"}))
		_, err := b.pool.Exec(t.Context(), "select agentexec.list_activities(statuses => $1::"+typ+"[]::agentexec.status[])", []string{"running", "x"})
		requireRefused(t, err, "TA422", "status must be one of")
	}
	agent := b.create("research")
	require.Nil(t, one[*string](t, b.pool, "select null::text::agentexec.status::text"))
	b.exec("insert into agentexec.activity_log (activity_id, message, status) values ($1, 'x', $2::text)", activityID(b, agent), "running")
	require.Equal(t, "RUNNING", readActivity(t, b.pool, agent).Status)
	b.exec("select agentexec.append_logs($1)", []entry{{"agent_id": agent, "message": "x", "status": "Complete"}})
	require.Equal(t, "COMPLETE", readActivity(t, b.pool, agent).Status)

	// An untyped literal or parameter is read by the type itself, which knows upper case only.
	_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, 'x', status => 'running')", uuid.New())
	requireRefused(t, err, "22P02")
}

// No result of a function, and no column that an ORM reads back, has a type that drivers cannot read.
func TestNoXid8IsReturned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, all[string](t, b.pool, `select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
		where c.relnamespace = 'agentexec'::regnamespace and c.relkind in ('r', 'v', 'c', 'p') and a.attnum > 0
		and a.atttypid not in ('uuid'::regtype, 'text'::regtype, 'int'::regtype, 'bigint'::regtype, 'jsonb'::regtype, 'boolean'::regtype,
			'timestamptz'::regtype, 'interval'::regtype, 'agentexec.status'::regtype, 'agentexec.question_state'::regtype)`))
}
