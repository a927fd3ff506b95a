package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// 16 writers on one activity commit at random: some roll back, some hold their transaction open, and all the while
// backends are killed, those of writers and watchers alike. Every watcher, from whatever seq, gets exactly the
// committed lines, in order, none twice.
func TestWatchUnderAStorm(t *testing.T) {
	t.Parallel()
	const writers, each = 16, 8
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	db := pgtest.New(t)
	named := func(name string) *pgxpool.Pool {
		return db.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name })
	}
	control, writing, watching := named("control"), named("writer"), named("watcher")
	c := client.New(control)
	id := must[uuid.UUID](t)(c.Create(ctx, "storm", ""))
	before := make([]client.Entry, 80) // for watchers to begin at
	for i := range before {
		before[i] = client.Entry{AgentID: id, Message: "before the storm"}
	}
	must[[]client.AppendResult](t)(c.AppendLogs(ctx, before))

	var progress atomic.Int64 // lines written or read: the killer waits for some, or nothing would ever be done on a slow machine
	var watchers errgroup.Group
	got := make([][]client.Log, 8)
	for i := range got {
		watchers.Go(func() error {
			for line, err := range client.New(watching).Watch(ctx, id, i*10) {
				if err != nil {
					return fmt.Errorf("watcher %d after %d lines: %w", i, len(got[i]), err)
				}
				got[i] = append(got[i], line)
				progress.Add(1)
				if i == 7 && line.Seq%50 == 0 { // one looks at its lines at leisure
					<-time.After(20 * time.Millisecond)
				}
			}
			return nil
		})
	}

	var written atomic.Int64
	var writes sync.WaitGroup
	for range writers {
		writes.Go(func() {
			for range each {
				if stormWrite(ctx, writing, id) == nil {
					written.Add(1)
					progress.Add(1)
				}
			}
		})
	}
	over := make(chan struct{})
	var killer errgroup.Group
	killed := 0
	killer.Go(func() error {
		for seen := int64(-1); ; {
			select {
			case <-over:
				return nil
			case <-time.After(40 * time.Millisecond):
			}
			now := progress.Load()
			if now == seen {
				continue
			}
			seen = now
			var n int
			err := control.QueryRow(ctx, `select count(pg_terminate_backend(v.pid)) from (
				select a.pid from pg_stat_activity a
				where a.datname = current_database() and a.application_name in ('writer', 'watcher')
				order by random() limit 2) v`).Scan(&n)
			if err != nil {
				return err
			}
			killed += n
		}
	})
	writes.Wait()
	must[client.Log](t)(c.Complete(ctx, id, ""))
	require.NoError(t, watchers.Wait())
	close(over)
	require.NoError(t, killer.Wait())

	want := must[*client.Detail](t)(c.Detail(ctx, id, client.DetailParams{})).Logs
	t.Logf("%d lines, %d calls of writers succeeded, %d backends killed", len(want), written.Load(), killed)
	require.Greater(t, len(want), writers*each/10)
	require.Greater(t, killed, 10)
	for i := range got {
		require.Equal(t, want[i*10:], got[i])
	}
}

// stormWrite writes a line or two, or rolls them back, or fails because its connection was killed.
func stormWrite(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID) error {
	c := client.New(pool)
	switch rand.IntN(4) {
	case 0:
		return second(c.AppendLogs(ctx, []client.Entry{{AgentID: id, Message: "a"}, {AgentID: id, Message: "b"}}))
	case 1:
		return second(c.Update(ctx, id, "alone", client.WithStatus(client.StatusRunning)))
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := c.WithTx(tx).Update(ctx, id, "in a transaction"); err != nil {
			return err
		}
		switch rand.IntN(10) {
		case 0: // hold the row
			if _, err := tx.Exec(ctx, "select pg_sleep(0.05)"); err != nil {
				return err
			}
		case 1, 2:
			return fmt.Errorf("rolled back")
		}
		return second(c.WithTx(tx).Update(ctx, id, "and again", client.WithPercentage(rand.IntN(101))))
	})
}

