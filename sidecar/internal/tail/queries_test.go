package tail

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// TestTailPlan: a read of the tail costs what is new, whatever the size of the tables, also with a list watched.
func TestTailPlan(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Conn(t)
	for _, sql := range []string{
		"set session_replication_role = replica",
		`insert into agentexec.activity (agent_id, agent_type, last_seq) select gen_random_uuid(), 'bulk', 5 from generate_series(1, 20000)`,
		`insert into agentexec.activity_log (id, activity_id, seq, message, status, created_at)
			select row_number() over (), a.id, n, 'line', 'RUNNING', now() from agentexec.activity a, generate_series(1, 5) n`,
		"analyze agentexec.activity, agentexec.activity_log",
		sessionSettings,
		"prepare touched(text, text[]) as " + newQueries("agentexec").touched,
		"prepare lines(uuid[], int[], int[]) as " + newQueries("agentexec").lines,
		"prepare metadata(uuid[]) as " + newQueries("agentexec").metadata,
	} {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	}
	plan := func(call string) string {
		rows, err := conn.Query(t.Context(), "explain execute "+call, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		plan := strings.Join(lines, "\n")
		require.NotContains(t, plan, "Seq Scan on activity", plan)
		require.NotContains(t, plan, "Merge Join", plan)
		return plan
	}
	touched := plan("touched(txid_snapshot_xmax(txid_current_snapshot())::text, '{3,4}')")
	require.GreaterOrEqual(t, strings.Count(touched, "activity_log_xid_idx"), 2, touched)
	require.Contains(t, plan("lines(array[gen_random_uuid()], '{1}', '{3}')"), "activity_log_activity_id_seq")
	plan("metadata(array[gen_random_uuid()])")
}
