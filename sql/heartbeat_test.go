package sql_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// life is the data about the worker of an activity.
type life struct {
	ExpectEvery *float64
	Stale       bool
	Silence     float64 // seconds since the last heartbeat or line
}

// readLife reads it from the detail, and checks that the list, the counts and the view agree.
func readLife(t *testing.T, b *bundle, agent uuid.UUID) life {
	t.Helper()
	var l life
	require.NoError(t, b.pool.QueryRow(t.Context(), `select (d ->> 'expect_every')::float8, (d ->> 'stale')::bool,
			extract(epoch from statement_timestamp() - (d ->> 'last_seen_at')::timestamptz)::float8
		from agentexec.activity_detail($1, log_limit => 0) d`, agent).Scan(&l.ExpectEvery, &l.Stale, &l.Silence))
	for what, sql := range map[string]string{
		"list": `select (i ->> 'stale')::bool from jsonb_array_elements(agentexec.list_activities() -> 'items') i where i ->> 'agent_id' = $1::text`,
		"stale list": `select exists (select from jsonb_array_elements(agentexec.list_activities(stale => true) -> 'items') i
			where i ->> 'agent_id' = $1::text)`,
		"list of others": `select not exists (select from jsonb_array_elements(agentexec.list_activities(stale => false) -> 'items') i
			where i ->> 'agent_id' = $1::text)`,
		"view": "select stale from agentexec.activity_list where agent_id = $1::text::uuid",
	} {
		require.Equal(t, l.Stale, one[bool](t, b.pool, sql, agent.String()), what)
	}
	require.Equal(t, l.ExpectEvery, one[*float64](t, b.pool,
		"select extract(epoch from expect_every)::float8 from agentexec.activity_list where agent_id = $1", agent))
	require.Equal(t, one[int](t, b.pool, "select count(*) from agentexec.activity_list where stale"),
		one[int](t, b.pool, "select (agentexec.count_by_status() ->> 'stale')::int"))
	require.Equal(t, one[int](t, b.pool, "select (agentexec.list_activities(stale => true) ->> 'total')::int"),
		one[int](t, b.pool, "select (agentexec.count_by_status() ->> 'stale')::int"))
	return l
}

// silent moves the last heartbeat and the last line of an activity back in time.
func (b *bundle) silent(agent uuid.UUID, since string) {
	b.Helper()
	b.exec(`with a as (
			update agentexec.activity set created_at = created_at - $2::text::interval, started_at = started_at - $2::text::interval,
				updated_at = updated_at - $2::text::interval where agent_id = $1 returning id
		), l as (update agentexec.activity_log l set created_at = l.created_at - $2::text::interval from a where l.activity_id = a.id)
		update agentexec.activity_heartbeat h set beat_at = h.beat_at - $2::text::interval from a where h.activity_id = a.id`, agent, since)
}

// awaitUptime returns when the server has run for that long, because stale counts from its start.
func awaitUptime(t *testing.T, b *bundle, uptime time.Duration) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), "select pg_sleep_until(pg_postmaster_start_time() + $1::text::interval)", uptime.String())
	require.NoError(t, err)
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	awaitUptime(t, b, 4*time.Second)
	agent := b.in("RUNNING")
	require.Nil(t, readLife(t, b, agent).ExpectEvery, "no promise, never stale")
	b.silent(agent, "10 years")
	require.False(t, readLife(t, b, agent).Stale)

	before := contents(t, b.pool)
	require.Equal(t, "(RUNNING,1,f,)", one[string](t, b.pool, "select agentexec.heartbeat($1)::text", agent))
	require.Equal(t, before, contents(t, b.pool), "it touches neither the activity nor its log")
	require.Equal(t, ptr(60.0), readLife(t, b, agent).ExpectEvery)
	b.exec("select agentexec.heartbeat($1, '2.5 s')", agent)
	b.exec("select agentexec.heartbeat($1)", agent)
	got := readLife(t, b, agent)
	require.Equal(t, ptr(2.5), got.ExpectEvery, "null keeps the promise")
	require.False(t, got.Stale)
	require.Less(t, got.Silence, 2.0)

	b.silent(agent, "3 s")
	got = readLife(t, b, agent)
	require.True(t, got.Stale)
	require.Greater(t, got.Silence, 2.9)
	require.Equal(t, "RUNNING", readActivity(t, b.pool, agent).Status, "stale changes no status")

	b.exec("select agentexec.heartbeat($1)", agent)
	require.False(t, readLife(t, b, agent).Stale)
	b.silent(agent, "3 s")
	require.True(t, readLife(t, b, agent).Stale)
	b.exec("select agentexec.append_log($1, 'a line counts too')", agent)
	require.False(t, readLife(t, b, agent).Stale)

	b.silent(agent, "3 s")
	require.Equal(t, "COMPLETE", callForLine(b, "complete($1)", agent).Status, "a stale activity may end as any other")
	got = readLife(t, b, agent)
	require.Nil(t, got.ExpectEvery)
	require.False(t, got.Stale)
}