// Postgres is stopped, started and killed under the watchers, and no line is missed.
func TestWatchAcrossRestarts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	server := pgtest.NewServer(t, nil)
	pool := server.New(t).Pool(t)
	c := client.New(pool)
	id := must[uuid.UUID](t)(c.Create(ctx, "restart", ""))

	var watchers errgroup.Group
	var reached [4]atomic.Int64
	got := make([][]client.Log, len(reached))
	watch := func(i int) {
		watchers.Go(func() error {
			for line, err := range c.Watch(ctx, id, 0) {
				if err != nil {
					return fmt.Errorf("after %d lines: %w", len(got[i]), err)
				}
				got[i] = append(got[i], line)
				reached[i].Store(int64(line.Seq))
			}
			return nil
		})
	}
	for i := range 3 {
		watch(i)
	}
	began := 3
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_, _ = c.Update(ctx, id, "m") // fails while the server is down
			}
		}
	})
	progress := func() {
		t.Helper()
		var seq int64
		require.Eventually(t, func() bool {
			line, err := c.Update(ctx, id, "progress")
			seq = int64(line.Seq)
			return err == nil
		}, time.Minute, 10*time.Millisecond)
		require.Eventually(t, func() bool {
			for i := range began {
				if reached[i].Load() < seq {
					return false
				}
			}
			return true
		}, time.Minute, 5*time.Millisecond)
	}
	progress()
	require.NoError(t, server.Restart(ctx))
	progress()
	require.NoError(t, server.Stop())
	watch(3) // one begins while there is no server
	began = 4
	require.NoError(t, server.Restart(ctx))
	progress()
	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(ctx))
	progress()
	close(stop)
	writer.Wait()
	_, err := c.Complete(ctx, id, "")
	require.NoError(t, err)
	require.NoError(t, watchers.Wait())

	want := must[[]client.Log](t)(collect(t, c.Logs(ctx, id, 0)))
	for i := range got {
		require.Equal(t, want, got[i])
	}
}

// Only the connection that listens is killed. Nothing polls, so the line comes because the listener came back, and woke Watch for
// what it may have missed.
func TestWatchReconnectsListener(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	next, stop := pull(b.ctx, client.New(b.pool, wakeupsOnly), id, 0)
	defer stop()
	for seq := 1; seq <= 4; seq++ {
		line, err := next()
		require.NoError(t, err)
		require.Equal(t, seq, line.Seq)
		b.awaitWakeupLock(t, true)
		b.db.Exec(t, `select pg_terminate_backend(l.pid, 60000) from pg_locks l
			where l.locktype = 'advisory' and l.objid = 'agentexec.activity_log'::regclass
			and l.database = (select d.oid from pg_database d where d.datname = current_database())`)
		must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
	}
}

// While the body of the loop takes its time and wake-ups arrive all the time, no session of Watch holds a snapshot or is
// stuck sending.
func TestWatchWithASlowBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, connect := range map[string]func() *client.Client{
		"Pool": func() *client.Client { return client.New(b.db.Pool(t, sessionsNamed("slow"))) },
		"Conn": func() *client.Client {
			conn, err := b.db.Pool(t, sessionsNamed("slow")).Acquire(b.ctx)
			require.NoError(t, err)
			t.Cleanup(conn.Release)
			return client.New(conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := b.create(t)
			next, stop := pull(b.ctx, connect(), id, 0)
			defer stop()
			for seq := 1; seq <= 3; seq++ {
				line, err := next()
				require.NoError(t, err)
				require.Equal(t, seq, line.Seq)
				// More than sockets hold. The channel is told of other things than lines, with large payloads.
				for range 10 {
					_, err := b.pool.Exec(b.ctx, "select pg_notify('agentexec', n || repeat('x', 7900)) from generate_series(1, 300) n")
					require.NoError(t, err)
				}
				require.Eventually(t, func() bool {
					var stuck int
					require.NoError(t, b.pool.QueryRow(b.ctx, `select count(*) from pg_stat_activity a
						where a.datname = current_database() and a.application_name = 'slow' and (a.backend_xmin is not null or a.state <> 'idle' or a.wait_event <> 'ClientRead')`).Scan(&stuck))
					return stuck == 0
				}, time.Minute, 10*time.Millisecond)
				must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
			}
		})
	}
}

func sessionsNamed(name string) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name }
}
