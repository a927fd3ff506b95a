package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// faults cut connections: when an answer arrives, so that its statement is committed, or before a request is sent. chance is the
// probability of a cut, in thousandths.
type faults struct{ chance, answers, requests atomic.Int64 }

func (f *faults) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn, f}, nil
}

func (f *faults) hit(counter *atomic.Int64) bool {
	if rand.Int64N(1000) >= f.chance.Load() {
		return false
	}
	counter.Add(1)
	return true
}

type faultyConn struct {
	net.Conn
	*faults
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.hit(&c.answers) {
		_ = c.Close()
		return 0, errors.New("the answer was cut off")
	}
	return n, err
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if c.hit(&c.requests) {
		n, _ := c.Conn.Write(p[:len(p)/2])
		_ = c.Close()
		return n, errors.New("the request was cut off")
	}
	return c.Conn.Write(p)
}

// Backends of the run are killed again and again, answers are cut off after the commit and requests before it, while another
// program appends to the same activity. Every line of both is stored once, and in order.
func TestRunWithBrokenConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f := new(faults)
	pool := b.db.Pool(t, sessionsNamed("storm"), func(c *pgxpool.Config) { c.ConnConfig.DialFunc = f.dial })
	const records = 3000
	var others, killed atomic.Int64
	over := make(chan struct{})
	var beside sync.WaitGroup
	var id uuid.UUID
	err := client.New(pool).Run(b.ctx, client.RunParams{TaskName: "n", EndTimeout: time.Minute}, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		f.chance.Store(40)
		beside.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
				}
				if _, err := b.c.Update(b.ctx, id, fmt.Sprint("other ", others.Load())); err == nil {
					others.Add(1)
				}
			}
		})
		beside.Go(func() {
			for seq := 0; ; {
				select {
				case <-over:
					return
				case <-time.After(30 * time.Millisecond):
				}
				now := b.state(t, id).LastSeq
				if now < seq+100 { // the run must make progress
					continue
				}
				seq = now
				var n int64
				require.NoError(t, b.pool.QueryRow(b.ctx, `select count(pg_terminate_backend(a.pid)) from pg_stat_activity a
					where a.datname = current_database() and a.application_name = 'storm'`).Scan(&n))
				killed.Add(n)
			}
		})
		log := run.Logger()
		for i := range records {
			if i%3 == 0 {
				log.Info(fmt.Sprint("run ", i), "i", i)
			} else {
				fmt.Fprintln(run.Writer(), "run", i)
			}
			if i%97 == 0 {
				require.NoError(t, run.Flush(ctx))
			}
		}
		return nil
	})
	close(over)
	beside.Wait()
	require.NoError(t, err)

	next := map[string]int{}
	lines := b.lines(t, id)
	for _, message := range messages(t, lines, 1) {
		var i int
		name, number, _ := strings.Cut(message, " ")
		if n, _ := fmt.Sscan(number, &i); n == 1 {
			require.Equal(t, next[name], i, message)
			next[name]++
		}
	}
	t.Logf("%d lines of the run, %d of the other, %d backends killed, %d answers and %d requests cut off",
		next["run"], next["other"], killed.Load(), f.answers.Load(), f.requests.Load())
	require.Equal(t, map[string]int{"run": records, "other": int(others.Load())}, next)
	require.Equal(t, client.StatusComplete, b.state(t, id).Status)
	require.Greater(t, killed.Load(), int64(5))
	require.Greater(t, f.answers.Load(), int64(5))
}

