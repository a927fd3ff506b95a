package doctor_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/doctor"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// examine returns the findings that are not ok, and checks that each has what it needs.
func examine(t *testing.T, conn *pgx.Conn) map[string]doctor.Finding {
	t.Helper()
	found, err := doctor.Examine(t.Context(), conn, doctor.Config{Schema: "agentexec"})
	require.NoError(t, err)
	bad := map[string]doctor.Finding{}
	for _, f := range found {
		require.NotEmpty(t, f.Check)
		require.NotEmpty(t, f.Found)
		if f.Level != doctor.OK {
			require.NotEmpty(t, f.Advice, f.Found)
			bad[f.Check] = f
		}
	}
	return bad
}

// Each fault is found by its own check, and by no other.
func TestEachFaultIsFound(t *testing.T) {
	t.Parallel()
	for check, fault := range map[string]struct {
		sql   string
		level doctor.Level
		found string
	}{
		"schema": {"grant execute on function agentexec.sweep(int) to public", doctor.Problem, "may execute 1 functions that need a grant"},
		"drift": {`drop index agentexec.activity_root_idx; drop function agentexec.prune(timestamptz, text, agentexec.status[], int, boolean);
			alter table agentexec.activity_log disable trigger activity_log_take;
			create or replace function agentexec.decline(agent_id uuid, key text, answered_by text default null) returns agentexec.question
			language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as 'begin return null; end'`,
			doctor.Problem, "function decline has another body, function prune is missing, index activity_root_idx is missing, trigger activity_log_take is disabled"},
		"stale": {`select agentexec.append_log(agentexec.create_activity('research'), 'x', status => 'RUNNING');
			select agentexec.heartbeat(agent_id, '1 s') from agentexec.activity; select pg_sleep(1.2)`, doctor.Problem, "1 activity stale"},
		"roles": {"grant select on agentexec.activity_log to public", doctor.Problem, "every role has rights to these tables"},
		"sweep": {`select agentexec.append_log(agentexec.create_activity('research'), 'x', status => 'RUNNING');
			select agentexec.heartbeat(agent_id, '1 day') from agentexec.activity;
			select agentexec.cancel(agent_id) from agentexec.activity; update agentexec.activity set cancel_force_at = now() - interval '1 hour'`,
			doctor.Problem, "1 grace period and 0 questions"},
		"cancels": {`select agentexec.append_log(agentexec.create_activity('research'), 'x', status => 'RUNNING');
			select agentexec.heartbeat(agent_id, '1 day') from agentexec.activity;
			select agentexec.cancel(agent_id, grace => null) from agentexec.activity; update agentexec.activity set updated_at = now() - interval '1 hour'`,
			doctor.Problem, "1 activity RUNNING with a cancel requested"},
		"heartbeats": {"select agentexec.append_log(agentexec.create_activity('research'), 'x', status => 'RUNNING')",
			doctor.Warning, "the RUNNING activity, of type research, has no promise"},
		"questions": {"select agentexec.ask(agentexec.create_activity('research'), 'k', 'Go on?'); update agentexec.question set asked_at = now() - interval '3 days'",
			doctor.Warning, "the oldest for 3 days"},
		"foreign lines": {"select agentexec.create_activity('research'); update agentexec.activity_log set xid = 9000000000000", doctor.Warning, "higher transaction ids"},
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.New(t).Conn(t)
			_, err := conn.Exec(t.Context(), "select agentexec.set_retention('30 days')")
			require.NoError(t, err)
			healthy := examine(t, conn)
			delete(healthy, "wake-up") // no sidecar runs here
			require.Empty(t, healthy)

			_, err = conn.Exec(t.Context(), fault.sql)
			require.NoError(t, err)
			bad := examine(t, conn)
			delete(bad, "wake-up")
			require.Contains(t, bad, check)
			require.Equal(t, fault.level, bad[check].Level)
			require.Contains(t, bad[check].Found, fault.found)
			require.Len(t, bad, 1, bad)
		})
	}
}

// TestManyCancelsWereForced: most of the workers did not answer their cancels.
func TestManyCancelsWereForced(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Conn(t)
	for i := range 3 {
		_, err := conn.Exec(t.Context(), "select agentexec.append_log(agentexec.create_activity('research'), 'x', status => 'RUNNING')")
		require.NoError(t, err)
		if i == 0 {
			_, err = conn.Exec(t.Context(), "select agentexec.append_log(agent_id, 'ended by its worker', status => 'CANCELED') from agentexec.activity")
			require.NoError(t, err)
			require.NotContains(t, examine(t, conn), "cancels")
		}
	}
	_, err := conn.Exec(t.Context(), "select agentexec.cancel(agent_id, grace => '0') from agentexec.activity where status = 'RUNNING'")
	require.NoError(t, err)
	bad := examine(t, conn)
	require.Equal(t, doctor.Warning, bad["cancels"].Level)
	require.Contains(t, bad["cancels"].Found, "2 of the last 3 cancels of running activities were never")
}

