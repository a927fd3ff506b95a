package demo

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// hasEnded reports whether an error says that a request to cancel, or another client, ended the activity.
func hasEnded(err error) bool {
	for _, end := range []error{client.ErrCanceled, client.ErrFinished, client.ErrNotFound, client.ErrReplaced} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// persist retries until do succeeds, with a growing delay, because a database outage ends.
func (a *agent) persist(ctx context.Context, do func() error) error {
	warned := false
	for delay := 250 * time.Millisecond; ; delay = min(2*delay, 10*time.Second) {
		err := do()
		switch {
		case err == nil || hasEnded(err) || errors.Is(err, client.ErrInvalid) || errors.Is(err, client.ErrRunning):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !warned:
			a.config.Logger.Warn("a demo agent cannot reach the database and keeps trying", "error", err)
			warned = true
		}
		if err := wait(ctx, delay); err != nil {
			return err
		}
	}
}

// runs runs work as an attempt of an activity, once the database can be reached. It returns the error of the attempt.
func (a *agent) runs(ctx context.Context, params client.RunParams, work func(context.Context, *client.Run) error) error {
	var result error
	err := a.persist(ctx, func() error {
		began := false
		result = a.config.Client.Run(ctx, params, func(ctx context.Context, run *client.Run) error {
			began = true
			return work(ctx, run)
		})
		if began {
			return nil
		}
		return result
	})
	if err != nil {
		return err
	}
	return result
}

// cancel ends the activity because the agent is stopped. ctx and the run have ended before, so it does not wait for a worker. It
// tries again where the connection was lost.
func (a *agent) cancel(ctx context.Context, id uuid.UUID) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	quiet := agent{config: a.config} // its warning is the one below
	quiet.config.Logger = slog.New(slog.DiscardHandler)
	err := quiet.persist(ctx, func() error {
		_, err := a.config.Client.Cancel(ctx, id, "Canceled: the agent was stopped", client.WithGrace(0))
		return err
	})
	// The activity may have ended just before, or may not have been created.
	if err != nil && !errors.Is(err, client.ErrFinished) && !errors.Is(err, client.ErrNotFound) {
		a.config.Logger.Warn("a demo agent cannot cancel its activity", "agent_id", id, "error", err)
	}
}
