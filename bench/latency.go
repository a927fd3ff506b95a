package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// measureLatency sends the time in the message and looks at it when the frame arrives. Commit to frame is the time from
// the moment the writer's call returned. The bare LISTEN round trip, a pg_notify that writes no row, is counted from
// before it is sent: its commit has nothing to flush.
func measureLatency(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url, "agentexec", watchedActivities)
	if err != nil {
		return nil, err
	}
	// In a database of its own, so that a notification wakes none but its listener.
	apart, err := createDatabase(ctx, url, "apart")
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()

	t := table{
		title: "Commit to frame, beside a bare notification",
		note: fmt.Sprintf("Commit to frame: from the return of append_log at its writer until the frame is read; 0 where the frame was "+
			"faster. Send to frame holds the append and the flush of its commit too. One sidecar, one socket, %d activities watched on it. "+
			"LISTEN: send to receipt of a bare pg_notify, ten a second while the lines are written, halfway between two of them at "+
			"10 lines/s, so both feel the same machine.", len(ids)),
		head: []string{"lines/s", "sent", "LISTEN p50", "LISTEN p99", "commit to frame p50", "p99", "send to frame p50", "p99",
			"p50 <= 1.5 x LISTEN + 1 ms", "reach", "lines"},
	}
	for _, rate := range o.rates {
		row, err := latencyAt(ctx, url, apart, c.feed, ids, rate, o)
		if err != nil {
			return nil, fmt.Errorf("%d lines/s: %w", rate, err)
		}
		t.rows = append(t.rows, row)
	}
	return []table{t}, nil
}

// latencyReach is the p99 to reach, by lines per second.
var latencyReach = map[int]time.Duration{10: 8 * time.Millisecond, 2000: 20 * time.Millisecond, 5000: 40 * time.Millisecond}

func latencyAt(ctx context.Context, url, apart, feed string, ids []uuid.UUID, rate int, o options) ([]string, error) {
	last, err := lastSeqs(ctx, url, ids)
	if err != nil {
		return nil, err
	}
	s, err := fly(ctx, feed, 1, watchAll(ids, last))
	if err != nil {
		return nil, err
	}
	defer s.close()
	span := total(o)
	if rate <= 100 {
		span *= 4 // for a p99 worth its name
	}
	lines := max(10, int(float64(rate)*span.Seconds()))

	var listened []time.Duration
	var beside sync.WaitGroup
	writing, done := context.WithCancel(ctx)
	defer beside.Wait()
	defer done()
	var listenErr error
	beside.Go(func() { listened, listenErr = listenLatency(writing, apart) })
	began := time.Now()
	commits, err := appendAtRate(ctx, url, ids, rate, lines)
	if err != nil {
		return nil, err
	}
	sent := float64(lines) / time.Since(began).Seconds()
	done()
	beside.Wait()
	if listenErr != nil {
		return nil, listenErr
	}
	if _, err := s.await(ctx, int64(lines)); err != nil {
		return nil, err
	}
	arrived := s.arrivals()
	if len(arrived) != lines || s.lost.Load()+s.repeated.Load() > 0 {
		return nil, fmt.Errorf("%d of %d lines arrived, %d lost, %d repeated", len(arrived), lines, s.lost.Load(), s.repeated.Load())
	}
	var took, whole []time.Duration
	for _, a := range arrived {
		took = append(took, max(0, a.at.Sub(commits[a.sent])))
		whole = append(whole, a.at.Sub(time.Unix(0, a.sent)))
	}
	slices.Sort(took)
	slices.Sort(whole)
	row := []string{strconv.Itoa(rate), fmt.Sprintf("%.0f/s", sent), fineMs(listened, 0.5), fineMs(listened, 0.99), fineMs(took, 0.5),
		fineMs(took, 0.99), fineMs(whole, 0.5), fineMs(whole, 0.99), "no", "", strconv.Itoa(lines)}
	if quantile(took, 0.5) <= quantile(listened, 0.5)*3/2+time.Millisecond {
		row[8] = "yes"
	}
	if goal, ok := latencyReach[rate]; ok {
		row[9] = verdict(fmt.Sprintf("p99 <= %s", goal), quantile(took, 0.99) <= goal)
	}
	return row, nil
}

// watchAll is one socket that watches all of them.
func watchAll(ids []uuid.UUID, last map[uuid.UUID]int64) flight {
	greet := make([]string, len(ids))
	for i, id := range ids {
		greet[i] = fmt.Sprintf(`{"type":"subscribe","agent_id":%q,"after_seq":%d}`, id, last[id])
	}
	return flight{mark: `"seq": `, greet: func(int) []string { return greet }, ready: snapshots(len(greet)), sample: 1, last: last}
}

// snapshots tells the last of so many on one socket.
func snapshots(n int) func(frame []byte) bool {
	return func(frame []byte) bool {
		if isSnapshot(frame) {
			n--
		}
		return n == 0
	}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(sorted []time.Duration, q float64) string {
	if len(sorted) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", quantile(sorted, q).Seconds()*1000)
}

func fineMs(sorted []time.Duration, q float64) string {
	if len(sorted) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f ms", quantile(sorted, q).Seconds()*1000)
}

func total(o options) time.Duration { return time.Duration(o.rounds) * o.each }

// listenLatency is the round trip of a bare notification, ten a second until ctx ends.
func listenLatency(ctx context.Context, url string) ([]time.Duration, error) {
	whole := context.WithoutCancel(ctx)
	listener, err := pgx.Connect(whole, url)
	if err != nil {
		return nil, err
	}
	defer listener.Close(whole)
	mouth, err := pgx.Connect(whole, url)
	if err != nil {
		return nil, err
	}
	defer mouth.Close(whole)
	if _, err := listener.Exec(whole, "listen bench"); err != nil {
		return nil, err
	}
	var took []time.Duration
	for next := time.Now().Add(50 * time.Millisecond); ; next = next.Add(100 * time.Millisecond) {
		select {
		case <-ctx.Done():
			slices.Sort(took)
			return took, nil
		case <-time.After(time.Until(next)):
		}
		began := time.Now()
		if _, err := mouth.Exec(whole, "select pg_notify('bench', '')"); err != nil {
			return nil, err
		}
		if _, err := listener.WaitForNotification(whole); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
}

// appendAtRate appends n lines, evenly spaced, over as many connections as the rate needs. A writer that is late sends
// at once; the time in a line is when it was sent, and commits says when its call returned.
func appendAtRate(ctx context.Context, url string, ids []uuid.UUID, rate, n int) (commits map[int64]time.Time, err error) {
	writers := min(8, max(1, rate/250))
	var clients sync.WaitGroup
	fail := make(chan error, writers)
	gap := time.Second * time.Duration(writers) / time.Duration(rate)
	conns, err := connect(ctx, url, writers)
	if err != nil {
		return nil, err
	}
	defer conns.close(ctx)
	var mu sync.Mutex
	commits = make(map[int64]time.Time, n)
	for w, conn := range conns {
		clients.Go(func() {
			next := time.Now().Add(gap * time.Duration(w) / time.Duration(writers))
			for i := w; i < n; i += writers {
				time.Sleep(time.Until(next))
				next = next.Add(gap)
				sent := time.Now().UnixNano()
				_, err := conn.Exec(ctx, `select agentexec.append_log($1, $2)`, ids[i%len(ids)], fmt.Sprintf("t=%d", sent))
				now := time.Now()
				if err != nil {
					fail <- err
					return
				}
				mu.Lock()
				commits[sent] = now
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	select {
	case err := <-fail:
		return nil, err
	default:
		return commits, nil
	}
}
