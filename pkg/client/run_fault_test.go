package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

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

// The context ends while the server commits the beginning of a run, and the commit is done in spite of that: the activity does not
// stay RUNNING.
func TestRunWhoseContextEndsWhileItBegins(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `create function public.slow() returns trigger language plpgsql as $$
		begin
			perform pg_sleep(30);
			return null;
		exception when query_canceled then
			return null; -- too late to stop the commit
		end $$`)
	db.Exec(t, `create constraint trigger slow after insert on agentexec.activity deferrable initially deferred for each row execute function public.slow()`)
	pool := db.Pool(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- client.New(pool).Run(ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, _ *client.Run) error { return ctx.Err() })
	}()
	committing := func() (pids []int) {
		rows, err := pool.Query(t.Context(), "select pid from pg_stat_activity where query = 'commit' and wait_event = 'PgSleep' and datname = current_database()")
		require.NoError(t, err)
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
		require.NoError(t, err)
		return pids
	}
	var pids []int
	require.Eventually(t, func() bool { pids = committing(); return len(pids) == 1 }, time.Minute, 5*time.Millisecond)
	cancel()
	_, err := pool.Exec(t.Context(), "select pg_cancel_backend($1)", pids[0])
	require.NoError(t, err)
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Eventually(t, func() bool { return len(committing()) == 0 }, time.Minute, 5*time.Millisecond)
	var status client.Status
	require.NoError(t, pool.QueryRow(t.Context(), "select status::text from agentexec.activity").Scan(&status))
	require.Equal(t, client.StatusError, status)
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
	last := lines[len(lines)-1]
	require.Equal(t, client.StatusCanceled, last.Status)
	var end struct {
		DroppedLines int `json:"dropped_lines"`
	}
	require.NoError(t, json.Unmarshal(last.Data, &end))
	require.Positive(t, end.DroppedLines)
	stored := 0
	for _, l := range lines {
		number, _, numbered := strings.Cut(l.Message, " xxx")
		if numbered {
			require.Equal(t, strconv.Itoa(stored), number)
			stored++
		}
	}
	require.Greater(t, stored, 1000)
}

// badError is an error whose text cannot be read when it is nil.
type badError struct{ text string }

func (e *badError) Error() string { return e.text }

// An error that panics when its text is read ends the activity as a panic of work does.
func TestRunWithAnErrorThatPanics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var id uuid.UUID
	require.Panics(t, func() {
		_ = b.c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(_ context.Context, run *client.Run) error {
			id = run.AgentID()
			var none *badError
			return none
		})
	})
	require.Equal(t, client.StatusError, b.state(t, id).Status)
	lines := b.lines(t, id)
	require.Contains(t, lines[len(lines)-1].Message, "panic: ")
	require.Contains(t, string(lines[len(lines)-1].Data), "stack")
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
