package client_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// Another session, such as a sidecar, holds the wake-up lock: Watch receives its wake-ups. When that session releases the
// lock, Watch takes it.
func TestWatchBesideAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.db.Conn(t)
	ask := func(function string) {
		_, err := other.Exec(b.ctx, "select "+function+"(1635271269, 'agentexec.activity_log'::regclass::oid::int4)")
		require.NoError(t, err)
	}
	for name, c := range watchers(t, b, wakeupsOnly) {
		t.Run(name, func(t *testing.T) {
			ask("pg_advisory_lock")
			id := b.create(t)
			next, stop := pull(b.ctx, c, id, 0)
			defer stop()
			_, err := next()
			require.NoError(t, err)
			got := make(chan client.Log)
			go func() {
				defer close(got)
				for range 2 {
					if line, err := next(); err == nil {
						got <- line
					}
				}
			}()
			line := must[client.Log](t)(b.c.Update(b.ctx, id, "a wake-up for another session"))
			require.Equal(t, line, <-got)
			ask("pg_advisory_unlock")
			if name == "Pool" { // the others try when they wait the next time
				b.awaitWakeupLock(t, true)
			}
			line = must[client.Log](t)(b.c.Update(b.ctx, id, "a wake-up for Watch"))
			require.Equal(t, line, <-got)
			<-got
			stop()
			b.awaitWakeupLock(t, false)
		})
	}
}

// Watch releases the wake-up lock and polls while wake-ups are too frequent, and takes it again when the load has fallen.
func TestWatchReleasesLockUnderLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	quiet, busy := b.create(t), b.create(t)
	next, stop := pull(b.ctx, b.c, quiet, 0)
	defer stop()
	_, err := next()
	require.NoError(t, err)
	got := make(chan error)
	go func() {
		_, err := next()
		got <- err
	}()
	b.awaitWakeupLock(t, true)
	writing, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		for {
			select {
			case <-writing:
				return
			default:
				_, _ = b.c.Update(b.ctx, busy, "m")
			}
		}
	}()
	b.awaitWakeupLock(t, false)
	close(writing)
	<-written
	b.awaitWakeupLock(t, true)
	must[client.Log](t)(b.c.Update(b.ctx, quiet, "m"))
	require.NoError(t, <-got)
}

// Watch releases the wake-up lock while the notification queue is near full, because commits that notify fail when it is
// full. The test replaces the usage that Postgres reports.
func TestWatchReleasesLockWhenQueueNearFull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, "create schema fake")
	b.db.Exec(t, "create table fake.queue as select 0.6::float8 as usage")
	b.db.Exec(t, "create function fake.usage() returns float8 language sql as 'select q.usage from fake.queue q'")
	// Of this database alone; the planner inlines it, so that the built-in function is not called.
	b.db.Exec(t, "create or replace function pg_catalog.pg_notification_queue_usage() returns float8 language sql as 'select fake.usage()'")
	id := b.create(t)
	next, stop := pull(b.ctx, client.New(b.pool, &client.Config{MinPoll: 10 * time.Millisecond, MaxPoll: 10 * time.Millisecond}), id, 0)
	defer stop()
	step := func() {
		t.Helper()
		must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
		_, err := next()
		require.NoError(t, err)
	}
	_, err := next()
	require.NoError(t, err)
	step()
	b.awaitWakeupLock(t, false)
	b.db.Exec(t, "update fake.queue set usage = 0.1")
	b.awaitWakeupLock(t, true)
	b.db.Exec(t, "update fake.queue set usage = 0.6")
	b.awaitWakeupLock(t, false)
	step()
}
