package tail

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentexec/agentexec/sidecar/internal/metric"
)

// tailMetrics are the metrics of a tail. docs/metrics.md has a row for each.
type tailMetrics struct {
	wakeups     prometheus.Counter
	linesIn     prometheus.Counter
	missed      prometheus.Counter
	wakeupMode  *prometheus.GaugeVec
	lockTaken   prometheus.Counter
	roundTrip   prometheus.Gauge
	queue       prometheus.Gauge
	foreignLock prometheus.Gauge
	reads       prometheus.Histogram
	lag         prometheus.Gauge
	lagRows     prometheus.Gauge
	clock       prometheus.Gauge
	stale       prometheus.Gauge
	staleReads  prometheus.Histogram
}

// unknownStale is the number of stale activities while nothing is watched.
const unknownStale = -1

func newTailMetrics(registry prometheus.Registerer) *tailMetrics {
	m := &tailMetrics{
		wakeups: metric.Counter("agentexec_wakeups_total", "Wake-ups received: notifications on the channel without a payload."),
		linesIn: metric.Counter("agentexec_lines_in_total", "Lines of watched activities read by the tail."),
		missed: metric.Counter("agentexec_missed_lines_total",
			"Lines that the backstop poll found though the listener was healthy and no wake-up had arrived. Must stay 0."),
		wakeupMode: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "agentexec_wakeup_mode", Help: "1 for the mode the tail is in: " +
			"notified (it holds the wake-up lock), standby (another session holds it) or polling (a timer reads)."}, []string{"mode"}),
		lockTaken: metric.Counter("agentexec_wakeup_lock_taken_total", "How often this sidecar took the wake-up lock."),
		roundTrip: metric.Gauge("agentexec_listen_round_trip_seconds", "Round-trip time of the last probe, from NOTIFY to LISTEN."),
		queue: metric.Gauge("agentexec_notification_queue_usage",
			"Share of the instance's notification queue that is full, 0 to 1; at 1 every NOTIFY fails."),
		foreignLock: metric.Gauge("agentexec_wakeup_lock_foreign",
			"1 while a session of a role without rights to the schema holds the wake-up lock; the sidecar polls meanwhile."),
		reads: metric.Histogram("agentexec_tail_read_seconds", "How long a read of the tail took.",
			prometheus.ExponentialBuckets(0.0005, 2, 14)),
		lag: metric.Gauge("agentexec_tail_lag_seconds", "Age, by created_at and the offset of Postgres's clock, of the oldest "+
			"line of the tail's last read when that had been read; 0 where it found none, and while nothing is watched."),
		lagRows: metric.Gauge("agentexec_tail_lag_rows",
			"Lines of watched activities that the tail's last read found; 0 while nothing is watched."),
		clock: metric.Gauge("agentexec_clock_offset_seconds",
			"How far Postgres's clock is ahead of this machine's, as last measured by the tail."),
		stale: metric.Gauge("agentexec_stale_activities",
			"Stale activities: RUNNING, and their worker sent no heartbeat and no line for longer than it promised; -1 while nothing is watched."),
		staleReads: metric.Histogram("agentexec_stale_read_seconds", "How long a read of the stale activities took.",
			prometheus.ExponentialBuckets(0.0005, 2, 14)),
	}
	m.stale.Set(unknownStale)
	registry.MustRegister(m.wakeups, m.linesIn, m.missed, m.wakeupMode, m.lockTaken, m.roundTrip, m.queue, m.foreignLock, m.reads, m.lag,
		m.lagRows, m.clock, m.stale, m.staleReads)
	m.setWakeupMode(modePolling)
	return m
}

// setWakeupMode sets the series of one mode to 1 and the others to 0.
func (m *tailMetrics) setWakeupMode(mode string) {
	for _, known := range []string{modeNotified, modeStandby, modePolling} {
		value := 0.0
		if known == mode {
			value = 1
		}
		m.wakeupMode.WithLabelValues(known).Set(value)
	}
}

// lagged records the delay of the last read of the tail; it records nothing where nothing is watched.
func (m *tailMetrics) lagged(l lag) {
	m.lag.Set(l.seconds())
	m.lagRows.Set(float64(l.lines))
}
