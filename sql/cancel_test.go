package sql_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// cancelOf returns the object "cancel" of an activity as text. Of its times, it has only whether force_at is set.
func cancelOf(t *testing.T, b *bundle, agent uuid.UUID) string {
	t.Helper()
	const of = `coalesce((%[1]s ->> 'seq') || ' ' || (%[1]s ->> 'message') || ' ' || coalesce(%[1]s ->> 'requested_by', '-')
		|| case when %[1]s ->> 'requested_at' is not null then ' at' else '' end
		|| case when %[1]s ->> 'force_at' is not null then ' force' else '' end || case when (%[1]s ->> 'forced')::bool then ' forced' else '' end, 'none')`
	got := one[string](t, b.pool, "select "+fmt.Sprintf(of, "(d -> 'cancel')")+" from agentexec.activity_detail($1) d", agent)
	require.Equal(t, got, one[string](t, b.pool, "select "+fmt.Sprintf(of, "(i -> 'cancel')")+
		" from jsonb_array_elements(agentexec.list_activities() -> 'items') i where i ->> 'agent_id' = $1::text", agent.String()))
	return got
}

// stopping returns the activities that a list with this argument has, in every sort, and checks that the counts agree.
func stopping(t *testing.T, b *bundle, yes bool) []string {
	t.Helper()
	const ids = "select coalesce(array_agg(i ->> 'agent_id' order by i ->> 'agent_id'), '{}') from jsonb_array_elements(agentexec.list_activities(stopping => $1%s) -> 'items') i"
	found := one[[]string](t, b.pool, fmt.Sprintf(ids, ""), yes)
	for _, more := range []string{", sort => 'activity'", ", sort => 'duration'", ", \"order\" => 'asc'", ", statuses => '{RUNNING,COMPLETE,ERROR,CANCELED}'", ", agent_type => 'research'", ", since => now() - interval '1 h'"} {
		require.Equal(t, found, one[[]string](t, b.pool, fmt.Sprintf(ids, more), yes), more)
	}
	const count = "select sum(n::int)::int from jsonb_each_text(agentexec.count_by_status(stopping => $1)) c(status, n) where status <> 'stale'"
	require.Equal(t, len(found), one[int](t, b.pool, count, yes))
	return found
}

// A cancel of a running activity is a request that every answer to the worker repeats, until the worker ends it.
func TestCancelIsARequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for end, status := range map[string]string{"append_log($1, 'stopped', status => 'CANCELED')": "CANCELED", "complete($1)": "COMPLETE", "error($1)": "ERROR"} {
		agent := b.in("RUNNING")
		require.Equal(t, "none", cancelOf(t, b, agent))
		require.False(t, one[bool](t, b.pool, "select cancel_requested from agentexec.append_log($1, 'x')", agent))
		line := callForLine(b, "cancel($1, 'enough', '1 hour', 'ann')", agent)
		require.Equal(t, "RUNNING", line.Status)
		require.JSONEq(t, `{"requested_by": "ann"}`, *line.Data)
		require.Equal(t, "4 enough ann at force", cancelOf(t, b, agent))
		require.InDelta(t, 3600, one[float64](t, b.pool, "select extract(epoch from cancel_force_at - updated_at)::float8 from agentexec.activity where agent_id = $1", agent), 30)

		for name, call := range map[string]string{
			"append_log":    "select cancel_requested from agentexec.append_log($1, 'x', 50)",
			"append_logs":   "select cancel_requested from agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x')))",
			"heartbeat":     "select cancel_requested and cancel_message = 'enough' from agentexec.heartbeat($1)",
			"activity_list": "select cancel_requested from agentexec.activity_list where agent_id = $1",
		} {
			require.True(t, one[bool](t, b.pool, call, agent), name)
		}
		require.Equal(t, "RUNNING", readActivity(t, b.pool, agent).Status)
		require.Equal(t, []string{agent.String()}, stopping(t, b, true))
		require.NotContains(t, stopping(t, b, false), agent.String())
		require.Equal(t, status, callForLine(b, end, agent).Status)
		require.Empty(t, stopping(t, b, true))
		require.Contains(t, stopping(t, b, false), agent.String())
		require.Equal(t, "4 enough ann at force", cancelOf(t, b, agent), "what was asked for stays known")
		b.exec("update agentexec.activity set cancel_force_at = clock_timestamp() where agent_id = $1", agent)
		require.JSONEq(t, `{"forced": 0, "expired": 0, "pruned": 0}`, one[string](t, b.pool, "select agentexec.sweep()::text"))
	}
}

