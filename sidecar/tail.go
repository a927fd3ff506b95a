package sidecar

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/wsfeed"
)

// tailConfig is what a tail needs. All fields are required, except pollOnly.
type tailConfig struct {
	hub    *wsfeed.Hub
	schema string
	// connect opens the tail's connection, connectListener the one that LISTENs.
	connect         func(context.Context) (*tailConn, error)
	connectListener func(context.Context) (*pgx.Conn, error)
	// probe is what probes of the listener are sent through.
	probe pgurl.DB
	// poll is the longest time between two reads while something is watched.
	poll time.Duration
	// pollOnly reads on a timer and never LISTENs.
	pollOnly bool
	log      *slog.Logger
	metrics  prometheus.Registerer
}

// tail reads the new lines of one schema in order, and hands them to the hub.
type tail struct {
	tailer   *tailer
	listener *listener // nil with pollOnly
}

func newTail(c tailConfig) *tail {
	q, w, m := newQueries(c.schema), newWakeup(), newTailMetrics(c.metrics)
	t := &tail{tailer: &tailer{
		hub: c.hub, q: q, wakeup: w, poll: c.poll, log: c.log, metrics: m, clock: &clock{metrics: m}, connect: c.connect,
	}}
	newGaugeFunc(c.metrics, "agentexec_tail_age_seconds", "Time since the tail's last successful read; -1 before the first.",
		func() float64 {
			if t.tailer.lastRead.Load() == 0 {
				return -1
			}
			return t.tailer.age().Seconds()
		})
	if c.pollOnly {
		return t
	}
	t.listener = &listener{
		channel: c.schema, wakeup: w, log: c.log, metrics: m, connect: c.connectListener,
		probe: newListenProbe(func(ctx context.Context, id string) error {
			usage := -1.0
			err := c.probe.QueryRow(ctx, q.listenProbe, c.schema, id).Scan(&usage)
			if usage >= 0 { // it is known even where the queue has no room for the probe
				m.queue.Set(usage)
				if w.setQueueUsage(usage) {
					c.log.Warn("notification queue near full (does a session listen and hold a transaction open?); "+
						"polling until it empties", "usage", usage)
				}
			}
			return err
		}),
	}
	return t
}

// run tails until ctx ends, through any number of lost connections. It returns nil.
func (t *tail) run(ctx context.Context) error {
	g, _ := errgroup.WithContext(ctx)
	if t.listener == nil {
		t.tailer.log.Warn("LISTEN is off: reading on a timer")
	} else {
		g.Go(func() error { return t.listener.run(ctx) })
	}
	g.Go(func() error { return t.tailer.run(ctx) })
	return g.Wait()
}

// tailHealth is the state of the live feed at one moment. /readyz answers it.
type tailHealth struct {
	tail     bool          // the tail's session works, and its last successful read is recent
	tailAge  time.Duration // since the tail's last successful read; maximal before the first
	listener string        // "healthy", "polling", "unhealthy", or "off"
	// holder is the session that holds the wake-up lock though its role has no right to the schema; nil where there is
	// none. Meanwhile the tail polls.
	holder *lockHolder
}

// health returns the state of the live feed. It asks Postgres nothing.
func (t *tail) health() tailHealth {
	h := tailHealth{tail: t.tailer.works(), tailAge: t.tailer.age(), listener: "off", holder: t.tailer.foreign.Load()}
	if t.listener != nil {
		h.listener = t.listener.state()
	}
	return h
}

// age is the time since the last successful read.
func (t *tailer) age() time.Duration {
	at := t.lastRead.Load()
	if at == 0 {
		return math.MaxInt64
	}
	return time.Since(time.Unix(0, at))
}
