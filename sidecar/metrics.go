package sidecar

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics of one sidecar, in a registry of their own, so that several can run in one process.
type metrics struct {
	registry *prometheus.Registry
	rings    prometheus.Counter
	linesIn  prometheus.Counter
	missed   prometheus.Counter
	hooked   prometheus.Gauge
	hooks    prometheus.Counter
	echo     prometheus.Gauge
	queue    prometheus.Gauge
	reads    prometheus.Histogram
}

func newMetrics(t func() (sockets, activities, lists int)) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		rings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "agentexec_rings_total", Help: "Notifications heard on the channel."}),
		linesIn: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "agentexec_lines_in_total", Help: "Lines of watched activities read by the tail."}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "agentexec_missed_lines_total", Help: "Lines that the backstop poll found though LISTEN stood and nothing had rung. Must stay 0."}),
	}
	m.hooked = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentexec_bell_hooked", Help: "1 while writers ring for this sidecar, 0 while it polls."})
	m.hooks = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentexec_bell_hooks_total", Help: "How often the bell was taken up."})
	m.echo = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentexec_listen_echo_seconds", Help: "How long the last pulse took from NOTIFY to LISTEN."})
	m.queue = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentexec_notification_queue_usage", Help: "Share of the instance's notification queue that is full, 0 to 1; at 1 every NOTIFY fails."})
	m.reads = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "agentexec_tail_read_seconds", Help: "How long a read of the tail took.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)})
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(m.rings, m.linesIn, m.missed, m.hooked, m.hooks, m.echo, m.queue, m.reads,
		gauge("agentexec_sockets", "Open connections of the feed, WebSocket and SSE.", func() int { n, _, _ := t(); return n }),
		gauge("agentexec_watched_activities", "Activities somebody watches.", func() int { _, n, _ := t(); return n }),
		gauge("agentexec_watched_lists", "Live lists somebody watches, equal filters counted once.", func() int { _, _, n := t(); return n }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
