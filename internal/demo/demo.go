package demo

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// TaskName is the agent_type of the agents' activities, one for each part of the directory.
const TaskName = "hash-files"

// Metadata returns the metadata of the agents' activities, by which a filter finds exactly these.
func Metadata() map[string]any { return map[string]any{"source": "agentexec demo"} }

// Config configures the agents. Client and Dir are required.
type Config struct {
	Client *client.Client
	// Dir is the directory whose files are read. Symbolic links in it are not followed.
	Dir string
	// Agents is how many parts are worked on at a time. Each belongs to the activity of a coordinator. Default: 4.
	Agents int
	// Duration is about how long one activity takes. It takes much less where there is little to read, and more where there is
	// very much. Default: 25 s.
	Duration time.Duration
	// Pause is the time between two activities of an agent. Default: 4 s.
	Pause time.Duration
	// LineEvery is the least time between two lines of one activity. Default: 700 ms.
	LineEvery time.Duration
	// Abandoned is after how long without a line an activity of an earlier run is canceled. Default: 2 min.
	Abandoned time.Duration
	// AnswerWithin is how long a question of a coordinator waits for the answer of a person. Default: 3 min.
	AnswerWithin time.Duration
	// TroubleEvery is the pause between activities that go wrong on purpose. The first ones come after a sixth of it. Default: 2 min.
	TroubleEvery time.Duration
	// SilentFor is how long a worker that falls silent does so. Default: 40 s.
	SilentFor time.Duration
	// Logger logs that the database is unreachable. Default: no log.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Duration, 25*time.Second)
	set(&c.Pause, 4*time.Second)
	set(&c.LineEvery, 700*time.Millisecond)
	set(&c.Abandoned, 2*time.Minute)
	set(&c.AnswerWithin, 3*time.Minute)
	set(&c.TroubleEvery, 2*time.Minute)
	set(&c.SilentFor, 40*time.Second)
	if c.Agents == 0 {
		c.Agents = 4
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Run runs the agents and their coordinators until ctx ends. Then each cancels its activity, if it has one in flight, and Run
// returns nil.
//
// It returns an error at once if there is nothing to read; see CheckDir.
func Run(ctx context.Context, config Config) error {
	config = config.withDefaults()
	tree, err := openTree(config.Dir)
	if err != nil {
		return err
	}
	coordinators := &coordinators{config: config, tree: tree, wishes: &wishes{}, ctx: ctx}
	var wg sync.WaitGroup
	for n := range config.Agents {
		a := &agent{config: config, tree: tree, coordinators: coordinators}
		wg.Go(func() {
			// Agents start one after another, so that they do not all end at the same moment.
			if wait(ctx, time.Duration(n)*config.Pause/2) == nil {
				a.run(ctx)
			}
		})
	}
	wg.Go(func() { newTroubled(config).run(ctx) })
	wg.Go(func() { reap(ctx, config) })
	wg.Wait()
	coordinators.running.Wait() // no agent begins a round any more
	return nil
}

// reap cancels activities of an earlier run that was killed, because its agents cannot end them.
func reap(ctx context.Context, config Config) {
	for {
		for _, kind := range []string{TaskName, CoordinatorName, ArchiveName, UploadName} {
			_, err := config.Client.CancelPending(ctx, client.CancelPendingParams{
				AgentType:      kind,
				MetadataFilter: Metadata(),
				IdleFor:        config.Abandoned,
				Message:        "Canceled: the agent is gone",
			})
			if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				config.Logger.Debug("looking for abandoned demo activities", "error", err)
			}
		}
		if wait(ctx, config.Abandoned/2) != nil {
			return
		}
	}
}

// wait returns after d, or earlier with the cause when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ctx.Err()
	}
}

// about returns a duration near d, so that the agents do not stay in step.
func about(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}
