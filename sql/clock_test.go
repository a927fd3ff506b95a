package sql_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// When the server's clock is set back, time still does not run backwards against seq.
func TestTimeNeverRunsBackwards(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	future := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Microsecond)
	b.exec("update agentexec.activity set updated_at = $1 where agent_id = $2", future, agent)
	b.exec("update agentexec.activity_log set created_at = $1 where seq = 2", future)
	b.exec("update agentexec.activity set started_at = $1", future)

	at := func() time.Time {
		t.Helper()
		a := readActivity(t, b.pool, agent)
		require.Equal(t, a.UpdatedAt, readLine(t, b.pool, agent, a.LastSeq).CreatedAt)
		return a.UpdatedAt.UTC()
	}
	for _, d := range doors {
		for _, status := range []*string{nil, ptr("QUEUED"), ptr("ERROR"), ptr("RUNNING")} {
			require.NoError(t, d.write(t.Context(), b.pool, line{agent: agent, message: "x", status: status}))
			require.Equal(t, future, at(), d.name)
		}
	}
	require.Equal(t, 1, one[int](t, b.pool, "select agentexec.cancel_pending()"))
	require.Equal(t, future, at())
	require.Equal(t, future, readActivity(t, b.pool, agent).FinishedAt.UTC())
}

// A line's time is read when the lock of its activity is had, so what waited long is not older than what it waited for.
func TestTimeIsReadUnderTheLock(t *testing.T) {
	t.Parallel()
	writers := map[string]string{
		"append_log":       "select (agentexec.append_log('%s', 'x')).seq",
		"append_logStatus": "select (agentexec.append_log('%s', 'x', status => 'ERROR')).seq",
		"append_logs":      `select last_seq from agentexec.append_logs('[{"agent_id": "%s", "message": "x"}]')`,
		"Insert":           "insert into agentexec.activity_log (activity_id, message) select id, 'x' from agentexec.activity where agent_id = '%s' returning seq",
		"cancel":           "select (agentexec.cancel('%s')).seq",
		"cancel_pending":   "select canceled from agentexec._cancel_pending(null, null, null, 'Canceled', '1 minute') -- %s",
	}
	shared := setup(t)
	for name, writer := range writers {
		for _, end := range []string{"Commit", "Rollback"} {
			t.Run(name+end, func(t *testing.T) {
				b := &bundle{T: t, db: shared.db, pool: shared.pool}
				agent := b.in("RUNNING")
				for i := range 8 {
					b.create(fmt.Sprint(i)) // others, so that cancel_pending reads on
				}
				holder, err := b.pool.Begin(t.Context())
				require.NoError(t, err)
				_, err = holder.Exec(t.Context(), "select agentexec.append_log($1, 'first')", agent)
				require.NoError(t, err)

				wait := background[int](b, fmt.Sprintf(writer, agent))
				awaitBlocked(b)
				_, err = holder.Exec(t.Context(), "select pg_sleep(0.02)") // longer than what counts as a wait
				require.NoError(t, err)
				released := one[time.Time](t, b.pool, "select clock_timestamp()")
				want := []string{"go", "x"}
				if end == "Commit" {
					want = []string{"first", "x"}
					require.NoError(t, holder.Commit(t.Context()))
				} else {
					require.NoError(t, holder.Rollback(t.Context()))
				}
				wait()
				require.Equal(t, want, lastMessages(b, agent))
				got := readActivity(t, b.pool, agent)
				require.False(t, got.UpdatedAt.Before(released))
				require.Equal(t, got.UpdatedAt, readLine(t, b.pool, agent, got.LastSeq).CreatedAt)
			})
		}
	}
}

// awaitBlocked returns when a session waits for a lock, or cancel_pending waits to try again.
func awaitBlocked(b *bundle) {
	b.Helper()
	for one[int](b.T, b.pool, `select count(*) from pg_stat_activity a
		where a.datname = current_database() and (a.wait_event_type = 'Lock' or a.wait_event = 'PgSleep')`) == 0 {
		<-time.After(5 * time.Millisecond)
	}
}

// lastMessages returns the messages of the last two lines, that of a cancel standing as x.
func lastMessages(b *bundle, agent uuid.UUID) []string {
	return all[string](b.T, b.pool, `select case when l.message in ('Canceled', 'Cancel requested') then 'x' else l.message end from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id
		where a.agent_id = $1 and l.seq > a.last_seq - 2 order by l.seq`, agent)
}
