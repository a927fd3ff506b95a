package sidecar

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/sidecar/internal/metric"
)

const (
	// sweepInterval is the pause between two sweeps.
	sweepInterval = time.Second
	// sweepTimeout bounds one sweep.
	sweepTimeout = 30 * time.Second
	// sweepDeniedPause is the pause after a sweep that the sidecar's role may not make, or for which the schema has no function.
	sweepDeniedPause = time.Minute
	// sweepRows bounds the rows of each kind that one sweep changes.
	sweepRows = 1000
)

// sweeper calls SQL's sweep, which ends the activities whose grace period is over. Every sidecar sweeps; SQL lets only one sweep
// run at a time.
type sweeper struct {
	client *client.Client
	log    *slog.Logger
	forced prometheus.Counter
	errors prometheus.Counter
	took   prometheus.Histogram
}

// newSweeper returns a sweeper. It uses a connection of db for a short time, because a sweep waits for no row lock.
func newSweeper(db pgurl.DB, schema string, log *slog.Logger, registry prometheus.Registerer) *sweeper {
	s := &sweeper{
		client: client.New(db, &client.Config{Schema: schema}), log: log,
		forced: metric.Counter("agentexec_forced_cancels_total",
			"Activities that this sidecar made CANCELED because their worker had not ended them within the grace period."),
		errors: metric.Counter("agentexec_sweep_errors_total", "Sweeps of this sidecar that failed."),
		took:   metric.Histogram("agentexec_sweep_seconds", "How long a sweep took.", prometheus.ExponentialBuckets(0.0005, 2, 14)),
	}
	registry.MustRegister(s.forced, s.errors, s.took)
	return s
}

// run sweeps until ctx ends. It logs the first of several failures in a row.
func (s *sweeper) run(ctx context.Context) {
	logged := false
	for {
		swept, err := s.sweep(ctx)
		pause := sweepInterval
		switch {
		case err == nil:
			logged = false
			if swept.Forced >= sweepRows {
				pause = 0 // there are more
			}
		case ctx.Err() != nil:
			return
		default:
			s.errors.Inc()
			if !logged {
				s.log.Warn("cannot sweep: cancels that are due are not forced by this sidecar; trying again", "error", err)
			}
			logged = true
			if database.IsHopeless(err) {
				pause = sweepDeniedPause
			}
		}
		if backoff.Wait(ctx, pause) != nil {
			return
		}
	}
}

func (s *sweeper) sweep(ctx context.Context) (client.Swept, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	began := time.Now()
	swept, err := s.client.Sweep(ctx, sweepRows)
	if err == nil {
		s.took.Observe(time.Since(began).Seconds())
		s.forced.Add(float64(swept.Forced))
	}
	if swept.Forced > 0 {
		s.log.Info("forced cancels whose grace period was over", "activities", swept.Forced)
	}
	return swept, err
}
