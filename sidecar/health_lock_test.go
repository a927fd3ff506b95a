package sidecar_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// TestForeignHolderOfTheWakeupLock: a login with only CONNECT takes the wake-up lock. The sidecar names it, and reads on a
// timer until the lock is free.
func TestForeignHolderOfTheWakeupLock(t *testing.T) {
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
	var table uint32
	require.NoError(t, db.Conn(t).QueryRow(t.Context(), "select 'agentexec.activity_log'::regclass::oid").Scan(&table))
	_, err = intruder.Exec(t.Context(), "set application_name = 'agentexec tail'")
	require.NoError(t, err)
	_, err = intruder.Exec(t.Context(), "select pg_advisory_lock(1635271269, $1::bigint::int)", table)
	require.NoError(t, err)

	log := new(logtest.Buffer)
	s := start(t, db, func(cfg *sidecar.Config) { cfg.Logger = log.Logger(); cfg.PollInterval = 2 * patience })
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	s.await(t, "agentexec_wakeup_lock_foreign", 1)
	require.Contains(t, log.String(), name)
	s.append(t, id, "found by polling")
	so.lines(t, 1, 1)
	require.Zero(t, s.metric(t, `agentexec_wakeup_mode{mode="notified"}`))

	require.NoError(t, intruder.Close(t.Context()))
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	s.await(t, "agentexec_wakeup_lock_foreign", 0)

	// A session of a role that may use the schema is no intruder.
	peer := start(t, db)
	peer.open(t).sub(t, "a", id, 1)
	peer.await(t, "agentexec_wakeup_lock_foreign", 0)
	require.Less(t, peer.metric(t, "agentexec_tail_age_seconds"), 20.0)
	require.Eventually(t, func() bool { return peer.metric(t, "agentexec_tail_age_seconds") >= 0 }, patience, 10*time.Millisecond)
}