// The promise ends with the run, for every way to end it, and a heartbeat after the run writes nothing.
func TestPromiseEndsWithTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, end := range map[string]string{
		"COMPLETE": "select agentexec.complete($1)",
		"ERROR":    "select agentexec.error($1)",
		"CANCELED": "select agentexec.cancel($1, grace => '0')",
		"pending":  "select agentexec.cancel_pending() from (select $1::uuid) x",
		"QUEUED":   "select agentexec.append_log($1, 'x', status => 'QUEUED')",
		"batch":    "select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x', 'status', 'COMPLETE')))",
		"again":    "select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x', 'status', 'ERROR'), jsonb_build_object('agent_id', $1::uuid, 'message', 'x', 'status', 'RUNNING')))",
		"insert":   "insert into agentexec.activity_log (activity_id, message, status) select id, 'x', 'COMPLETE' from agentexec.activity where agent_id = $1",
		"forced":   "select agentexec.sweep() from agentexec.cancel($1, grace => '1 microsecond')",
	} {
		agent := b.in("RUNNING")
		b.exec("select agentexec.heartbeat($1, '1 s')", agent)
		require.Equal(t, 1, one[int](t, b.pool, "select count(*) from agentexec.activity_heartbeat"), name)
		b.exec(end, agent)
		require.Zero(t, one[int](t, b.pool, "select count(*) from agentexec.activity_heartbeat"), name)
		if a := readActivity(t, b.pool, agent); a.FinishedAt != nil {
			require.Equal(t, a.Status, one[string](t, b.pool, "select status::text from agentexec.heartbeat($1)", agent), name)
			require.Zero(t, one[int](t, b.pool, "select count(*) from agentexec.activity_heartbeat"), name)
		}
	}
	queued := b.create("research")
	require.Equal(t, "QUEUED", one[string](t, b.pool, "select status::text from agentexec.heartbeat($1, '1 s')", queued))
	b.exec("select agentexec.append_log($1, 'go', status => 'RUNNING')", queued)
	require.Equal(t, ptr(1.0), readLife(t, b, queued).ExpectEvery, "a promise made before the start holds for the run")
}

func TestHeartbeatBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	for _, every := range []string{"0", "999 ms", "-1 s", "1 day 1 microsecond", "1 year", "1 month", "178000000 years", "-1 month 30 days 10 s"} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.heartbeat($1, $2::text::interval)", agent, every)
		requireRefused(t, err, "TA422", "expect_every", "1 second", "1 day")
	}
	for _, every := range []string{"1 s", "1 day", "24 hours"} {
		b.exec("select agentexec.heartbeat($1, $2::text::interval)", agent, every)
	}
	_, err := b.pool.Exec(t.Context(), "select agentexec.heartbeat($1)", uuid.New())
	requireRefused(t, err, "TA404", "no activity")
	_, err = b.pool.Exec(t.Context(), "select agentexec.heartbeat(null)")
	requireRefused(t, err, "TA404", "null")

	conn := b.db.Conn(t)
	_, err = conn.Exec(t.Context(), `set agentexec.scope = '{"agent_types": ["other"]}'`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select agentexec.heartbeat($1)", agent)
	requireRefused(t, err, "TA404")
	require.NoError(t, conn.QueryRow(t.Context(), "select agentexec.count_by_status() ->> 'stale'").Scan(new(string)))
}

