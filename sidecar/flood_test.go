package sidecar_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// TestFloodOfNotifications: a login with only CONNECT notifies without pause. The tail does not read for each of these
// wake-ups: it reads on its timer, at most 200 times a second, and lines arrive as they do under load.
func TestFloodOfNotifications(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	name := fmt.Sprintf("agentexec_test_%016x", rand.Uint64())
	db.Exec(t, "create role "+name+" login password 'x'")
	t.Cleanup(func() { db.Exec(t, "drop role "+name) })
	as, err := url.Parse(db.URL)
	require.NoError(t, err)
	as.User = url.UserPassword(name, "x")
	intruder, err := pgx.Connect(t.Context(), as.String())
	require.NoError(t, err)
	defer intruder.Close(t.Context())
	s := start(t, db, func(cfg *sidecar.Config) { cfg.PollInterval = 2 * patience })
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)

	const flood = 5000
	reads := func() float64 { return s.metric(t, "agentexec_tail_read_seconds_count") }
	wakeups := s.metric(t, "agentexec_wakeups_total")
	notify := func(n int) {
		for range n {
			_, err := intruder.Exec(t.Context(), "select pg_notify('agentexec', '')", pgx.QueryExecModeExec)
			require.NoError(t, err)
		}
	}
	notify(300) // it is found out
	before, began := reads(), time.Now()
	last := 1
	for range 10 {
		notify(flood / 10)
		s.append(t, id, "amid the flood")
		so.lines(t, last, 1)
		last++
	}
	made, took := reads()-before, time.Since(began).Seconds()
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_wakeups_total")-wakeups >= flood }, patience, 10*time.Millisecond)
	t.Logf("%.0f reads in %.1f s for %d notifications", made, took, flood)
	require.Less(t, made, 200*took+50)

	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	s.append(t, id, "after the flood")
	so.lines(t, last, 1)
}
