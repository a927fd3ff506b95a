package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const spreadRate = 5000

// measureSpread has many activities with a socket each, where nothing can be shared between sockets.
func measureSpread(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url, "agentexec", o.manySockets)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	empty := c.memory()
	s, err := flyOneEach(ctx, c.feed, url, ids, 1)
	if err != nil {
		return nil, err
	}
	defer s.close()
	idle := float64(c.memory()-empty) / float64(len(ids))

	if _, err := appendAtRate(ctx, url, ids, spreadRate, len(ids)); err != nil { // a line each, to warm
		return nil, err
	}
	if _, err := s.await(ctx, int64(len(ids))); err != nil {
		return nil, err
	}
	_ = s.taken()
	lines := int(spreadRate * 2 * total(o).Seconds())
	cpu, seen, began := c.cpu(), s.lines.Load(), time.Now()
	if _, err := appendAtRate(ctx, url, ids, spreadRate, lines); err != nil {
		return nil, err
	}
	sent := time.Since(began)
	last, err := s.await(ctx, seen+int64(lines))
	if err != nil {
		return nil, err
	}
	used, arrived, took := c.cpu()-cpu, s.lines.Load()-seen, s.taken()
	t := table{
		title: fmt.Sprintf("%d activities, one socket each, %d lines/s wanted", o.manySockets, spreadRate),
		note: "Send to frame, from before the append is sent, commit included; the writers, Postgres, the sidecar and the sockets share " +
			"this machine. Lost and repeated: by the seq of every line.",
		head: []string{"sockets", "sent", "delivered", "p50", "p99", "lines", "lost", "repeated", "sidecar CPU/line", "of a core", "KB/idle socket"},
		rows: [][]string{{strconv.Itoa(o.manySockets), fmt.Sprintf("%.0f/s", float64(lines)/sent.Seconds()),
			fmt.Sprintf("%.0f/s", float64(arrived)/last.Sub(began).Seconds()), ms(took, 0.5), ms(took, 0.99), strconv.FormatInt(arrived, 10),
			strconv.FormatInt(s.lost.Load(), 10), strconv.FormatInt(s.repeated.Load(), 10),
			fmt.Sprintf("%.1f µs", float64(used.Microseconds())/float64(lines)),
			fmt.Sprintf("%.0f%%", 100*used.Seconds()/sent.Seconds()), fmt.Sprintf("%.1f", idle/1024)}},
	}
	return []table{t}, nil
}

// flyOneEach opens a socket for each activity, from its last line on.
func flyOneEach(ctx context.Context, feed, url string, ids []uuid.UUID, sample int) (*swarm, error) {
	last, err := lastSeqs(ctx, url, ids)
	if err != nil {
		return nil, err
	}
	f := oneEach(ids, last)
	f.sample = sample
	return fly(ctx, feed, len(ids), f)
}

// oneEach is a socket for each activity.
func oneEach(ids []uuid.UUID, last map[uuid.UUID]int64) flight {
	return flight{
		mark: `"seq": `,
		greet: func(n int) []string {
			return []string{fmt.Sprintf(`{"type":"subscribe","agent_id":%q,"after_seq":%d}`, ids[n], last[ids[n]])}
		},
		ready: isSnapshot,
		last:  last,
	}
}
