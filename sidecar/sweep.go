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
	// A sweep changes at most so many rows of each kind. The bound follows the time that a full sweep takes, so that it takes about
	// sweepTime and holds its locks no longer: a busy database gets smaller sweeps.
	sweepRowsLeast, sweepRowsFirst, sweepRowsMost = 50, 100, 500
	sweepTime                                     = 50 * time.Millisecond
	// prunePause is the pause after a full sweep that deleted, as a multiple of the time it took, at most sweepInterval. Pruning then
	// takes about a tenth of one core of the database, and writers wait little for it.
	prunePause = 9
)

// sweeper calls SQL's sweep: it ends the activities whose grace period is over, closes expired questions, and prunes. Every sidecar
// sweeps; SQL lets only one sweep run at a time.
type sweeper struct {
	client                          *client.Client
	log                             *slog.Logger
	forced, expired, pruned, errors prometheus.Counter
	took                            prometheus.Histogram

	rows int // the bound of the next sweep
}

// newSweeper returns a sweeper. It uses a connection of db for a short time, because a sweep waits for no row lock.
func newSweeper(db pgurl.DB, schema string, log *slog.Logger, registry prometheus.Registerer) *sweeper {
	s := &sweeper{
		client: client.New(db, &client.Config{Schema: schema}), log: log, rows: sweepRowsFirst,
		forced: metric.Counter("agentexec_forced_cancels_total",
			"Activities that this sidecar made CANCELED because their worker had not ended them within the grace period."),
		expired: metric.Counter("agentexec_expired_questions_total", "Questions that this sidecar closed because their time was over."),
		pruned:  metric.Counter("agentexec_pruned_rows_total", "Activities and lines that this sidecar deleted as the retention rules say."),
		errors:  metric.Counter("agentexec_sweep_errors_total", "Sweeps of this sidecar that failed."),
		took:    metric.Histogram("agentexec_sweep_seconds", "How long a sweep took.", prometheus.ExponentialBuckets(0.0005, 2, 14)),
	}
	registry.MustRegister(s.forced, s.expired, s.pruned, s.errors, s.took)
	return s
}

// run sweeps until ctx ends. It logs the first of several failures in a row.
func (s *sweeper) run(ctx context.Context) {
	logged := false
	for {
		began, rows := time.Now(), s.rows
		swept, err := s.sweep(ctx)
		pause := sweepInterval
		switch {
		case err == nil:
			logged = false
			switch { // where a bound was reached, there is more
			case swept.Forced >= rows || swept.Expired >= rows:
				pause = 0
			case swept.Pruned >= rows:
				pause = min(pause, prunePause*time.Since(began))
			}
		case ctx.Err() != nil:
			return
		default:
			s.errors.Inc()
			if !logged {
				s.log.Warn("cannot sweep: cancels, questions and retention that are due wait for another sidecar; trying again", "error", err)
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
	swept, err := s.client.Sweep(ctx, s.rows)
	if err == nil {
		took := time.Since(began)
		if swept.Forced >= s.rows || swept.Expired >= s.rows || swept.Pruned >= s.rows {
			s.rows = nextRows(s.rows, took)
		}
		s.took.Observe(took.Seconds())
		s.forced.Add(float64(swept.Forced))
		s.expired.Add(float64(swept.Expired))
		s.pruned.Add(float64(swept.Pruned))
	}
	if swept.Forced > 0 {
		s.log.Info("forced cancels whose grace period was over", "activities", swept.Forced)
	}
	if swept.Expired > 0 {
		s.log.Info("closed questions whose time was over", "questions", swept.Expired)
	}
	if swept.Pruned > 0 { // the record of what was deleted
		s.log.Info("deleted what the retention rules say", "rows", swept.Pruned)
	}
	return swept, err
}

// nextRows returns the bound of the sweep that follows a full one of so many rows. It shrinks fast and grows slowly.
func nextRows(rows int, took time.Duration) int {
	change := min(max(float64(sweepTime)/float64(took), 0.5), 1.25)
	return min(max(int(float64(rows)*change), sweepRowsLeast), sweepRowsMost)
}
