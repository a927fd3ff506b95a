package sidecar_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// chownLike gives a file to the owner of another one: Postgres does not run as root.
func chownLike(path string, info os.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// far starts a sidecar that reaches its database through a proxy only; the test itself reaches it directly.
func far(t *testing.T, tweaks ...func(*sidecar.Config)) (*service, *proxy) {
	t.Helper()
	db := pgtest.New(t)
	p, through := before(t, db.URL)
	tweaks = append(tweaks, func(cfg *sidecar.Config) { cfg.DatabaseURL = through })
	return start(t, db, tweaks...), p
}

// TestSlowDatabase: a database that is far away, behind a thin line. Everything takes longer, and nothing else happens.
func TestSlowDatabase(t *testing.T) {
	t.Parallel()
	s, p := far(t)
	id := s.create(t)
	so, list := s.open(t), s.list(t, `{}`)
	so.sub(t, "a", id, 0)
	p.slow(20*time.Millisecond, 800<<10)
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for n := range 40 {
				s.append(t, id, fmt.Sprint("writer ", w, " line ", n))
			}
		})
	}
	so.lines(t, 0, 81)
	writers.Wait()
	s.bulk(t, id, 1<<20) // more than a second of the line
	so.skim(t, 81, 32)
	late := s.open(t)
	late.sub(t, "a", id, 0)
	late.skim(t, 0, 113)
	s.awaitReadiness(t, http.StatusOK, "healthy")
	p.slow(0, 0)
	s.append(t, id, "last")
	so.lines(t, 113, 1)
	late.lines(t, 113, 1)
	list.shows(t, s, `select (agentexec.list_activities()->'items')::text, agentexec.count_by_status()::text`)
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// port is where the server sees a session of the sidecar come from; 0 where there is none.
func (s *service) port(t testing.TB, application string) (port int) {
	t.Helper()
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(), `
		select coalesce(max(a.client_port), 0) from pg_stat_activity a
		where a.datname = current_database() and a.application_name = $1`, application).Scan(&port))
	return port
}

// TestListenerGoesSilent: the listener's connection goes silent, and the kernel reports no error. The probe does not arrive,
// so the listener reconnects. Lines go on meanwhile.
func TestListenerGoesSilent(t *testing.T) {
	t.Parallel()
	s, p := far(t)
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 0)
	so.skim(t, 0, 1)
	s.awaitReadiness(t, http.StatusOK, "healthy")
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	before := s.metric(t, "agentexec_wakeups_total")

	p.freeze(s.port(t, "agentexec listener"))
	s.append(t, id, "this wake-up does not arrive")
	so.lines(t, 1, 1)
	// Unhealthy for a moment, then healthy on a new connection; both may be over between two checks.
	require.Eventually(t, func() bool {
		s.append(t, id, "another line")
		return s.metric(t, "agentexec_wakeups_total") > before
	}, 2*patience, 100*time.Millisecond, "no wake-up arrives any more")
	s.awaitReadiness(t, http.StatusOK, "healthy")
	_, err := s.c.Complete(t.Context(), id, "done")
	require.NoError(t, err)
	want := s.table(t, id)
	so.skim(t, 2, len(want)-2)
	so.expect(t, "end", "a")
}

// TestNetworkGoesSilent: all connections to the database go silent at once, as when a firewall forgets them; new ones
// work. They are found out one after the other, each by its own deadline.
func TestNetworkGoesSilent(t *testing.T) {
	t.Parallel()
	s, p := far(t, func(cfg *sidecar.Config) { cfg.PoolSize = 2 })
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 0)
	so.skim(t, 0, 1)
	s.awaitReadiness(t, http.StatusOK, "healthy")

	p.freeze()
	s.append(t, id, "into the silence")
	so.alive(t)
	conn := s.db.Conn(t)
	require.Eventually(t, func() bool {
		code, _ := s.readiness(t)
		return code == http.StatusOK && sessions(t, conn, "agentexec listener") == 2 && sessions(t, conn, "agentexec tail") == 2
	}, time.Minute, 50*time.Millisecond, "the second of each is the one that works")
	so.lines(t, 1, 1)
	s.postLine(t, id)
	so.lines(t, 2, 1)

	// It is no reason to stop slowly either.
	thaw := p.freeze()
	defer thaw()
	s.append(t, id, "a line that is not awaited")
	began := time.Now()
	s.stop()
	require.Less(t, time.Since(began), 10*time.Second)
	require.Equal(t, 1001, so.closed(t))
}

// sessions is how many sessions of the sidecar the server knows under a name.
func sessions(t testing.TB, conn *pgx.Conn, application string) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), `
		select count(*) from pg_stat_activity a
		where a.datname = current_database() and a.application_name = $1`, application).Scan(&n))
	return n
}
