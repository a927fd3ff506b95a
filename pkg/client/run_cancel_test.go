package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/pkg/migrate"
)

var errStopped = errors.New("stopped")

// untilEnd waits until the context of work ends, and returns the cause.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// No heartbeat is due within a day, so only the notification can bring the request.
func TestRunIsNotifiedOfACancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("s", 63)
	for _, schema := range []string{"agentexec", "order", long} {
		if schema != "agentexec" {
			require.NoError(t, migrate.Up(b.ctx, b.db.Conn(t), &migrate.Options{Schema: schema}))
		}
		c := client.New(b.pool, &client.Config{Schema: schema})
		err := c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 24 * time.Hour}, func(ctx context.Context, run *client.Run) error {
			b.awaitListener(t, schema)
			must[client.Log](t)(c.Cancel(b.ctx, run.AgentID(), "enough"))
			return untilEnd(ctx)
		})
		require.ErrorIs(t, err, client.ErrCanceled)
		require.ErrorContains(t, err, "enough")
	}
}

// awaitListener returns when a session listens to requests of a schema and waits.
func (b *bundle) awaitListener(t *testing.T, schema string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, b.pool.QueryRow(b.ctx, `select count(*) from pg_catalog.pg_stat_activity a
			where a.datname = current_database() and a.state = 'idle' and a.query like '%' || $1 || '%heartbeat(%'`, schema).Scan(&n))
		return n > 0
	}, time.Minute, 5*time.Millisecond)
}

// A run also finds a request that came before its LISTEN.
func TestRunFindsAnEarlyCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 20 {
		err := b.c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 24 * time.Hour}, func(ctx context.Context, run *client.Run) error {
			must[client.Log](t)(b.c.Cancel(b.ctx, run.AgentID(), ""))
			return untilEnd(ctx)
		})
		require.ErrorIs(t, err, client.ErrCanceled)
	}
}

// Without LISTEN, the next heartbeat or line brings the request.
func TestRunPollsForACancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listens := new(listenCounter)
	pool := b.db.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = listens })
	c := client.New(pool, &client.Config{PollOnly: true})
	err := c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: time.Second}, func(ctx context.Context, run *client.Run) error {
		must[client.Log](t)(b.c.Cancel(b.ctx, run.AgentID(), ""))
		return untilEnd(ctx)
	})
	require.ErrorIs(t, err, client.ErrCanceled)

	err = c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 24 * time.Hour}, func(ctx context.Context, run *client.Run) error {
		b.awaitListener(t, "agentexec") // its first heartbeat
		must[client.Log](t)(b.c.Cancel(b.ctx, run.AgentID(), ""))
		run.Logger().Info("m")
		return untilEnd(ctx)
	})
	require.ErrorIs(t, err, client.ErrCanceled)

	// The run does not know of the request: the end finds it, and is CANCELED.
	var id uuid.UUID
	err = c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 24 * time.Hour}, func(_ context.Context, run *client.Run) error {
		id = run.AgentID()
		b.awaitListener(t, "agentexec")
		must[client.Log](t)(b.c.Cancel(b.ctx, run.AgentID(), ""))
		return errStopped
	})
	require.ErrorIs(t, err, errStopped)
	require.ErrorIs(t, err, client.ErrCanceled)
	end := b.last(t, id)
	require.Equal(t, client.StatusCanceled, end.Status)
	require.JSONEq(t, `{"error": "stopped"}`, string(end.Data))
	require.Zero(t, listens.n.Load())
}

// listenCounter counts LISTEN statements.
type listenCounter struct{ n atomic.Int64 }

func (l *listenCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(q.SQL, "listen") {
		l.n.Add(1)
	}
	return ctx
}

