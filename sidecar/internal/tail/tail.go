package tail

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/sidecar/internal/metric"
	"github.com/agentexec/agentexec/wsfeed"
)

// Config configures a Tail. All fields are required, except PollOnly.
type Config struct {
	Hub    *wsfeed.Hub
	Schema string
	// Connect opens the tail's connection, ConnectListener the one that LISTENs.
	Connect         func(context.Context) (*database.Direct, error)
	ConnectListener func(context.Context) (*pgx.Conn, error)
	// Pool sends the probes of the listener, and reads the stale activities.
	Pool pgurl.DB
	// Poll is the longest time between two reads while something is watched.
	Poll time.Duration
	// PollOnly reads on a timer and never LISTENs.
	PollOnly bool
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Tail reads the new lines of one schema in order, and hands them to the hub.
type Tail struct {
	tailer   *tailer
	listener *listener // nil with PollOnly
	stale    *staleWatcher
}

// New returns a tail. It connects when it runs.
func New(c Config) *Tail {
	q, w, m := newQueries(c.Schema), newWakeup(), newTailMetrics(c.Metrics)
	t := &Tail{tailer: &tailer{
		hub: c.Hub, q: q, schema: c.Schema,
		lock: notify.NewLock(pgx.Identifier{c.Schema}.Sanitize()), wakeup: w, poll: c.Poll, log: c.Log, metrics: m, clock: &clock{metrics: m}, connect: c.Connect,
	}, stale: &staleWatcher{hub: c.Hub, db: c.Pool, q: q, log: c.Log, metrics: m}}
	metric.GaugeFunc(c.Metrics, "agentexec_tail_age_seconds", "Time since the tail's last successful read; -1 before the first.",
		func() float64 {
			if t.tailer.lastRead.Load() == 0 {
				return -1
			}
			return t.tailer.age().Seconds()
		})
	if c.PollOnly {
		return t
	}
	t.listener = &listener{
		channel: c.Schema, wakeup: w, log: c.Log, metrics: m, connect: c.ConnectListener,
		probe: newListenProbe(func(ctx context.Context, id string) error {
			usage, err := notify.Probe(ctx, c.Pool, c.Schema, id)
			if usage >= 0 { // it is known even where the queue has no room for the probe
				m.queue.Set(usage)
				if w.setQueueUsage(usage) {
					c.Log.Warn("notification queue near full (does a session listen and hold a transaction open?); "+
						"polling until it empties", "usage", usage)
				}
			}
			return err
		}),
	}
	return t
}

// Run tails until ctx ends, and reconnects after a lost connection. It returns nil.
func (t *Tail) Run(ctx context.Context) error {
	g, _ := errgroup.WithContext(ctx)
	if t.listener == nil {
		t.tailer.log.Warn("LISTEN is off: reading on a timer")
	} else {
		g.Go(func() error { return t.listener.run(ctx) })
	}
	g.Go(func() error { return t.tailer.run(ctx) })
	g.Go(func() error {
		t.stale.run(ctx)
		return nil
	})
	return g.Wait()
}

// Now returns the time of Postgres's clock, from the last comparison with this machine's clock. Before the tail's first session,
// it returns the time of this machine.
func (t *Tail) Now() time.Time { return t.tailer.clock.now() }

// Health is the state of the live feed at one moment. /readyz answers it.
type Health struct {
	Tail     bool          // the tail's session works, and its last successful read is recent
	TailAge  time.Duration // since the tail's last successful read; maximal before the first
	Listener string        // "healthy", "polling", "unhealthy", or "off"
	// Holder is the session that holds the wake-up lock though its role has no right to the schema; nil where there is
	// none. Meanwhile the tail polls.
	Holder *notify.Holder
}

// Health returns the state of the live feed. It does not query Postgres.
func (t *Tail) Health() Health {
	h := Health{Tail: t.tailer.works(), TailAge: t.tailer.age(), Listener: "off", Holder: t.tailer.foreign.Load()}
	if t.listener != nil {
		h.Listener = t.listener.state()
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
