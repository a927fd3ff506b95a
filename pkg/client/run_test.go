package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// lines returns the lines of an activity.
func (b *bundle) lines(t *testing.T, id uuid.UUID) []client.Log {
	t.Helper()
	return must[[]client.Log](t)(collect(t, b.c.Logs(context.WithoutCancel(b.ctx), id, 0)))
}

// last returns the last line of an activity.
func (b *bundle) last(t *testing.T, id uuid.UUID) client.Log {
	t.Helper()
	lines := b.lines(t, id)
	return lines[len(lines)-1]
}

func TestRunCompletes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var id uuid.UUID
	params := client.RunParams{TaskName: "research", Metadata: map[string]any{"org": "1"}, ExpectEvery: 30 * time.Second}
	require.NoError(t, b.c.Run(b.ctx, params, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		require.Equal(t, 1, run.Attempt())
		state := b.state(t, id)
		require.Equal(t, client.StatusRunning, state.Status)
		require.Equal(t, 30*time.Second, state.ExpectEvery.Duration())

		run.Logger().Info("reading", "sources", 12, slog.Group("http", "status", 200))
		fmt.Fprint(run.Writer(), "one\ntwo\r\nthr")
		require.NoError(t, run.Progress(ctx, 12, 40))
		require.NoError(t, run.Flush(ctx))
		require.Equal(t, 7, b.state(t, id).LastSeq)
		require.Equal(t, 30, *b.state(t, id).LatestPercentage)
		fmt.Fprint(run.Writer(), "tail")
		return run.Log(ctx, "measured", client.WithPercentage(50.9), client.WithData([]int{1}))
	}))
	lines := b.lines(t, id)
	require.Equal(t, []string{"Agent queued", "Agent started", "reading", "one", "two", "12 of 40", "thr", "measured", "tail", "Agent completed"},
		messages(t, lines, 1))
	require.JSONEq(t, `{"level": "INFO", "sources": 12, "http": {"status": 200}}`, string(lines[2].Data))
	require.Nil(t, lines[3].Data)
	require.Equal(t, 50, *lines[7].Percentage)
	require.Equal(t, "[1]", string(lines[7].Data))
	end := lines[len(lines)-1]
	require.Equal(t, client.StatusComplete, end.Status)
	require.Equal(t, 100, *end.Percentage)
	require.Equal(t, lines[7].CreatedAt, end.CreatedAt, "the end is in the batch of the lines before it")
	detail := must[*client.Detail](t)(b.c.Detail(b.ctx, id, client.DetailParams{IncludeMetadata: true}))
	require.Equal(t, map[string]any{"org": "1"}, object(t, detail.Metadata))
	require.Zero(t, detail.ExpectEvery, "the promise ended with the run")
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failure := errors.New("no such page")
	params := client.RunParams{TaskName: "research"}
	run := func(work func(ctx context.Context, run *client.Run) error) (id uuid.UUID, err error) {
		err = b.c.Run(b.ctx, params, func(ctx context.Context, run *client.Run) error {
			id = run.AgentID()
			run.Logger().Info("before")
			return work(ctx, run)
		})
		return id, err
	}

	t.Run("Error", func(t *testing.T) {
		id, err := run(func(context.Context, *client.Run) error { return failure })
		require.Equal(t, failure, err)
		end := b.last(t, id)
		require.Equal(t, "ERROR no such page", end.Status.String()+" "+end.Message)
		require.Nil(t, end.Data)
	})
	t.Run("Canceled", func(t *testing.T) {
		id, err := run(func(ctx context.Context, run *client.Run) error {
			must[client.Log](t)(b.c.Cancel(b.ctx, run.AgentID(), "enough"))
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), client.ErrCanceled)
			require.ErrorContains(t, context.Cause(ctx), "enough")
			return fmt.Errorf("stopped: %w", ctx.Err())
		})
		require.ErrorIs(t, err, client.ErrCanceled)
		require.ErrorIs(t, err, context.Canceled)
		end := b.last(t, id)
		require.Equal(t, "CANCELED Canceled", end.Status.String()+" "+end.Message)
		require.False(t, b.state(t, id).Cancel.Forced)
	})
	t.Run("CompleteAfterCancel", func(t *testing.T) {
		id, err := run(func(ctx context.Context, run *client.Run) error {
			must[client.Log](t)(b.c.Cancel(b.ctx, run.AgentID(), ""))
			<-ctx.Done()
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, client.StatusComplete, b.state(t, id).Status)
	})
	t.Run("Interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(b.ctx)
		var id uuid.UUID
		err := b.c.Run(ctx, params, func(ctx context.Context, run *client.Run) error {
			id = run.AgentID()
			run.Logger().Info("before")
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		end := b.last(t, id)
		require.Equal(t, client.StatusError, end.Status)
		require.JSONEq(t, `{"interrupted": true}`, string(end.Data))
		require.Equal(t, "before", b.lines(t, id)[2].Message)
	})
	t.Run("Panic", func(t *testing.T) {
		var id uuid.UUID
		require.PanicsWithValue(t, "at work\x00\xff", func() {
			_, _ = run(func(_ context.Context, run *client.Run) error {
				id = run.AgentID()
				panic("at work\x00\xff")
			})
		})
		end := b.last(t, id)
		require.Equal(t, "ERROR panic: at work\ufffd\ufffd", end.Status.String()+" "+end.Message)
		require.Contains(t, object(t, end.Data)["stack"], "TestRunEnds")
	})
	t.Run("Goexit", func(t *testing.T) {
		var id uuid.UUID
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = run(func(_ context.Context, run *client.Run) error {
				id = run.AgentID()
				runtime.Goexit()
				return nil
			})
		})
		wg.Wait()
		end := b.last(t, id)
		require.Equal(t, "ERROR the work called runtime.Goexit", end.Status.String()+" "+end.Message)
	})
	t.Run("LineAfterTheEnd", func(t *testing.T) {
		var kept *client.Run
		id, err := run(func(_ context.Context, run *client.Run) error { kept = run; return nil })
		require.NoError(t, err)
		before := b.state(t, id).LastSeq
		require.ErrorContains(t, kept.Log(b.ctx, "late"), "the run has ended")
		require.ErrorContains(t, second(fmt.Fprintln(kept.Writer(), "late")), "the run has ended")
		kept.Logger().Info("late")
		require.Error(t, kept.Progress(b.ctx, 1, 2))
		require.Equal(t, before, b.state(t, id).LastSeq)
	})
}

func TestRunTakesOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	try := func(c *client.Client, id uuid.UUID, task string) (attempt int, err error) {
		err = c.Run(b.ctx, client.RunParams{AgentID: id, TaskName: task}, func(_ context.Context, run *client.Run) error {
			require.Equal(t, id, run.AgentID())
			attempt = run.Attempt()
			return errors.New("failed")
		})
		return attempt, err
	}
	id := b.create(t)
	for want := 1; want <= 2; want++ { // QUEUED, then ERROR
		attempt, err := try(b.c, id, "")
		require.EqualError(t, err, "failed")
		require.Equal(t, want, attempt)
	}
	fresh := uuid.New()
	_, err := try(b.c, fresh, "")
	require.ErrorIs(t, err, client.ErrNotFound)
	attempt, err := try(b.c, fresh, "research")
	require.EqualError(t, err, "failed")
	require.Equal(t, 1, attempt)
	_, err = try(b.c, b.running(t), "research")
	require.ErrorIs(t, err, client.ErrRunning)
	done := b.create(t)
	must[client.Log](t)(b.c.Complete(b.ctx, done, ""))
	_, err = try(b.c, done, "research")
	require.ErrorIs(t, err, client.ErrFinished)
	requested := b.running(t)
	must[client.Log](t)(b.c.Cancel(b.ctx, requested, ""))
	must[client.Log](t)(b.c.Error(b.ctx, requested, ""))
	_, err = try(b.c, requested, "research")
	require.ErrorIs(t, err, client.ErrFinished)
	require.ErrorContains(t, err, "cancel requested")

	// Outside of the scope an activity does not exist, and its agent_id is taken.
	scoped := b.c.WithScope(org("1"))
	_, err = try(scoped, id, "")
	require.ErrorIs(t, err, client.ErrNotFound)
	err = scoped.Run(b.ctx, client.RunParams{AgentID: id, TaskName: "research", Metadata: map[string]any{"org": "1"}}, nil)
	require.ErrorIs(t, err, client.ErrExists)
	require.NoError(t, scoped.Run(b.ctx, client.RunParams{TaskName: "research", Metadata: map[string]any{"org": "1"}},
		func(_ context.Context, run *client.Run) error {
			return second(fmt.Fprintln(run.Writer(), "in the scope"))
		}))
}