func (l *listenCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// When another program ends or takes over the activity, the context of work ends with that cause.
func TestRunOfAnActivityThatOthersEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, test := range map[string]struct {
		end    func(ctx context.Context, id uuid.UUID) error
		cause  error
		last   string // message of the last line, after work returned nil
		nilErr error  // of Run then
	}{
		"Pending": {func(ctx context.Context, _ uuid.UUID) error {
			return second(b.c.CancelPending(ctx, client.CancelPendingParams{AgentType: "Pending"}))
		}, client.ErrCanceled, "trailing", client.ErrCanceled},
		"Forced": {func(ctx context.Context, id uuid.UUID) error {
			return second(b.c.Cancel(ctx, id, "", client.WithGrace(0)))
		}, client.ErrCanceled, "trailing", client.ErrCanceled},
		"Error": {func(ctx context.Context, id uuid.UUID) error {
			return second(b.c.Error(ctx, id, "by hand"))
		}, client.ErrFinished, "trailing", client.ErrFinished},
		"Queued": {func(ctx context.Context, id uuid.UUID) error {
			return second(b.c.Update(ctx, id, "back", client.WithStatus(client.StatusQueued)))
		}, client.ErrReplaced, "back", client.ErrReplaced},
		"Replaced": {func(ctx context.Context, id uuid.UUID) error {
			_, err := b.c.AppendLogs(ctx, []client.Entry{{AgentID: id, Status: client.StatusError}, {AgentID: id, Message: "other", Status: client.StatusRunning}})
			return err
		}, client.ErrReplaced, "other", client.ErrReplaced},
	} {
		for _, tells := range []string{"Heartbeat", "Line"} {
			t.Run(name+tells, func(t *testing.T) {
				params := client.RunParams{TaskName: name, ExpectEvery: time.Second}
				if tells == "Line" {
					params.ExpectEvery = 24 * time.Hour
				}
				var id uuid.UUID
				err := client.New(b.pool, &client.Config{PollOnly: true}).Run(b.ctx, params, func(ctx context.Context, run *client.Run) error {
					id = run.AgentID()
					b.awaitListener(t, "agentexec")
					require.NoError(t, test.end(b.ctx, id))
					if tells == "Line" {
						run.Logger().Info("trailing")
					}
					require.ErrorIs(t, untilEnd(ctx), test.cause)
					fmt.Fprintln(run.Writer(), "trailing")
					return nil
				})
				require.ErrorIs(t, err, test.nilErr)
				require.Equal(t, test.last, b.last(t, id).Message)
			})
		}
	}
	t.Run("Deleted", func(t *testing.T) {
		err := b.c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: time.Second}, func(ctx context.Context, run *client.Run) error {
			b.db.Exec(t, "delete from agentexec.activity where agent_id = $1", run.AgentID())
			return untilEnd(ctx)
		})
		require.ErrorIs(t, err, client.ErrNotFound)
	})
}

// All runs of a process share one connection beside the pool.
func TestRunsShareOneConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pool := b.db.Pool(t, sessionsNamed("shared"))
	c := client.New(pool)
	const runs = 10
	var wg sync.WaitGroup
	var ready sync.WaitGroup
	ready.Add(runs)
	ids, errs := make([]uuid.UUID, runs), make([]error, runs)
	for i := range runs {
		wg.Go(func() {
			errs[i] = c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: time.Hour}, func(ctx context.Context, run *client.Run) error {
				ids[i] = run.AgentID()
				ready.Done()
				return untilEnd(ctx)
			})
		})
	}
	ready.Wait()
	b.awaitListener(t, "agentexec")
	var n int32
	require.NoError(t, b.pool.QueryRow(b.ctx, `select count(*) from pg_stat_activity a
		where a.datname = current_database() and a.application_name = 'shared'`).Scan(&n))
	require.LessOrEqual(t, n, pool.Stat().TotalConns()+1)
	for i := range runs {
		must[client.Log](t)(b.c.Cancel(b.ctx, ids[i], fmt.Sprint(i)))
	}
	wg.Wait()
	for i := range runs {
		require.ErrorIs(t, errs[i], client.ErrCanceled)
	}
	awaitOnly(t, b.db, pool)
}
