package sql_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// writes counts rows written.
type writes struct {
	Updated  int // rows of activity
	Hot      int // of these, those that touched no index and moved to no other page
	Inserted int // lines
}

func countWrites(t *testing.T, q querier) writes {
	t.Helper()
	rows, err := q.Query(t.Context(), `select a.n_tup_upd as updated, a.n_tup_hot_upd as hot, l.n_tup_ins as inserted
		from pg_stat_xact_all_tables a, pg_stat_xact_all_tables l
		where a.relid = 'agentexec.activity'::regclass and l.relid = 'agentexec.activity_log'::regclass`)
	require.NoError(t, err)
	w, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[writes])
	require.NoError(t, err)
	return w
}

// requireWrites runs f in a transaction and compares what it wrote.
func requireWrites(b *bundle, want writes, f func(q querier)) {
	b.Helper()
	tx, err := b.pool.Begin(b.Context())
	require.NoError(b, err)
	before := countWrites(b.T, tx)
	f(tx)
	after := countWrites(b.T, tx)
	require.NoError(b, tx.Commit(b.Context()))
	require.Equal(b, want, writes{after.Updated - before.Updated, after.Hot - before.Hot, after.Inserted - before.Inserted})
}

// A line without a new status changes no indexed column: one HOT update, which leaves the indexes alone.
func TestCommonLineIsAHotUpdate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, d := range doors {
		for _, status := range []*string{nil, ptr("RUNNING")} {
			agent := b.in("RUNNING")
			requireWrites(b, writes{Updated: 1, Hot: 1, Inserted: 1}, func(q querier) {
				require.NoError(t, d.write(t.Context(), q, line{agent: agent, message: "x", percentage: ptr(50), status: status}), d.name)
			})
		}
	}
}

// A trailing line of a finished activity is a HOT update too, although its end and its duration are indexed.
func TestTrailingLineIsAHotUpdate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, d := range doors {
		for _, status := range []string{"COMPLETE", "ERROR", "CANCELED"} {
			agent := b.in(status)
			requireWrites(b, writes{Updated: 1, Hot: 1, Inserted: 1}, func(q querier) {
				require.NoError(t, d.write(t.Context(), q, line{agent: agent, message: "x"}), d.name)
			})
		}
	}
}

// The set-based writers update each activity once, however many lines it gets.
func TestSetBasedWritersUpdateEachActivityOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents := []uuid.UUID{b.in("RUNNING"), b.in("RUNNING"), b.in("RUNNING")}
	var entries []entry
	for i := range 3000 {
		entries = append(entries, line{agent: agents[i%3], message: "x", percentage: ptr(i % 101)}.entry())
	}
	requireWrites(b, writes{Updated: 3, Hot: 3, Inserted: 3000}, func(q querier) {
		require.Equal(t, 3, one[int](t, q, "select count(*) from agentexec.append_logs($1)", entries))
	})
	for i, agent := range agents {
		require.Equal(t, 1002, readActivity(t, b.pool, agent).LastSeq)
		require.Equal(t, (2997+i)%101, *readActivity(t, b.pool, agent).LatestPercentage)
	}
	requireWrites(b, writes{Updated: 3, Inserted: 3}, func(q querier) {
		require.Equal(t, 3, one[int](t, q, "select agentexec.cancel_pending()"))
	})
}

// The order of entries is the order of lines, of ids, and of statuses, whatever the messages.
func TestAppendLogsKeepsTheOrderGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent, other := b.create("research"), b.create("research")
	require.Equal(t, []string{"6 RUNNING 2", "2 QUEUED 1"}, all[string](t, b.pool,
		"select format('%s %s %s', r.last_seq, r.status, r.attempt) from agentexec.append_logs($1) r", []entry{
			{"agent_id": agent, "message": "z", "percentage": 90, "status": "RUNNING"},
			{"agent_id": other, "message": "o"},
			{"agent_id": agent, "message": "y"},
			{"agent_id": agent, "message": "x", "percentage": 10, "status": "ERROR"},
			{"agent_id": agent, "message": "w"},
			{"agent_id": agent, "message": "v", "status": "RUNNING"},
		}))
	require.Equal(t, []string{"Agent queued QUEUED", "z RUNNING", "y RUNNING", "x ERROR", "w ERROR", "v RUNNING"},
		all[string](t, b.pool, `select l.message || ' ' || l.status from agentexec.activity_log l
			join agentexec.activity a on a.id = l.activity_id where a.agent_id = $1 order by l.id`, agent))
	got := readActivity(t, b.pool, agent)
	require.Equal(t, activity{Status: "RUNNING", LatestPercentage: ptr(10), LastSeq: 6, Attempt: 2, UpdatedAt: got.UpdatedAt,
		StartedAt: got.StartedAt}, got)
	require.Equal(t, 2, readActivity(t, b.pool, other).LastSeq)
}