// A heartbeat does not wait for an open transaction of the worker, whatever that wrote.
func TestHeartbeatWaitsForNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, write := range map[string]string{
		"line":          "select agentexec.append_log($1, 'long work')",
		"end":           "select agentexec.complete($1)",
		"beat":          "select agentexec.heartbeat($1)",
		"end of a beat": "select agentexec.complete($1) from agentexec.heartbeat($1)",
		"lock":          "select from agentexec.activity where agent_id = $1 for no key update",
		"batch":         "select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x', 'status', 'ERROR')))",
	} {
		for _, beatBefore := range []bool{true, false} {
			agent := b.in("RUNNING")
			if beatBefore {
				b.exec("select agentexec.heartbeat($1, '1 s')", agent)
			}
			worker, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = worker.Exec(t.Context(), write, agent)
			require.NoError(t, err)

			free := name == "line" || name == "lock" // the row of the heartbeat
			if free && beatBefore {
				b.exec("update agentexec.activity_heartbeat set beat_at = beat_at - interval '1 hour'")
			}
			beat := b.db.Conn(t)
			_, err = beat.Exec(t.Context(), "set lock_timeout = '1 ms'")
			require.NoError(t, err)
			require.Equal(t, "RUNNING", one[string](t, beat, "select status::text from agentexec.heartbeat($1)", agent), name)
			if free {
				require.Less(t, one[float64](t, b.pool, "select extract(epoch from clock_timestamp() - beat_at)::float8 from agentexec.activity_heartbeat h join agentexec.activity a on a.id = h.activity_id where a.agent_id = $1", agent), 20.0)
			}
			require.NoError(t, worker.Commit(t.Context()))
			require.NoError(t, beat.Close(t.Context()))
			b.exec("delete from agentexec.activity where agent_id = $1", agent)
		}
	}
}

// A heartbeat writes one row and its update is HOT, because no index has the time of a heartbeat.
func TestHeartbeatsAreHot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.exec("select agentexec.heartbeat($1)", agent)
	conn := b.db.Conn(t)
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{})
	require.NoError(t, err)
	for range 5 {
		_, err := tx.Exec(t.Context(), "select agentexec.heartbeat($1)", agent)
		require.NoError(t, err)
	}
	require.Equal(t, "5 5 0", one[string](t, tx, `select format('%s %s %s', pg_stat_get_xact_tuples_updated(c), pg_stat_get_xact_tuples_hot_updated(c),
		pg_stat_get_xact_tuples_updated('agentexec.activity'::regclass)) from (select 'agentexec.activity_heartbeat'::regclass::oid as c) x`))
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, []string{"agentexec.activity_heartbeat_pkey"}, all[string](t, b.pool,
		"select indexrelid::regclass::text from pg_index where indrelid = 'agentexec.activity_heartbeat'::regclass"))
}

// A new promise is kept while other heartbeats of the activity come at the same time.
func TestPromisesAreKeptBesideOtherHeartbeats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.exec("select agentexec.heartbeat($1)", agent)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 3 {
		conn := b.db.Conn(t)
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := conn.Exec(t.Context(), "select agentexec.heartbeat($1)", agent); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 100 {
		every := 1 + n
		b.exec("select agentexec.heartbeat($1, make_interval(secs => $2))", agent, float64(every))
		require.Equal(t, every, one[int](t, b.pool, "select extract(epoch from expect_every)::int from agentexec.activity_heartbeat"))
	}
	stop()
	group.Wait()
}

// A first heartbeat that is committed after the end of its run stays behind, and a sweep deletes it.
func TestSweepDeletesHeartbeatsOfTheFinished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	late, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = late.Exec(t.Context(), "select agentexec.heartbeat($1, '1 s')", agent)
	require.NoError(t, err)
	b.exec("select agentexec.complete($1)", agent)
	require.NoError(t, late.Commit(t.Context()))
	require.Equal(t, 1, one[int](t, b.pool, "select count(*) from agentexec.activity_heartbeat"))
	require.Nil(t, readLife(t, b, agent).ExpectEvery)
	b.exec("update agentexec.activity_heartbeat set beat_at = beat_at - interval '1 hour'")
	b.exec("select agentexec.sweep()")
	require.Zero(t, one[int](t, b.pool, "select count(*) from agentexec.activity_heartbeat"))
}
