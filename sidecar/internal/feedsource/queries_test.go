package feedsource

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// TestReplayReadsNoMoreThanItSends: lines behind those that fit are neither read from the TOAST table nor converted.
func TestReplayReadsNoMoreThanItSends(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Conn(t)
	for _, sql := range []string{
		"set session_replication_role = replica",
		`insert into agentexec.activity (agent_id, agent_type, last_seq) values ('01234567-89ab-cdef-0123-456789abcdef', 'bulk', 100)`,
		`insert into agentexec.activity_log (id, activity_id, seq, message, status, data, created_at)
			select n, a.id, n, 'line', 'RUNNING', d.data, now() from agentexec.activity a, generate_series(1, 100) n,
				(select to_jsonb(string_agg(md5(i::text), '')) as data from generate_series(1, 3000) i) d`,
		"set jit = off; set max_parallel_workers_per_gather = 0; set plan_cache_mode = force_generic_plan",
		"prepare replay(uuid, int, int, int, text) as " + newFeedQueries("agentexec").replay,
	} {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	}
	blocks := func(bytes int) (lines int, blocks float64) {
		var plans []struct {
			Plan map[string]any
		}
		row := conn.QueryRow(t.Context(), fmt.Sprintf(`explain (analyze, buffers, timing off, format json)
			execute replay('01234567-89ab-cdef-0123-456789abcdef', 0, 500, %d, null)`, bytes), pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, row.Scan(&plans))
		figure := func(name string) float64 {
			value, ok := plans[0].Plan[name].(float64)
			require.True(t, ok, name)
			return value
		}
		return int(figure("Actual Rows")), figure("Shared Hit Blocks") + figure("Shared Read Blocks")
	}
	lines, whole := blocks(1 << 30)
	require.Equal(t, 100, lines)
	lines, few := blocks(5 * 96_500)
	require.Equal(t, 5, lines)
	require.Less(t, few, whole/8)
	lines, _ = blocks(1)
	require.Equal(t, 1, lines)
}