// TestWakeup: whether a session waits for notifications, and whether it is one of ours.
func TestWakeup(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	bad := examine(t, conn)
	require.Equal(t, doctor.Warning, bad["wake-up"].Level)
	require.Contains(t, bad["wake-up"].Found, "no sidecar is connected")
	named := func(name string) *pgx.Conn {
		other := db.Conn(t)
		_, err := other.Exec(t.Context(), "select pg_catalog.set_config('application_name', $1, false)", name)
		require.NoError(t, err)
		return other
	}
	named("agentexec tail")
	require.Contains(t, examine(t, conn)["wake-up"].Found, "1 sidecar connected without a listener")
	listener := named("agentexec listener")
	require.NotContains(t, examine(t, conn), "wake-up")
	require.NoError(t, listener.Close(t.Context()))
	require.Eventually(t, func() bool { return examine(t, conn)["wake-up"].Found != "" }, time.Minute, 50*time.Millisecond)

	pool := db.Pool(t)
	c := client.New(pool)
	id, err := c.Create(t.Context(), "research", "")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := range c.Watch(ctx, id, 0) { // its lines are of no interest
			if err != nil {
				return
			}
		}
	}()
	require.Eventually(t, func() bool { return examine(t, conn)["wake-up"].Found == "" }, time.Minute, 50*time.Millisecond)
	cancel()
	<-done
}

// TestListener: a notification comes back, and where its connection cannot be opened that is a problem.
func TestListener(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	require.NotContains(t, examine(t, conn), "listener")
	nowhere := conn.Config()
	nowhere.OnNotification = nil
	nowhere.Host, nowhere.Port, nowhere.Fallbacks = "127.0.0.1", 1, nil
	found, err := doctor.Examine(t.Context(), conn, doctor.Config{Schema: "agentexec", Listen: nowhere})
	require.NoError(t, err)
	at := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.Check == "listener" })
	require.Equal(t, doctor.Problem, found[at].Level)
	require.Contains(t, found[at].Found, "cannot be opened")
	require.Contains(t, found[at].Advice, "AGENTEXEC_LISTEN_URL")
}

// TestWithoutRights: what a role may not see is a finding, not the end of the examination.
func TestWithoutRights(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	role := "doctor_" + db.Name
	db.Exec(t, "create role "+role+"; grant usage on schema agentexec to "+role+"")
	t.Cleanup(func() { db.Exec(t, "reset role"); db.Exec(t, "drop owned by "+role); db.Exec(t, "drop role "+role) })
	conn := db.Conn(t)
	_, err := conn.Exec(t.Context(), "set role "+role)
	require.NoError(t, err)
	bad := examine(t, conn)
	require.Contains(t, bad["retention"].Found, "could not be checked: ERROR: permission denied")
	require.Contains(t, bad["retention"].Advice, "agentexec_sidecar")
}

func TestRetentionIsMissed(t *testing.T) {
	t.Parallel()
	bad := examine(t, pgtest.New(t).Conn(t))
	require.Equal(t, doctor.Warning, bad["retention"].Level)
	require.Contains(t, bad["retention"].Found, "nothing is ever deleted")
	require.Contains(t, bad["retention"].Found, "a day")
}

// TestSentencesHaveTheRightNumber: one thing is named in the singular, and nothing is said of what there is none of.
func TestSentencesHaveTheRightNumber(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Conn(t)
	said := func(check string) string {
		t.Helper()
		found, err := doctor.Examine(t.Context(), conn, doctor.Config{Schema: "agentexec"})
		require.NoError(t, err)
		at := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.Check == check })
		require.GreaterOrEqual(t, at, 0)
		return found[at].Found
	}
	require.Equal(t, "no running activity was canceled", said("cancels"))
	require.Equal(t, "no activity is RUNNING", said("heartbeats"))
	require.Regexp(t, ` a day over 1 day$`, said("retention"))

	db.Exec(t, "select agentexec.append_log(agentexec.create_activity('research'), 'x', status => 'RUNNING')")
	require.Equal(t, "the RUNNING activity, of type research, has no promise of its worker, so it can never be shown as stale", said("heartbeats"))
	db.Exec(t, "select agentexec.heartbeat(agent_id, '1 hour') from agentexec.activity")
	require.Equal(t, "the RUNNING activity has a promise of its worker", said("heartbeats"))
	db.Exec(t, "select agentexec.append_log(agent_id, 'ended by its worker', status => 'CANCELED') from agentexec.activity")
	require.Equal(t, "the worker answered the last cancel of a running activity", said("cancels"))
}

func TestSchemaIsMissing(t *testing.T) {
	t.Parallel()
	found, err := doctor.Examine(t.Context(), pgtest.New(t).Conn(t), doctor.Config{Schema: "other"})
	require.NoError(t, err)
	require.Equal(t, []doctor.Finding{{Check: "schema", Level: doctor.Problem, Found: "the schema is not installed", Advice: "run: agentexec migrate"}}, found)
}
