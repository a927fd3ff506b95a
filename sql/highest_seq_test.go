package sql_test

import (
	"math"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// An activity at the highest seq takes no more lines, and says so; it stands in no other's way.
func TestHighestSeq(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	b := &bundle{T: t, db: db, pool: db.Pool(t)} // without the invariants: there are no 2,147,483,647 lines
	agent := b.in("RUNNING")
	b.exec("update agentexec.activity set last_seq = $1 where agent_id = $2", math.MaxInt32-2, agent)
	for _, d := range doors[:2] {
		require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: "one of the last two"}))
	}
	require.Equal(t, math.MaxInt32, readActivity(t, b.pool, agent).LastSeq)
	before := contents(t, b.pool)
	for _, d := range doors {
		for _, status := range []*string{nil, ptr("RUNNING"), ptr("COMPLETE")} {
			err := d.write(t.Context(), b.pool, line{agent: agent, message: "x", status: status})
			requireRefused(t, err, "TA422", agent.String(), "highest seq", "2147483647")
		}
	}
	_, err := b.pool.Exec(t.Context(), "select agentexec.cancel($1)", agent)
	requireRefused(t, err, "TA422", "highest seq")
	require.Equal(t, before, contents(t, b.pool))

	// Several lines at once, of which the last would be one too many.
	b.exec("update agentexec.activity set last_seq = $1 where agent_id = $2", math.MaxInt32-10, agent)
	entries := []entry{line{agent: b.in("RUNNING"), message: "x"}.entry()}
	for range 11 {
		entries = append(entries, line{agent: agent, message: "x"}.entry())
	}
	_, err = b.pool.Exec(t.Context(), "select agentexec.append_logs($1)", entries)
	requireRefused(t, err, "TA422", agent.String(), "highest seq")
	_, err = b.pool.Exec(t.Context(), "insert into agentexec.activity_log (activity_id, message) select $1, 'x' from generate_series(1, 11)", activityID(b, agent))
	requireRefused(t, err, "TA422", agent.String(), "highest seq")

	b.exec("update agentexec.activity set last_seq = $1 where agent_id = $2", math.MaxInt32, agent)
	others := []uuid.UUID{b.in("RUNNING"), b.in("QUEUED")}
	require.Equal(t, "3 canceled, 1 skipped", one[string](t, b.pool,
		"select n || ' canceled, ' || current_setting('agentexec.skipped') || ' skipped' from agentexec.cancel_pending() n"))
	for _, other := range others {
		require.Equal(t, "CANCELED", readActivity(t, b.pool, other).Status)
	}
}
