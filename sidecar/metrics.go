package sidecar

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/agentexec/agentexec/wsfeed"
)

// metrics of one sidecar, in a registry of their own, so that several can run in one process. What the feed counts
// itself is in feed_metrics.go. docs/metrics.md has a row for each.
type metrics struct {
	registry    *prometheus.Registry
	rings       prometheus.Counter
	linesIn     prometheus.Counter
	missed      prometheus.Counter
	hooked      prometheus.Gauge
	hooks       prometheus.Counter
	echo        prometheus.Gauge
	queue       prometheus.Gauge
	foreignLock prometheus.Gauge
	reads       prometheus.Histogram
	lag         prometheus.Gauge
	lagRows     prometheus.Gauge
	clock       prometheus.Gauge
	delivery    prometheus.Histogram
	limits      *limitMetrics
}

func newMetrics(limits Limits) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		rings:    newCounter("agentexec_rings_total", "Notifications heard on the channel."),
		linesIn:  newCounter("agentexec_lines_in_total", "Lines of watched activities read by the tail."),
		missed: newCounter("agentexec_missed_lines_total",
			"Lines that the backstop poll found though LISTEN stood and nothing had rung. Must stay 0."),
		hooked: newGauge("agentexec_bell_hooked", "1 while writers ring for this sidecar, 0 while it polls."),
		hooks:  newCounter("agentexec_bell_hooks_total", "How often the bell was taken up."),
		echo:   newGauge("agentexec_listen_echo_seconds", "How long the last pulse took from NOTIFY to LISTEN."),
		queue: newGauge("agentexec_notification_queue_usage",
			"Share of the instance's notification queue that is full, 0 to 1; at 1 every NOTIFY fails."),
		foreignLock: newGauge("agentexec_wakeup_lock_foreign",
			"1 while a session of a role without rights to the schema holds the wake-up lock; the sidecar polls meanwhile."),
		reads: newHistogram("agentexec_tail_read_seconds", "How long a read of the tail took.",
			prometheus.ExponentialBuckets(0.0005, 2, 14)),
		lag: newGauge("agentexec_tail_lag_seconds", "Age, by created_at and the offset of Postgres's clock, of the oldest "+
			"line of the tail's last read when that had been read; 0 where it found none, and while nobody watches."),
		lagRows: newGauge("agentexec_tail_lag_rows",
			"Lines of watched activities that the tail's last read found; 0 while nobody watches."),
		clock: newGauge("agentexec_clock_offset_seconds",
			"How far Postgres's clock is ahead of this machine's, as measured when the tail's session began."),
		delivery: newHistogram("agentexec_commit_to_frame_seconds", "From the created_at of a frame's newest line, by the "+
			"offset of Postgres's clock, until a socket took the frame. Of live lines only: what a subscription catches up with is left out.",
			[]float64{.0005, .001, .002, .003, .005, .0075, .01, .015, .02, .03, .04, .06, .1, .15, .25, .5, 1, 2.5, 5, 10, 30}),
	}
	m.registry.MustRegister(m.rings, m.linesIn, m.missed, m.hooked, m.hooks, m.echo, m.queue, m.foreignLock, m.reads, m.lag, m.lagRows,
		m.clock, m.delivery, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.limits = newLimitMetrics(m.registry, limits)
	return m
}

// delivered is wsfeed.Config.Delivered.
func (m *metrics) delivered(took time.Duration) { m.delivery.Observe(took.Seconds()) }

// lagged notes how far the last read of the tail was behind; nothing at all where nobody watches.
func (m *metrics) lagged(l lag) {
	m.lag.Set(l.seconds())
	m.lagRows.Set(float64(l.lines))
}

// feed has the feed's own numbers collected.
func (m *metrics) feed(stats func() wsfeed.Stats) { m.registry.MustRegister(newFeedCollector(stats)) }

func newCounter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func newGauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func newHistogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}
