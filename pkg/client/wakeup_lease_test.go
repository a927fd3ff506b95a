package client_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// Somebody else, a sidecar or another Watch, holds the lock that makes writers ring: its rings are heard. When it lets
// go, Watch takes over.
func TestWatchBesideAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.db.Conn(t)
	ask := func(function string) {
		_, err := other.Exec(b.ctx, "select "+function+"(1635271269, 'agentexec.activity_log'::regclass::oid::int4)")
		require.NoError(t, err)
	}
	for name, c := range watchers(t, b, bellOnly) {
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
			line := must[client.Log](t)(b.c.Update(b.ctx, id, "a ring for another"))
			require.Equal(t, line, <-got)
			ask("pg_advisory_unlock")
			if name == "Pool" { // the others try when they wait the next time
				b.awaitBell(t, true)
			}
			line = must[client.Log](t)(b.c.Update(b.ctx, id, "a ring for us"))
			require.Equal(t, line, <-got)
			<-got
			stop()
			b.awaitBell(t, false)
		})
	}
}

// When it rings too often, writers pay for more than it brings: Watch lets go and polls, and comes back when it is calm.
func TestWatchLetsGoUnderLoad(t *testing.T) {
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
	b.awaitBell(t, true)
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
	b.awaitBell(t, false)
	close(writing)
	<-written
	b.awaitBell(t, true)
	must[client.Log](t)(b.c.Update(b.ctx, quiet, "m"))
	require.NoError(t, <-got)
}

// When the instance's notification queue fills up, commits that ring will fail: nobody is made to. What Postgres says of
// the queue is made up here.
func TestWatchLetsGoOfACrowdedQueue(t *testing.T) {
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
	b.awaitBell(t, false)
	b.db.Exec(t, "update fake.queue set usage = 0.1")
	b.awaitBell(t, true)
	b.db.Exec(t, "update fake.queue set usage = 0.6")
	b.awaitBell(t, false)
	step()
}