// Of many workers that take over one activity, one gets it.
func TestOneOfManyWorkersTakesOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		id := b.create(t)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		hold := make(chan struct{})
		var once sync.Once
		var mu sync.Mutex
		got, refused := 0, 0
		for i := range errs {
			wg.Go(func() {
				errs[i] = b.c.Run(b.ctx, client.RunParams{AgentID: id}, func(context.Context, *client.Run) error {
					mu.Lock()
					got++
					mu.Unlock()
					<-hold
					return nil
				})
				mu.Lock()
				defer mu.Unlock()
				if errs[i] != nil {
					refused++
				}
				if refused == len(errs)-1 {
					once.Do(func() { close(hold) })
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, got)
		for _, err := range errs {
			require.True(t, err == nil || errors.Is(err, client.ErrRunning), err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tx, err := b.pool.Begin(b.ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(b.ctx))) }()
	pooled, err := b.pool.Acquire(b.ctx)
	require.NoError(t, err)
	defer pooled.Release()
	for _, c := range []*client.Client{client.New(b.db.Conn(t)), client.New(pooled), b.c.WithTx(tx)} {
		err := c.Run(b.ctx, client.RunParams{TaskName: "research"}, nil)
		require.ErrorIs(t, err, client.ErrInvalid)
		require.ErrorContains(t, err, "pgxpool.Pool")
	}
	for _, params := range []client.RunParams{
		{}, {TaskName: "n", ExpectEvery: time.Millisecond}, {TaskName: "n", ExpectEvery: 25 * time.Hour}, {TaskName: "n", ExpectEvery: -1},
		{TaskName: "n", Message: "\x00"}, {TaskName: "n", Metadata: map[string]any{"f": func() {}}},
	} {
		require.ErrorIs(t, b.c.Run(b.ctx, params, nil), client.ErrInvalid)
	}
	require.Zero(t, *must[*client.List](t)(b.c.List(b.ctx, client.ListParams{})).Total)
	require.NoError(t, b.c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, run *client.Run) error {
		for _, err := range []error{
			run.Log(ctx, "m", client.WithStatus(client.StatusComplete)), run.Log(ctx, "m", client.WithAtSeq(3)),
			run.Log(ctx, "m", client.WithPercentage(101)), run.Log(ctx, "m", client.WithData(func() {})),
			run.Log(ctx, "m", client.WithData(strings.Repeat("x", 1<<20))), run.Progress(ctx, 1, 0), run.Progress(ctx, -1, 5),
		} {
			require.ErrorIs(t, err, client.ErrInvalid)
		}
		return nil
	}))
}

// The work holds every connection of its pool in transactions: heartbeats and lines go on.
func TestRunWithASmallPool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, size := range []int32{1, 2} {
		pool := b.db.Pool(t, func(c *pgxpool.Config) { c.MaxConns = size })
		c := client.New(pool)
		require.NoError(t, c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: time.Second}, func(ctx context.Context, run *client.Run) error {
			for range size {
				tx, err := pool.Begin(ctx)
				require.NoError(t, err)
				defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(ctx))) }()
			}
			before := b.state(t, run.AgentID()).LastSeenAt
			require.Eventually(t, func() bool { return b.state(t, run.AgentID()).LastSeenAt.After(before) }, time.Minute, 10*time.Millisecond)
			for range 3 {
				fmt.Fprintln(run.Writer(), strings.Repeat("x", 1<<20))
			}
			return run.Flush(ctx)
		}))
	}
}

// Many runs whose pool is in use store their lines through a few connections beside it.
func TestManyRunsBesideABusyPool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pool := b.db.Pool(t, sessionsNamed("busy"), func(c *pgxpool.Config) { c.MaxConns = 2 })
	c := client.New(pool)
	const runs = 20
	var begun, group sync.WaitGroup
	begun.Add(runs)
	busy := make(chan struct{})
	for range runs {
		group.Go(func() {
			err := c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, run *client.Run) error {
				begun.Done()
				<-busy
				for i := range 3 {
					fmt.Fprintln(run.Writer(), "line", i)
					if err := run.Flush(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	begun.Wait()
	for range 2 {
		conn, err := pool.Acquire(b.ctx)
		require.NoError(t, err)
		defer conn.Release()
	}
	close(busy)
	over := make(chan struct{})
	go func() { group.Wait(); close(over) }()
	for most := int64(0); ; {
		var n int64
		require.NoError(t, b.pool.QueryRow(b.ctx, `select count(*) from pg_stat_activity a
			where a.datname = current_database() and a.application_name = 'busy'`).Scan(&n))
		most = max(most, n)
		require.LessOrEqual(t, most, int64(2+1+8), "the pool's, the heartbeats', and those beside the pool, of which some may be ending")
		select {
		case <-over:
			require.Greater(t, most, int64(3))
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestRunInEveryExecMode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for mode := range 5 {
		pool := b.db.Pool(t, execMode(mode))
		for _, c := range []*client.Client{client.New(pool), client.New(pool, &client.Config{PollOnly: true}).WithScope(client.Scope{AgentTypes: []string{"n"}})} {
			require.NoError(t, c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, run *client.Run) error {
				run.Logger().Info("it's", "a", `\ $1`)
				require.NoError(t, run.Flush(ctx))
				must[client.Log](t)(b.c.Update(ctx, run.AgentID(), "another writer"))
				return run.Progress(ctx, 1, 3)
			}))
		}
	}
}

// A worker that is a command writes its output into the log.
func TestRunOfACommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var id uuid.UUID
	err := b.c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, run *client.Run) error {
		id = run.AgentID()
		cmd := exec.CommandContext(ctx, "sh", "-c", "echo out; echo err >&2; exit 3")
		cmd.Stdout, cmd.Stderr = run.Writer(), run.Writer()
		return cmd.Run()
	})
	require.EqualError(t, err, "exit status 3")
	require.Equal(t, []string{"Agent queued", "Agent started", "out", "err", "exit status 3"}, messages(t, b.lines(t, id), 1))
}
