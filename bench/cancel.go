package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// cancelRuns is the number of runs in one process. Their cancels are requested one after the other.
	cancelRuns = 50
	// cancelReach bounds the time with LISTEN.
	cancelReach = 100 * time.Millisecond
	// cancelPromise is the promise of the runs without LISTEN: a heartbeat is sent every third of it.
	cancelPromise = 3 * time.Second
)

// measureCancel takes the time from a request to the end of the context of a Run.
func measureCancel(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	t := table{
		title: "Request to the end of a worker's context",
		note: "From the call of cancel until the context of the work has ended, commit included. " + strconv.Itoa(cancelRuns) +
			" runs in one process. Without LISTEN a heartbeat every " + (cancelPromise / 3).String() + " tells.",
		head: []string{"told by", "cancels", "p50", "p99", "worst", "reach"},
	}
	for _, pollOnly := range []bool{false, true} {
		var all []time.Duration
		for range o.rounds {
			times, err := cancelRound(ctx, url, pollOnly)
			if err != nil {
				return nil, err
			}
			all = append(all, times...)
		}
		slices.Sort(all)
		told, goal := "LISTEN", cancelReach
		if pollOnly {
			told, goal = "heartbeat", cancelPromise/3+cancelReach
		}
		p99 := quantile(all, 0.99)
		t.rows = append(t.rows, []string{told, strconv.Itoa(len(all)), fineMs(all, 0.5), fineMs(all, 0.99),
			fineMs(all, 1), verdict("p99 <= "+goal.String(), p99 <= goal)})
	}
	return []table{t}, nil
}

// cancelRound starts the runs, cancels each, and returns how long it took to arrive.
func cancelRound(ctx context.Context, url string, pollOnly bool) ([]time.Duration, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	c := client.New(pool, &client.Config{PollOnly: pollOnly})
	type worker struct {
		id    uuid.UUID
		ended chan time.Time
	}
	started, over := make(chan worker, cancelRuns), make(chan error, cancelRuns)
	for range cancelRuns {
		go func() {
			over <- c.Run(ctx, client.RunParams{TaskName: "bench", ExpectEvery: cancelPromise}, func(ctx context.Context, run *client.Run) error {
				w := worker{run.AgentID(), make(chan time.Time, 1)}
				started <- w
				<-ctx.Done()
				w.ended <- time.Now()
				return ctx.Err()
			})
		}()
	}
	workers := make([]worker, 0, cancelRuns)
	for range cancelRuns {
		select {
		case w := <-started:
			workers = append(workers, w)
		case err := <-over:
			return nil, err
		}
	}
	time.Sleep(time.Second) // all runs listen
	began, times := make([]time.Time, cancelRuns), make([]time.Duration, cancelRuns)
	for i, w := range workers {
		began[i] = time.Now()
		if _, err := c.Cancel(ctx, w.id, "bench"); err != nil {
			return nil, err
		}
		if !pollOnly {
			times[i] = (<-w.ended).Sub(began[i])
		}
	}
	for i, w := range workers {
		if pollOnly { // all at once, since each takes long
			times[i] = (<-w.ended).Sub(began[i])
		}
	}
	for range cancelRuns {
		if err := <-over; !errors.Is(err, client.ErrCanceled) {
			return nil, err
		}
	}
	return times, nil
}
