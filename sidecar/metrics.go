package sidecar

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/agentexec/agentexec/sidecar/internal/metric"
	"github.com/agentexec/agentexec/wsfeed"
)

// metrics of one sidecar, in a registry of their own, so that several can run in one process. The feed's own
// counters are in feed_metrics.go. docs/metrics.md has a row for each.
type metrics struct {
	registry *prometheus.Registry
	delivery prometheus.Histogram
	limits   *limitMetrics
}

func newMetrics(limits Limits) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		delivery: metric.Histogram("agentexec_commit_to_frame_seconds", "From the created_at of a frame's newest line, by the "+
			"offset of Postgres's clock, until a socket took the frame. Of live lines only: what a subscription catches up with is left out.",
			[]float64{.0005, .001, .002, .003, .005, .0075, .01, .015, .02, .03, .04, .06, .1, .15, .25, .5, 1, 2.5, 5, 10, 30}),
	}
	m.registry.MustRegister(m.delivery, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.limits = newLimitMetrics(m.registry, limits)
	return m
}

// delivered is wsfeed.Config.Delivered.
func (m *metrics) delivered(took time.Duration) { m.delivery.Observe(took.Seconds()) }

// feed has the feed's own numbers collected.
func (m *metrics) feed(stats func() wsfeed.Stats) { m.registry.MustRegister(newFeedCollector(stats)) }
