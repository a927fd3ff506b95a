package main

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// retries is a flag that says whether an ERROR is the end, or for how long the next attempt is waited for.
type retries struct {
	wanted bool
	atMost time.Duration // 0: for ever
}

// forEver is the flag's value where it has none.
const forEver = "for ever"

// retryPoll is how often a failed activity is looked at. A retry comes seconds or minutes later.
const retryPoll = 500 * time.Millisecond

func (r *retries) String() string { return "" }
func (r *retries) Type() string   { return "DURATION" }

func (r *retries) Set(text string) error {
	r.wanted, r.atMost = true, 0
	if text == forEver {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("must be a duration above zero, such as 30s, or have no value")
	}
	r.atMost = d
	return nil
}

// watch is client.Watch, which ends at an ERROR, and goes on with the lines of the next attempt where that is wanted.
func (r retries) watch(ctx context.Context, c *client.Client, id uuid.UUID, after int) iter.Seq2[client.Log, error] {
	return func(yield func(client.Log, error) bool) {
		for {
			for line, err := range c.Watch(ctx, id, after) {
				if !yield(line, err) || err != nil {
					return
				}
				after = line.Seq
			}
			if !r.wanted || !r.follows(ctx, c, id, after) {
				return
			}
		}
	}
}

// follows waits until an activity that is in ERROR has a line after this one. It reports false where the activity has
// ended otherwise, is gone, or has none in time.
func (r retries) follows(ctx context.Context, c *client.Client, id uuid.UUID, after int) bool {
	if r.atMost > 0 {
		bounded, cancel := context.WithTimeout(ctx, r.atMost)
		defer cancel()
		ctx = bounded
	}
	for {
		detail, err := c.Detail(ctx, id, client.DetailParams{LogLimit: new(0)})
		switch {
		case errors.Is(err, client.ErrNotFound):
			return false
		case err != nil: // Postgres may be restarting
		case detail.LastSeq > after:
			return true
		case detail.Status != client.StatusError:
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryPoll):
		}
	}
}
