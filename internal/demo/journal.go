package demo

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// errEnded: another client ended the activity, and the agent has nothing more to do on it.
var errEnded = errors.New("the activity was ended by another client")

// journal writes the lines of one activity.
type journal struct {
	config Config
	id     uuid.UUID
	last   time.Time // of the last line
	ended  bool      // by our own line
}

// open creates the activity.
func (j *journal) open(ctx context.Context, message string) error {
	j.id = uuid.New()
	return j.persist(ctx, func() error {
		_, err := j.config.Client.Create(ctx, TaskName, message, client.WithAgentID(j.id), client.WithMetadata(Metadata()))
		if errors.Is(err, client.ErrExists) {
			return nil // the answer to an earlier try was lost
		}
		return err
	})
}

// due reports whether an optional line may be written now.
func (j *journal) due() bool { return time.Since(j.last) >= j.config.LineEvery }

// line writes a line. Every line returns the current status, by which an agent learns that its activity was canceled.
//
// It returns errEnded if another client has ended the activity.
func (j *journal) line(ctx context.Context, message string, opts ...client.UpdateOption) error {
	return j.append(ctx, func() (client.Log, error) {
		line, err := j.config.Client.Update(ctx, j.id, message, opts...)
		if err == nil && line.Status.IsFinal() {
			err = errEnded
		}
		return line, err
	})
}

// complete ends the activity with success.
func (j *journal) complete(ctx context.Context, message string, data any) error {
	err := j.append(ctx, func() (client.Log, error) {
		return j.config.Client.Complete(ctx, j.id, message, client.WithData(data))
	})
	j.ended = err == nil
	return err
}

// fail ends this attempt of the activity.
func (j *journal) fail(ctx context.Context, message string, data any) error {
	err := j.append(ctx, func() (client.Log, error) {
		return j.config.Client.Error(ctx, j.id, message, client.WithData(data))
	})
	j.ended = err == nil
	return err
}

// retry starts another attempt.
func (j *journal) retry(ctx context.Context, message string) error {
	j.ended = false
	return j.line(ctx, message, client.WithStatus(client.StatusRunning), client.WithPercentage(0))
}

func (j *journal) append(ctx context.Context, write func() (client.Log, error)) error {
	return j.persist(ctx, func() error {
		_, err := write()
		if errors.Is(err, client.ErrFinished) || errors.Is(err, client.ErrNotFound) {
			return errEnded
		}
		j.last = time.Now()
		return err
	})
}

// persist retries until do succeeds, with a growing delay, because a database outage ends.
func (j *journal) persist(ctx context.Context, do func() error) error {
	warned := false
	for delay := 250 * time.Millisecond; ; delay = min(2*delay, 10*time.Second) {
		err := do()
		switch {
		case err == nil || errors.Is(err, errEnded) || errors.Is(err, client.ErrInvalid):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !warned:
			j.config.Logger.Warn("a demo agent cannot write its line and keeps trying", "error", err)
			warned = true
		}
		if err := wait(ctx, delay); err != nil {
			return err
		}
	}
}

// cancel ends the activity because the agent is stopped. ctx has ended by then.
func (j *journal) cancel(ctx context.Context) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	_, err := j.config.Client.Cancel(ctx, j.id, "Canceled: the agent was stopped")
	// The activity may have ended just before, or may not have been created.
	if err != nil && !errors.Is(err, client.ErrFinished) && !errors.Is(err, client.ErrNotFound) {
		j.config.Logger.Warn("a demo agent cannot cancel its activity", "agent_id", j.id, "error", err)
	}
}