// Postgres is stopped, started and killed during a run. The run continues, no line is lost or repeated, and the activity is not
// stale.
func TestRunAcrossRestarts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	server := pgtest.NewServer(t, nil)
	pool := server.New(t).Pool(t)
	c := client.New(pool)
	detail := func(id uuid.UUID) (d *client.Detail) {
		require.Eventually(t, func() bool {
			var err error
			d, err = c.Detail(ctx, id, client.DetailParams{})
			return err == nil
		}, time.Minute, 10*time.Millisecond)
		return d
	}
	var id uuid.UUID
	count := 0
	err := c.Run(ctx, client.RunParams{TaskName: "n", ExpectEvery: 10 * time.Second, EndTimeout: time.Minute}, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		write := func() {
			for range 500 {
				fmt.Fprintln(run.Writer(), "line", count)
				count++
			}
		}
		for _, stop := range []func() error{server.Stop, server.Kill, server.Stop} {
			write()
			require.NoError(t, run.Flush(ctx))
			write()
			require.NoError(t, stop())
			write()
			require.NoError(t, server.Restart(ctx))
			require.False(t, detail(id).Stale)
			seen := detail(id).LastSeenAt
			require.NoError(t, run.Flush(ctx))
			require.Eventually(t, func() bool { // a heartbeat of the new server
				d := detail(id)
				require.False(t, d.Stale)
				return d.LastSeenAt.After(d.UpdatedAt) && d.LastSeenAt.After(seen)
			}, time.Minute, 10*time.Millisecond)
		}
		write()
		require.NoError(t, server.Stop()) // the end is tried until the server is back
		time.AfterFunc(100*time.Millisecond, func() { _ = server.Restart(context.WithoutCancel(ctx)) })
		return nil
	})
	require.NoError(t, err)
	lines := detail(id).Logs
	require.Equal(t, client.StatusComplete, lines[len(lines)-1].Status)
	for i, message := range messages(t, lines[2:len(lines)-1], 3) {
		require.Equal(t, fmt.Sprint("line ", i), message)
	}
	require.Len(t, lines, count+3)
}

// Run tries to store the end for EndTimeout, and the error tells what was not stored.
func TestRunEndsWithoutPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	pool := server.New(t).Pool(t)
	err := client.New(pool).Run(t.Context(), client.RunParams{TaskName: "n", EndTimeout: 300 * time.Millisecond}, func(_ context.Context, run *client.Run) error {
		require.NoError(t, server.Stop())
		run.Logger().Info("one")
		run.Logger().Info("two")
		return errStopped
	})
	require.ErrorIs(t, err, errStopped)
	require.ErrorContains(t, err, "2 lines were not stored")
}

// The work's transaction holds the row of its activity: its lines wait, its heartbeats do not.
func TestHeartbeatsOfARunWithAnOpenTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 3 * time.Second}, func(ctx context.Context, run *client.Run) error {
		tx, err := b.pool.Begin(ctx)
		require.NoError(t, err)
		must[client.Log](t)(b.c.WithTx(tx).Update(ctx, run.AgentID(), "in the transaction"))
		run.Logger().Info("after it")
		seen, beats := b.state(t, run.AgentID()).LastSeenAt, 0
		require.Eventually(t, func() bool {
			state := b.state(t, run.AgentID())
			if state.LastSeenAt.After(seen) {
				seen = state.LastSeenAt
				beats++
			}
			return beats == 4 // longer than the promise
		}, time.Minute, 10*time.Millisecond)
		require.False(t, b.state(t, run.AgentID()).Stale)
		require.NoError(t, tx.Commit(ctx))
		require.NoError(t, run.Flush(ctx))
		require.Equal(t, []string{"Agent queued", "Agent started", "in the transaction", "after it"}, messages(t, b.lines(t, run.AgentID()), 1))
		return nil
	}))
}

// The time of a heartbeat is that of the server.
func TestHeartbeatTimesAreOfTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	clock := func() (at time.Time) {
		require.NoError(t, b.pool.QueryRow(b.ctx, "select clock_timestamp()").Scan(&at))
		return at
	}
	require.NoError(t, b.c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: time.Second}, func(_ context.Context, run *client.Run) error {
		before := clock()
		require.Eventually(t, func() bool { return b.state(t, run.AgentID()).LastSeenAt.After(before) }, time.Minute, time.Millisecond)
		require.False(t, b.state(t, run.AgentID()).LastSeenAt.After(clock()))
		return nil
	}))
}