// QUEUED and ERROR become CANCELED at once, so a failed attempt gets no retry.
func TestCancelOfQueuedAndError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for from, cancel := range map[string]string{"QUEUED": "2 Cancel requested bob at", "ERROR": "4 Cancel requested bob at"} {
		agent := b.in(from)
		require.Equal(t, "CANCELED", callForLine(b, "cancel($1, requested_by => 'bob')", agent).Status)
		require.Equal(t, cancel, cancelOf(t, b, agent))
		_, err := b.pool.Exec(t.Context(), "select agentexec.append_log($1, 'go', status => 'RUNNING')", agent)
		requireRefused(t, err, "TA409", "CANCELED", "RUNNING")
		require.True(t, one[bool](t, b.pool, "select cancel_requested from agentexec.append_log($1, 'late')", agent))
		require.Equal(t, "CANCELED", callForLine(b, "cancel($1)", agent).Status, "as before: a trailing line")
		require.Equal(t, cancel, cancelOf(t, b, agent))
	}
	done := b.in("COMPLETE")
	before := contents(t, b.pool)
	for _, call := range []string{"cancel($1)", "cancel($1, grace => '0')", "cancel($1, grace => null)"} {
		_, err := b.pool.Exec(t.Context(), "select agentexec."+call, done)
		requireRefused(t, err, "TA409", "COMPLETE", "CANCELED")
		_, err = b.pool.Exec(t.Context(), "select agentexec."+call, uuid.New())
		requireRefused(t, err, "TA404")
	}
	require.Equal(t, before, contents(t, b.pool))
}

// After a request, every way to write refuses a retry.
func TestNoRetryAfterARequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, status := range []string{"QUEUED", "RUNNING"} {
		for _, d := range doors {
			agent := b.in("RUNNING")
			b.exec("select agentexec.cancel($1)", agent)
			b.exec("select agentexec.error($1)", agent)
			before := contents(t, b.pool)
			requireRefused(t, d.write(t.Context(), b.pool, line{agent: agent, message: "again", status: &status}), "TA409", "cancel requested", agent.String())
			require.Equal(t, before, contents(t, b.pool), d.name)
			require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: "late"}), d.name)
			require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: "stopped", status: ptr("CANCELED")}), d.name)
		}
	}
	agent := b.in("RUNNING")
	b.exec("select agentexec.cancel($1)", agent)
	_, err := b.pool.Exec(t.Context(), "select agentexec.append_logs($1)", []entry{
		{"agent_id": agent, "message": "x"}, {"agent_id": agent, "message": "x", "status": "ERROR"}, {"agent_id": agent, "message": "x", "status": "RUNNING"}})
	requireRefused(t, err, "TA409", "entries[2]", "cancel requested")
}

// A repeated request writes no second line, and the shorter grace period counts.
func TestCancelAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	left := func() float64 {
		return one[float64](t, b.pool, "select coalesce(extract(epoch from cancel_force_at - clock_timestamp()), -1)::float8 from agentexec.activity where agent_id = $1", agent)
	}
	first := callForLine(b, "cancel($1, 'first', null, 'ann')", agent)
	require.Negative(t, left(), "never forced")
	for grace, want := range map[string]float64{"2 hours": 7200} {
		require.Equal(t, first, callForLine(b, "cancel($1, 'second', '"+grace+"', 'bob')", agent))
		require.InDelta(t, want, left(), 30)
	}
	callForLine(b, "cancel($1, grace => '1 year')", agent) // 360 days as Postgres compares intervals
	require.InDelta(t, 7200, left(), 30)
	callForLine(b, "cancel($1, grace => null)", agent)
	require.InDelta(t, 7200, left(), 30)
	callForLine(b, "cancel($1, grace => '1 hour')", agent)
	require.InDelta(t, 3600, left(), 30)
	require.Equal(t, []string{"Agent queued", "go", "first"}, messages(b, agent))

	forced := callForLine(b, "cancel($1, 'now', '0', 'bob')", agent)
	require.Equal(t, "CANCELED", forced.Status)
	require.JSONEq(t, `{"requested_by": "bob", "forced": true}`, *forced.Data)
	require.Equal(t, "3 first ann at force forced", cancelOf(t, b, agent))
	require.Equal(t, "CANCELED", one[string](t, b.pool, "select status::text from agentexec.append_log($1, 'still here')", agent))

	once := b.in("RUNNING")
	require.Equal(t, "CANCELED", callForLine(b, "cancel($1, grace => '0')", once).Status)
	require.Equal(t, "3 Cancel requested - at force forced", cancelOf(t, b, once))
}

func TestCancelBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	before := contents(t, b.pool)
	for call, word := range map[string]string{
		"cancel($1, grace => '-1 s')":                  "grace",
		"cancel($1, grace => '365 days 1 second')":     "grace",
		"cancel($1, grace => '178000000 years')":       "grace",
		"cancel($1, grace => '-178000000 years')":      "grace",
		"cancel($1, requested_by => repeat('x', 256))": "requested_by",
		"cancel($1, null)":                             "message",
		"cancel($1, repeat('x', 1048577))":             "message",
		"cancel($1, repeat('x', 1048577), '0')":        "message",
	} {
		_, err := b.pool.Exec(t.Context(), "select agentexec."+call, agent)
		requireRefused(t, err, "TA422", word)
	}
	require.Equal(t, before, contents(t, b.pool))
	b.exec("select agentexec.cancel($1, repeat('m', 1048576), '365 days', repeat('ü', 255))", agent)
	require.Equal(t, 500, one[int](t, b.pool, "select length(agentexec.activity_detail($1) -> 'cancel' ->> 'message')", agent))
	require.Equal(t, 1048576, one[int](t, b.pool, "select length(cancel_message) from agentexec.heartbeat($1)", agent))

	conn := b.db.Conn(t)
	_, err := conn.Exec(t.Context(), `set agentexec.scope = '{"agent_types": ["other"]}'`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select agentexec.cancel($1)", agent)
	requireRefused(t, err, "TA404")
}

