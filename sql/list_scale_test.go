package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// requireCheapLists shows that a list never reads more log rows than the page shows, and that no table is read whole:
// the rows that Postgres counted as read are exactly those shown, and one activity more to know whether there is more.
func requireCheapLists(t *testing.T, conn *pgx.Conn, activities, lines int) {
	for name, filter := range map[string]string{
		"Everything": "", "Running": "statuses => '{RUNNING}'", "Queued": "statuses => '{QUEUED}'",
		"Complete": "statuses => '{COMPLETE}'", "Canceled": "statuses => '{CANCELED}'",
		"Pending": "statuses => '{RUNNING,QUEUED}'", "QueuedOrComplete": "statuses => '{QUEUED,COMPLETE}'",
		"Failed": "statuses => '{ERROR,CANCELED}'", "EveryStatus": "statuses => '{RUNNING,QUEUED,COMPLETE,ERROR,CANCELED}'",
		"Type": "agent_type => 'type 7'", "TypeRunning": "agent_type => 'type 7', statuses => '{RUNNING}'",
		"TypeFailed": "agent_type => 'type 7', statuses => '{ERROR,CANCELED}'", "UnknownType": "agent_type => 'x'",
	} {
		t.Run(name, func(t *testing.T) {
			for _, pageSize := range []int{50, 1000} {
				requireCheapPages(t, conn, pageSize, filter)
			}
		})
	}

	t.Run("View", func(t *testing.T) {
		for _, tail := range []string{
			"order by created_at desc limit 50",
			"where status = 'RUNNING' order by created_at desc limit 50",
			"where status = 'COMPLETE' and created_at < '2026-01-01 05:00' order by created_at desc limit 50",
			"where agent_id = md5('77')::uuid",
			"where created_at between '2026-01-01 02:00' and '2026-01-01 02:00:12' order by created_at",
		} {
			var shown int
			require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from (select * from agentexec.activity_list "+tail+") x").Scan(&shown))
			require.NotZero(t, shown)
			c := requireCheap(t, conn, shown, shown+500, "select * from agentexec.activity_list "+tail)
			require.Equal(t, shown, c.LogRows)
		}
		// A sort comes before the look at the log, but an OFFSET after it: deep pages are for list_activities, or by key.
		require.Equal(t, 50, measure(t, conn, "select * from agentexec.activity_list order by updated_at desc limit 50").LogRows)
		require.Equal(t, 550, measure(t, conn, "select * from agentexec.activity_list order by created_at desc limit 50 offset 500").LogRows)
		// A query without the line does not read the log.
		require.Zero(t, measure(t, conn, "select agent_id, status from agentexec.activity_list order by created_at desc limit 50").LogRows)
		// The order of list_activities, for a query of one's own.
		requireCheap(t, conn, 50, 50, `select * from agentexec.activity_list where agent_type = 'type 7'
			order by case status when 'RUNNING' then 2 when 'QUEUED' then 1 else 0 end desc, created_at desc limit 50`)
	})

	t.Run("Metadata", func(t *testing.T) {
		filter := `metadata_filter => '{"org": "7", "team": 3}'`
		found := one[int](t, conn, "select (agentexec.list_activities("+filter+")->>'total')::int")
		require.NotZero(t, found)
		shown := min(found, 50)
		for _, sample := range []int{1, 10, 100} { // whatever the planner takes the filter for
			_, err := conn.Exec(t.Context(), fmt.Sprintf("alter table agentexec.activity alter column metadata set statistics %d; analyze agentexec.activity", sample))
			require.NoError(t, err)
			requireCheap(t, conn, shown, 3*found+50, "select agentexec.list_activities("+filter+")")
		}
		requireCheap(t, conn, 0, activities/50+50, "select agentexec.count_active("+filter+")")
		// Nearly a tenth of all: whatever the plan, no more lines than shown.
		c := measure(t, conn, `select agentexec.list_activities(metadata_filter => '{"team": 3}')`)
		require.Equal(t, 50, c.LogRows)
		require.Zero(t, c.LogSeqScans)
	})

	t.Run("MetadataByKey", func(t *testing.T) {
		// The usual sample is too small to tell one in 1,500 from one in 100; then the planner may walk, and rightly so.
		_, err := conn.Exec(t.Context(), "alter table agentexec.activity alter column metadata set statistics 10000; analyze agentexec.activity")
		require.NoError(t, err)
		// From a key among the finished: few matches are found by the metadata's index, not by a walk through the list.
		few := `agentexec.list_activities(page_size => 10, metadata_filter => '{"org": "7"}', `
		found := one[int](t, conn, "select (p->>'total')::int from "+few+"page => 1) p")
		next := one[string](t, conn, "select "+few+"page => 3)->>'next'")
		require.Equal(t, "0", next[:1])
		requireCheap(t, conn, 10, 3*found+50, "select "+few+"after => $1)", next)
		// Many matches are not sorted: the walk ends with the page, wherever it begins.
		many := `agentexec.list_activities(metadata_filter => '{"team": 3}', `
		for _, page := range []int{20, 150} {
			next := one[string](t, conn, fmt.Sprintf("select %spage => %d)->>'next'", many, page))
			require.Equal(t, "0", next[:1])
			requireCheap(t, conn, 50, 50*30, "select "+many+"after => $1)", next)
		}
	})

	t.Run("Scope", func(t *testing.T) {
		// A scope reads what the filter that says the same reads.
		for scope, filter := range map[string]string{
			`{"agent_types": ["type 7"]}`:                                "agent_type => 'type 7'",
			`{"metadata": {"org": "7", "team": 3}}`:                      `metadata_filter => '{"org": "7", "team": 3}'`,
			`{"agent_types": ["type 7"], "metadata": {"team": 3}}`:       `agent_type => 'type 7', metadata_filter => '{"team": 3}'`,
			`{"agent_types": ["type 7", "x"], "metadata": {"org": "7"}}`: `metadata_filter => '{"org": "7"}'`,
		} {
			for _, start := range []string{"", "after => agentexec._list_start()", "statuses => '{RUNNING}'"} {
				filtered := measure(t, conn, "select agentexec.list_activities("+strings.Trim(filter+", "+start, ", ")+")")
				_, err := conn.Exec(t.Context(), "set agentexec.scope = '"+scope+"'")
				require.NoError(t, err)
				scoped := measure(t, conn, "select agentexec.list_activities("+start+")")
				counted := measure(t, conn, "select agentexec.count_by_status()")
				_, err = conn.Exec(t.Context(), "reset agentexec.scope")
				require.NoError(t, err)
				require.LessOrEqual(t, scoped.ActivityRows, filtered.ActivityRows+filtered.ActivityRows/10+60, "%s %s", scope, start)
				require.LessOrEqual(t, scoped.LogRows, 51)
				require.Less(t, counted.ActivityRows, activities/5, scope)
			}
		}
		// And one of ids reads these.
		_, err := conn.Exec(t.Context(), `select set_config('agentexec.scope', jsonb_build_object('agent_ids', jsonb_build_array(md5('77')::uuid))::text, false)`)
		require.NoError(t, err)
		for _, call := range []string{"list_activities()", "count_by_status()", "count_active()"} {
			require.LessOrEqual(t, measure(t, conn, "select agentexec."+call).ActivityRows, 5, call)
		}
		_, err = conn.Exec(t.Context(), "reset agentexec.scope")
		require.NoError(t, err)
	})

	t.Run("NoWorkersForTotals", func(t *testing.T) {
		// Where the planner would have workers read the table, and them alone, this process still reads it all.
		for _, call := range []string{"count_by_status()", "list_activities(page_size => 1)"} {
			require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
				for _, setting := range []string{"enable_indexscan = off", "enable_indexonlyscan = off", "enable_bitmapscan = off",
					"parallel_setup_cost = 0", "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0", "parallel_leader_participation = off"} {
					_, err := tx.Exec(t.Context(), "set local "+setting)
					require.NoError(t, err)
				}
				const read = "select seq_tup_read from pg_stat_xact_all_tables where relid = 'agentexec.activity'::regclass"
				before := one[int](t, tx, read)
				_, err := tx.Exec(t.Context(), "select agentexec."+call)
				require.NoError(t, err)
				require.GreaterOrEqual(t, one[int](t, tx, read)-before, activities, call)
				return nil
			}))
		}
	})

	t.Run("OtherReaders", func(t *testing.T) {
		requireCheap(t, conn, 0, activities/50, "select agentexec.count_active()")
		requireCheap(t, conn, 0, activities/50, "select * from agentexec.pending_ids()")
		requireCheap(t, conn, lines, 1, "select agentexec.activity_detail(md5('77')::uuid)")
		requireCheap(t, conn, 2, 1, "select agentexec.activity_detail(md5('77')::uuid, after_seq => 1, log_limit => 2)")
		requireCheap(t, conn, 0, 1, "select agentexec.activity_detail(md5('77')::uuid, after_seq => $1)", lines)
		require.Zero(t, measure(t, conn, "select agentexec.count_by_status()").LogRows)
	})
}

