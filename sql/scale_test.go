package sql_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// The size of the big database; these variables ask for another, such as 1000000 and 10.
const (
	envActivities = "AGENTEXEC_TEST_ACTIVITIES"
	envLines      = "AGENTEXEC_TEST_LINES"
)

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	require.NoError(t, err, name)
	return n
}

// TestReadersAtScale counts the rows that readers read in a large database. Making it is half of the work, so they share it.
func TestReadersAtScale(t *testing.T) {
	t.Parallel()
	conn, activities, lines := setupBig(t)
	t.Run("Sorts", func(t *testing.T) { requireCheapSorts(t, conn, activities) })
	t.Run("Lists", func(t *testing.T) { requireCheapLists(t, conn, activities, lines) })
	t.Run("Stats", func(t *testing.T) { requireCheapStats(t, conn, activities) }) // last, because it changes rows
}

// setupBig makes a database of many activities, 2 in 100 pending, in 20 types; set by set and past the triggers, with
// the indexes made afterwards.
func setupBig(t *testing.T) (conn *pgx.Conn, activities, lines int) {
	t.Helper()
	activities, lines = fromEnv(t, envActivities, 100_000), fromEnv(t, envLines, 5)
	conn = pgtest.New(t).Conn(t)
	for _, sql := range []string{
		`set session_replication_role = replica`,
		`set jit = off`, // costs time and changes no number of rows read
		`set maintenance_work_mem = '256MB'`,
		`create temp table secondary as select i.indexrelid::regclass as name, pg_get_indexdef(i.indexrelid) as definition
			from pg_index i where i.indrelid in ('agentexec.activity'::regclass, 'agentexec.activity_log'::regclass)
				and not exists (select from pg_constraint k where k.conindid = i.indexrelid)`,
		`do $$ declare d record; begin for d in table pg_temp.secondary loop execute 'drop index ' || d.name; end loop; end $$`,
		fmt.Sprintf(`insert into agentexec.activity (id, agent_id, agent_type, status, latest_percentage, last_seq, metadata,
				created_at, started_at, updated_at, finished_at)
			select lpad(to_hex(n), 32, '0')::uuid, md5(n::text)::uuid, 'type ' || abs(hashint4(n)) %% 20, s.status, 50, %d,
				case when n %% 3 > 0 then jsonb_build_object('org', (n / 10 %% 1000)::text, 'team', n %% 7) end,
				c.at, case when s.status <> 'QUEUED' then c.at end, c.at, case when s.status not in ('QUEUED', 'RUNNING') then c.at end
			from generate_series(1, %d) n
			cross join lateral (select timestamptz '2026-01-01' + make_interval(secs => n / 4) as at) c
			cross join lateral (select (case when n %% 100 = 0 then 'RUNNING' when n %% 100 = 1 then 'QUEUED'
				when n %% 100 < 8 then 'ERROR' when n %% 100 < 12 then 'CANCELED' else 'COMPLETE' end)::agentexec.status) s(status)`,
			lines, activities),
		`insert into agentexec.activity_log (id, activity_id, seq, message, status, percentage, created_at)
			select nextval('agentexec.activity_log_id_seq'), a.id, s.seq, 'line ' || s.seq, a.status, 50, a.created_at
			from agentexec.activity a cross join generate_series(1, a.last_seq) s(seq)`,
		`do $$ declare d record; begin for d in table pg_temp.secondary loop execute d.definition; end loop; end $$`,
		`reset session_replication_role`,
		`vacuum analyze agentexec.activity`,
		`vacuum analyze agentexec.activity_log`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	return conn, activities, lines
}

// cost is what a statement read, itself and in the functions it called.
type cost struct {
	LogSeqScans      int
	LogRows          int // fetched through an index
	ActivitySeqScans int
	ActivityRows     int
	Blocks           int // hit or read, in any table or index
}

// measure runs a query in a transaction of its own and returns what it read.
func measure(t *testing.T, conn *pgx.Conn, sql string, args ...any) cost {
	t.Helper()
	var c cost
	counters := func(tx pgx.Tx) cost {
		rows, err := tx.Query(t.Context(), `select l.seq_scan as log_seq_scans, l.idx_tup_fetch as log_rows,
				a.seq_scan as activity_seq_scans, a.idx_tup_fetch as activity_rows, 0 as blocks
			from pg_stat_xact_all_tables l, pg_stat_xact_all_tables a
			where l.relid = 'agentexec.activity_log'::regclass and a.relid = 'agentexec.activity'::regclass`)
		require.NoError(t, err)
		c, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[cost])
		require.NoError(t, err)
		return c
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		// Workers would count for themselves.
		_, err := tx.Exec(t.Context(), "set local max_parallel_workers_per_gather = 0")
		require.NoError(t, err)
		before := counters(tx)
		var plans []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		plan := one[json.RawMessage](t, tx, "explain (analyze, buffers, timing off, format json) "+sql, args...)
		require.NoError(t, json.Unmarshal(plan, &plans))
		after := counters(tx)
		c = cost{after.LogSeqScans - before.LogSeqScans, after.LogRows - before.LogRows,
			after.ActivitySeqScans - before.ActivitySeqScans, after.ActivityRows - before.ActivityRows,
			plans[0].Plan.Hit + plans[0].Plan.Read}
		return nil
	}))
	return c
}

// fewestBlocks is how many blocks a query reads, in the cheapest of three runs: one may also read the catalog, at first and
// where autovacuum has just analyzed a table.
func fewestBlocks(t *testing.T, conn *pgx.Conn, sql string, args ...any) int {
	t.Helper()
	blocks := math.MaxInt
	for range 3 {
		blocks = min(blocks, measure(t, conn, sql, args...).Blocks)
	}
	return blocks
}

// requireCheap checks that a query read no table whole, and of each at most so many rows.
func requireCheap(t *testing.T, conn *pgx.Conn, logRows, activityRows int, sql string, args ...any) cost {
	t.Helper()
	c := measure(t, conn, sql, args...)
	require.Zero(t, c.LogSeqScans, sql)
	require.Zero(t, c.ActivitySeqScans, sql)
	require.LessOrEqual(t, c.LogRows, logRows, sql)
	require.LessOrEqual(t, c.ActivityRows, activityRows, sql)
	return c
}