// A request sends one notification with the agent_id, and a repeated request sends none.
func TestCancelNotifiesWorkers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	worker := b.db.Conn(t)
	_, err := worker.Exec(t.Context(), "listen agentexec_cancel; listen done")
	require.NoError(t, err)
	agent, queued := b.in("RUNNING"), b.create("research")
	for _, call := range []string{"cancel($1)", "cancel($1)", "append_log($1, 'x')"} {
		b.exec("select agentexec."+call, agent)
	}
	b.exec("select agentexec.cancel($1)", queued)
	b.exec("notify done")
	var got []string
	for {
		n, err := worker.WaitForNotification(t.Context())
		require.NoError(t, err)
		if n.Channel == "done" {
			break
		}
		got = append(got, n.Payload)
	}
	require.Equal(t, []string{agent.String(), queued.String()}, got)
}

// Of many sweeps at the same time, one forces each due cancel once. A locked activity is left for the next sweep.
func TestSweep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var due []uuid.UUID
	for range 40 {
		agent := b.in("RUNNING")
		b.exec("select agentexec.cancel($1, grace => '1 microsecond')", agent)
		due = append(due, agent)
	}
	later, never := b.in("RUNNING"), b.in("RUNNING")
	b.exec("select agentexec.cancel($1, grace => '1 hour')", later)
	b.exec("select agentexec.cancel($1, grace => null)", never)
	worker, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = worker.Exec(t.Context(), "select agentexec.append_log($1, 'busy')", due[0])
	require.NoError(t, err)
	require.Equal(t, 7, one[int](t, b.pool, "select (agentexec.sweep(7) ->> 'forced')::int"))

	var forced [4]int
	var group sync.WaitGroup
	for i := range forced {
		conn := b.db.Conn(t)
		group.Go(func() {
			for range 20 {
				var n int
				if err := conn.QueryRow(t.Context(), "select (agentexec.sweep() ->> 'forced')::int").Scan(&n); err != nil {
					t.Error(err)
				}
				forced[i] += n
			}
		})
	}
	group.Wait()
	require.Equal(t, 32, forced[0]+forced[1]+forced[2]+forced[3])
	require.NoError(t, worker.Commit(t.Context()))
	require.Equal(t, 1, one[int](t, b.pool, "select (agentexec.sweep() ->> 'forced')::int"))
	for _, agent := range due {
		require.Equal(t, "3 Cancel requested - at force forced", cancelOf(t, b, agent))
		require.Equal(t, "CANCELED", readActivity(t, b.pool, agent).Status)
		require.Equal(t, 1, one[int](t, b.pool, `select count(*) from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
			where a.agent_id = $1 and l.data = '{"forced": true}' and l.status = 'CANCELED' and l.cancel_requested`, agent))
	}
	for _, agent := range []uuid.UUID{later, never} {
		require.Equal(t, "RUNNING", readActivity(t, b.pool, agent).Status)
	}
	require.Equal(t, "CANCELED", one[string](t, b.pool, "select status::text from agentexec.append_log($1, 'the worker goes on')", due[0]))
	for _, rows := range []string{"0", "-1", "100001", "null"} {
		_, err := b.pool.Exec(t.Context(), "select agentexec.sweep("+rows+")")
		requireRefused(t, err, "TA422", "max_rows")
	}
}

// A sweep finds the due cancels by an index that an ordinary line does not touch.
func TestSweepUsesTheIndex(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec("select agentexec.create_activity('x') from generate_series(1, 3000)")
	b.exec("analyze agentexec.activity")
	conn := b.db.Conn(t)
	_, err := conn.Exec(t.Context(), "select agentexec.sweep(); select pg_stat_force_next_flush()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return one[bool](t, conn, "select idx_scan > 0 from pg_stat_user_indexes where indexrelname = 'activity_cancel_due_idx'")
	}, 20*time.Second, 10*time.Millisecond)
}

// A sweep does not wait for another one.
func TestSweepsDoNotWait(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.exec("select agentexec.cancel($1, grace => '1 microsecond')", agent)
	first, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = first.Exec(t.Context(), "select agentexec.sweep()")
	require.NoError(t, err)
	require.JSONEq(t, `{"forced": 0, "expired": 0, "pruned": 0}`, one[string](t, b.pool, "select agentexec.sweep()::text"))
	require.NoError(t, first.Rollback(t.Context()))
	require.JSONEq(t, `{"forced": 1, "expired": 0, "pruned": 0}`, one[string](t, b.pool, "select agentexec.sweep()::text"))
}
