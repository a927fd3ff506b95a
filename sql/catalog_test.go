package sql_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sql"
)

// The catalog shows nothing that would break an upgrade or a caller later.
func TestCatalog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	procs := func(where string) []string {
		t.Helper()
		return all[string](t, b.pool, `select p.proname from pg_proc p join pg_language l on l.oid = p.prolang
			where p.pronamespace = 'agentexec'::regnamespace and (`+where+`) order by 1`)
	}

	// Two functions of one name make a call with defaults "not unique".
	names := procs("true")
	require.Len(t, slices.Compact(slices.Clone(names)), len(names), "two functions of one name: %v", names)

	// Nothing is there that the files do not make: a function that was dropped or renamed is listed as retired.
	declared := []string{"_installed"} // pkg/migrate makes it, for it tells what was applied
	for _, found := range regexp.MustCompile(`(?m)^create or replace function agentexec\.(\w+)\(`).
		FindAllStringSubmatch(sql.Functions+sql.Triggers, -1) {
		declared = append(declared, found[1])
	}
	slices.Sort(declared)
	require.Equal(t, declared, names)

	// Every function pins its search_path or has a body that was parsed at its creation. The exceptions run with every line or heartbeat;
	// they qualify every name and operator instead (TestPlantedObjectsNeverRun).
	require.Equal(t, []string{"_send_wakeup", "append_log", "heartbeat"},
		procs("p.prosqlbody is null and not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']"))

	// The owner's rights are for these.
	require.Equal(t, []string{"_number_line", "_take_lines", "_withdraw_questions", "answer", "append_log", "append_logs", "ask", "cancel",
		"cancel_pending", "complete", "create_activity", "decline", "error", "get_question", "heartbeat", "prune", "set_retention", "sweep",
		"withdraw"}, procs("p.prosecdef"))

	// A SET clause would hide a reader's plan from the planner.
	require.Empty(t, procs("l.lanname = 'sql' and p.proconfig is not null"))
	require.Empty(t, procs("l.lanname = 'sql' and p.prosqlbody is null"))
}