// A full buffer blocks, until the context of work ends. Then lines are dropped: the last ones only, and the end counts them.
func TestRunWithAFullBuffer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var id uuid.UUID
	var wrote int
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	err = b.c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		must[client.HeartbeatResult](t)(b.c.WithTx(tx).Heartbeat(b.ctx, id, 0))
		_, err := tx.Exec(b.ctx, "select from agentexec.activity a where a.agent_id = $1 for no key update", id)
		require.NoError(t, err)
		blocked := make(chan error, 1)
		go func() {
			for {
				if _, err := fmt.Fprintf(run.Writer(), "%d %s\n", wrote, strings.Repeat("x", 1000)); err != nil {
					blocked <- err
					return
				}
				wrote++
			}
		}()
		full, stop := context.WithCancel(ctx)
		require.Eventually(t, func() bool { // the buffer takes no more
			limited, cancel := context.WithTimeout(full, 100*time.Millisecond)
			defer cancel()
			return errors.Is(run.Log(limited, strings.Repeat("y", 64<<10)), context.DeadlineExceeded)
		}, time.Minute, time.Millisecond)
		stop()
		b.db.Exec(t, "select pg_notify('agentexec_cancel', $1)", id.String()) // no request: nothing happens
		require.Empty(t, blocked)
		b.db.AwaitLockWaits(t, 1)
		go func() { _, _ = b.c.Cancel(b.ctx, id, "") }() // waits for the row, as the batch does
		b.db.AwaitLockWaits(t, 2)
		require.NoError(t, tx.Rollback(b.ctx))
		return untilEnd(ctx)
	})
	require.ErrorIs(t, err, client.ErrCanceled)
	lines := b.lines(t, id)
	require.Equal(t, client.StatusCanceled, lines[len(lines)-1].Status)
}

const workerURL = "AGENTEXEC_TEST_WORKER_URL"

// worker is the process that TestKilledWorkerIsStale kills.
func worker(url string) {
	pool, err := pgxpool.New(context.Background(), url)
	if err == nil {
		err = client.New(pool).Run(context.Background(), client.RunParams{TaskName: "killed", ExpectEvery: time.Second},
			func(ctx context.Context, run *client.Run) error {
				for {
					fmt.Fprintln(run.Writer(), "at work")
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(10 * time.Millisecond):
					}
				}
			})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A worker that was killed is stale once its promise is over; a worker that takes over then begins the next attempt.
func TestKilledWorkerIsStale(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cmd := exec.CommandContext(b.ctx, must[string](t)(os.Executable()))
	cmd.Env = append(os.Environ(), workerURL+"="+b.db.URL)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	var item client.ListItem
	require.Eventually(t, func() bool {
		list := must[*client.List](t)(b.c.List(b.ctx, client.ListParams{AgentType: "killed"}))
		if len(list.Items) > 0 {
			item = list.Items[0]
		}
		return item.LastSeq > 5
	}, time.Minute, 10*time.Millisecond)
	require.False(t, item.Stale)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return b.state(t, item.AgentID).Stale }, time.Minute, 10*time.Millisecond)
	var silent time.Duration
	require.NoError(t, b.pool.QueryRow(b.ctx, "select clock_timestamp() - greatest($1, pg_postmaster_start_time())",
		b.state(t, item.AgentID).LastSeenAt).Scan(&silent))
	t.Logf("stale %s after it was last seen, promised 1 s", silent)
	require.Greater(t, silent, time.Second)

	params := client.RunParams{AgentID: item.AgentID}
	require.ErrorIs(t, b.c.Run(b.ctx, params, nil), client.ErrRunning)
	must[client.Log](t)(b.c.Error(b.ctx, item.AgentID, "its process is gone"))
	require.NoError(t, b.c.Run(b.ctx, params, func(_ context.Context, run *client.Run) error {
		require.Equal(t, 2, run.Attempt())
		return nil
	}))
}