// requireCheapPages reads pages by number and by key. By key the cost is the same at any depth.
func requireCheapPages(t *testing.T, conn *pgx.Conn, pageSize int, filter string) {
	t.Helper()
	call := fmt.Sprintf("agentexec.list_activities(page_size => %d", pageSize)
	if filter != "" {
		call += ", " + filter
	}
	var total int
	for _, page := range []int{1, 2, 30} {
		page := fmt.Sprintf("%s, page => %d)", call, page)
		var shown int
		require.NoError(t, conn.QueryRow(t.Context(), "select jsonb_array_length(p->'items'), (p->>'total')::int from "+page+" p").Scan(&shown, &total))
		c := requireCheap(t, conn, shown, shown+1, "select "+page)
		require.Equal(t, shown, c.LogRows)
	}
	for _, depth := range []int{1, total / 3 / pageSize, total/pageSize - 1} {
		if depth < 1 || depth*pageSize >= total {
			continue
		}
		next := one[string](t, conn, fmt.Sprintf("select %s, page => %d)->>'next'", call, depth))
		requireCheap(t, conn, pageSize, pageSize+1, "select "+call+", after => $1)", next)
		require.LessOrEqual(t, fewestBlocks(t, conn, "select "+call+", after => $1)", next), 100+12*pageSize, "at page %d", depth)
	}
}
