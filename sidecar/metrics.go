package sidecar

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/agentexec/agentexec/sidecar/internal/metric"
	"github.com/agentexec/agentexec/wsfeed"
)

// metrics of one sidecar, in a registry of their own, so that several sidecars can run in one process. The feed's own counters
// are in feedCollector. docs/metrics.md has a row for each.
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

// feed registers the feed's own numbers.
func (m *metrics) feed(stats func() wsfeed.Stats) { m.registry.MustRegister(newFeedCollector(stats)) }

// feedCollector exports the feed's own numbers. It reads all of them together, at each scrape.
type feedCollector struct {
	stats  func() wsfeed.Stats
	values []feedValue
}

// feedValue is one metric, or several distinguished by a label.
type feedValue struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s wsfeed.Stats) []labelled
}

type labelled struct {
	label string // "" where the metric has none
	value float64
}

func newFeedCollector(stats func() wsfeed.Stats) *feedCollector {
	c := &feedCollector{stats: stats}
	gauge := func(name, help string, read func(wsfeed.Stats) int) {
		c.values = append(c.values, feedValue{
			prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue,
			func(s wsfeed.Stats) []labelled { return []labelled{{value: float64(read(s))}} },
		})
	}
	counter := func(name, label, help string, read func(wsfeed.Stats) []labelled) {
		c.values = append(c.values, feedValue{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.CounterValue, read})
	}
	gauge("agentexec_sockets", "Open connections of the feed, WebSocket and SSE.", func(s wsfeed.Stats) int { return s.Sockets })
	gauge("agentexec_subscriptions", "Subscriptions of all sockets, to activities and to lists.",
		func(s wsfeed.Stats) int { return s.Subscriptions })
	gauge("agentexec_watched_activities", "Activities that have subscriptions.", func(s wsfeed.Stats) int { return s.Activities })
	gauge("agentexec_watched_lists", "Live lists that have subscriptions, equal filters counted once.",
		func(s wsfeed.Stats) int { return s.Lists })
	gauge("agentexec_sockets_behind", "Sockets with a subscription that is being served from Postgres, because the ring does not reach back to it.",
		func(s wsfeed.Stats) int { return s.Behind })
	counter("agentexec_frames_out_total", "transport", "Frames and events that sockets have taken.", func(s wsfeed.Stats) []labelled {
		return []labelled{{"websocket", float64(s.WebSocket.Frames)}, {"sse", float64(s.SSE.Frames)}}
	})
	counter("agentexec_bytes_out_total", "transport", "Bytes of these, without the headers of WebSocket and HTTP.", func(s wsfeed.Stats) []labelled {
		return []labelled{{"websocket", float64(s.WebSocket.Bytes)}, {"sse", float64(s.SSE.Bytes)}}
	})
	counter("agentexec_catch_up_reads_total", "kind", "Reads of Postgres for sockets, begun.", func(s wsfeed.Stats) []labelled {
		return []labelled{{"snapshot", float64(s.Reads.Snapshots)}, {"replay", float64(s.Reads.Replays)},
			{"list", float64(s.Reads.Lists)}, {"counts", float64(s.Reads.Counts)}}
	})
	gauge("agentexec_catch_up_reads_in_progress", "Reads of Postgres for sockets, at this moment; half the connections for reads at most.",
		func(s wsfeed.Stats) int { return s.Reads.InProgress })
	gauge("agentexec_catch_up_reads_waiting", "Reads of Postgres for sockets that wait for their turn.",
		func(s wsfeed.Stats) int { return s.Reads.Waiting })
	return c
}

// Describe implements prometheus.Collector.
func (c *feedCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, v := range c.values {
		descs <- v.desc
	}
}

// Collect implements prometheus.Collector.
func (c *feedCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.stats()
	for _, v := range c.values {
		for _, l := range v.read(stats) {
			var labels []string
			if l.label != "" {
				labels = []string{l.label}
			}
			out <- prometheus.MustNewConstMetric(v.desc, v.kind, l.value, labels...)
		}
	}
}
