package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// askers is the number of workers in one process that wait for an answer.
	askers = 50
	// answerReach bounds the time until an answer arrives.
	answerReach = 100 * time.Millisecond
)

// measureAsk takes the time from the call of answer until Run.Ask returns.
func measureAsk(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	var all []time.Duration
	for range o.rounds {
		times, err := askRound(ctx, url)
		if err != nil {
			return nil, err
		}
		all = append(all, times...)
	}
	slices.Sort(all)
	p99 := quantile(all, 0.99)
	return []table{{
		title: "Answer to the worker that asks",
		note:  "From the call of answer until Run.Ask has returned, commit included. " + strconv.Itoa(askers) + " workers in one process wait at once, with LISTEN.",
		head:  []string{"answers", "p50", "p99", "worst", "reach"},
		rows: [][]string{{strconv.Itoa(len(all)), fineMs(all, 0.5), fineMs(all, 0.99), fineMs(all, 1),
			verdict("p99 <= "+answerReach.String(), p99 <= answerReach)}},
	}}, nil
}

// askRound lets all workers ask, answers each, and returns how long the answers took to arrive.
func askRound(ctx context.Context, url string) ([]time.Duration, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	c := client.New(pool, nil)
	type worker struct {
		id       uuid.UUID
		answered chan time.Time
	}
	started, over := make(chan worker, askers), make(chan error, askers)
	for range askers {
		go func() {
			over <- c.Run(ctx, client.RunParams{TaskName: "bench"}, func(ctx context.Context, run *client.Run) error {
				w := worker{run.AgentID(), make(chan time.Time, 1)}
				started <- w
				_, err := run.Ask(ctx, client.Question{Key: "go", Prompt: "Go on?"})
				w.answered <- time.Now()
				return err
			})
		}()
	}
	var workers []worker
	for range askers {
		select {
		case w := <-started:
			workers = append(workers, w)
		case err := <-over:
			return nil, err
		}
	}
	time.Sleep(time.Second) // all have asked, and listen
	var times []time.Duration
	for _, w := range workers {
		began := time.Now()
		if _, err := c.Answer(ctx, w.id, "go", true, ""); err != nil {
			return nil, err
		}
		times = append(times, (<-w.answered).Sub(began))
	}
	for range askers {
		if err := <-over; err != nil {
			return nil, err
		}
	}
	return times, nil
}
