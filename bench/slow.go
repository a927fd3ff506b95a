package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	healthyRate = 100 // lines a second for the healthy ones, of which there are as many
	floodLine   = 10_000
	floodBatch  = 2 // lines for each activity in one transaction
)

// slowRun is a sidecar with healthy sockets, and what is written beside them.
type slowRun struct {
	url     string
	sidecar *child
	healthy []uuid.UUID
	swarm   *swarm // the healthy sockets
	message string
	p99     time.Duration // of the healthy ones, in the last phase
	peak    int           // of its memory, in bytes
}

// measureSlow has sockets that take nothing while many lines are written for them, beside healthy ones. The sidecar's
// timeouts are long, so that it has to keep them.
func measureSlow(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	n := o.sleepers
	ids, err := makeActivities(ctx, url, "agentexec", 3*n)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, "keeping", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	r := slowRun{url: url, sidecar: c, healthy: ids[2*n:], message: noise(floodLine)}
	if r.swarm, err = flyOneEach(ctx, c.feed, url, r.healthy, 1); err != nil {
		return nil, err
	}
	defer r.swarm.close()

	t := table{
		title: fmt.Sprintf("%d sockets that take nothing, beside %d healthy ones", n, len(r.healthy)),
		note: fmt.Sprintf("A socket for each activity. The healthy activities get %d lines/s together, the others lines of %d bytes, as fast as "+
			"one connection writes them; the same is done first with sockets that read. Memory: resident, beyond what it was with all "+
			"sockets open and nothing written; at the highest moment, and held afterwards, when the runtime has given back what it does "+
			"not use. The write timeout is long enough for no socket to be closed.", healthyRate, floodLine),
		head: []string{"the others", "MB for each", "written in", "healthy p50", "healthy p99", "lines", "lost", "repeated", "peak", "held", "reach"},
	}
	alone, err := r.phase(ctx, "none", 0, nil, 2*total(o))
	if err != nil {
		return nil, err
	}
	readers, err := flyOneEach(ctx, c.feed, url, ids[:n], len(ids))
	if err != nil {
		return nil, err
	}
	read, err := r.phase(ctx, "read", o.flood, ids[:n], 0)
	beside := r.p99
	readers.close()
	if err != nil {
		return nil, err
	}
	asleep, err := flyAsleep(ctx, c.feed, url, ids[n:2*n])
	if err != nil {
		return nil, err
	}
	defer asleep.close()
	slept, err := r.phase(ctx, "take nothing", o.flood, ids[n:2*n], 0)
	if err != nil {
		return nil, err
	}
	slept[10] = verdict("peak <= 32 MB", r.peak <= 32<<20) + verdict("; healthy p99 <= 1.5 x beside readers", r.p99 <= beside*3/2)
	t.rows = [][]string{alone, read, slept}
	woken, err := wakeOne(ctx, url, asleep)
	return []table{t, woken}, err
}

// phase writes for the healthy sockets, and beside it the flood, or for so long.
func (r *slowRun) phase(ctx context.Context, name string, mb int, ids []uuid.UUID, span time.Duration) ([]string, error) {
	_ = r.swarm.taken()
	lost, repeated := r.swarm.lost.Load(), r.swarm.repeated.Load()
	before := r.sidecar.memory()
	peak := before
	writing, quiet := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer quiet()
	var writeErr error
	beside.Go(func() { writeErr = appendUntil(writing, r.url, r.healthy) })
	beside.Go(func() {
		for writing.Err() == nil {
			peak = max(peak, r.sidecar.resident())
			time.Sleep(20 * time.Millisecond)
		}
	})
	began := time.Now()
	if err := r.flood(ctx, mb, ids); err != nil {
		return nil, err
	}
	written := time.Since(began)
	time.Sleep(max(span-written, time.Second)) // the tail may still be behind
	quiet()
	beside.Wait()
	if writeErr != nil {
		return nil, writeErr
	}
	want, err := lastSeqs(ctx, r.url, r.healthy)
	if err != nil {
		return nil, err
	}
	if late := r.swarm.behind(ctx, want, 30*time.Second); late > 0 {
		return nil, fmt.Errorf("%d healthy sockets stay behind", late)
	}
	took := r.swarm.taken()
	r.p99, r.peak = quantile(took, 0.99), peak-before
	row := []string{name, strconv.Itoa(mb), "-", ms(took, 0.5), ms(took, 0.99), strconv.Itoa(len(took)),
		strconv.FormatInt(r.swarm.lost.Load()-lost, 10), strconv.FormatInt(r.swarm.repeated.Load()-repeated, 10),
		megabytes(r.peak), megabytes(r.sidecar.memory() - before), ""}
	if mb > 0 {
		row[2] = fmt.Sprintf("%.1f s", written.Seconds())
	}
	return row, nil
}

func megabytes(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }

// flood writes so many MB for each activity.
func (r *slowRun) flood(ctx context.Context, mb int, ids []uuid.UUID) error {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for range mb << 20 / floodLine / floodBatch {
		_, err := conn.Exec(ctx, `select agentexec.append_logs(jsonb_agg(jsonb_build_object('agent_id', a.id, 'message', $2::text)))
			from unnest($1::uuid[]) a(id) cross join generate_series(1, $3)`, ids, r.message, floodBatch)
		if err != nil {
			return err
		}
	}
	return nil
}

// noise is text that does not compress.
func noise(n int) string {
	text := make([]byte, 0, n+32)
	for len(text) < n {
		text = append(text, uuid.NewString()...)
	}
	return string(text[:n])
}

// appendUntil appends at the healthy rate until ctx ends.
func appendUntil(ctx context.Context, url string, ids []uuid.UUID) error {
	whole := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(whole, url)
	if err != nil {
		return err
	}
	defer conn.Close(whole)
	next := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		_, err := conn.Exec(whole, `select agentexec.append_log($1, $2)`, ids[i%len(ids)], fmt.Sprintf("t=%d", time.Now().UnixNano()))
		if err != nil {
			return err
		}
		next = next.Add(time.Second / healthyRate)
		time.Sleep(time.Until(next))
	}
	return nil
}

// flyAsleep opens a socket for each activity that takes nothing once it is live.
func flyAsleep(ctx context.Context, feed, url string, ids []uuid.UUID) (*swarm, error) {
	last, err := lastSeqs(ctx, url, ids)
	if err != nil {
		return nil, err
	}
	f := oneEach(ids, last)
	f.asleep = true
	return fly(ctx, feed, len(ids), f)
}

// wakeOne lets one of them read, and looks whether it gets every line once.
func wakeOne(ctx context.Context, url string, s *swarm) (table, error) {
	t := table{
		title: "One of them wakes up",
		head:  []string{"lines waiting", "caught up in", "MB/s", "lost", "repeated", "reach"},
	}
	ids := make([]uuid.UUID, 0, len(s.seqs))
	for id := range s.seqs {
		ids = append(ids, id)
	}
	want, err := lastSeqs(ctx, url, ids)
	if err != nil {
		return t, err
	}
	began := time.Now()
	s.wake(0)
	for s.behind(ctx, want, 0) == len(ids) {
		if time.Since(began) > 3*time.Minute {
			return t, errors.New("the socket that woke up does not catch up")
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	time.Sleep(200 * time.Millisecond) // for what might come twice
	lines, lost, repeated := s.lines.Load(), s.lost.Load(), s.repeated.Load()
	t.rows = [][]string{{strconv.FormatInt(lines, 10), fmt.Sprintf("%.1f s", took.Seconds()),
		fmt.Sprintf("%.0f", float64(lines*floodLine)/(1<<20)/took.Seconds()), strconv.FormatInt(lost, 10), strconv.FormatInt(repeated, 10),
		verdict("every line once", lost == 0 && repeated == 0 && lines == want[ids[0]]-1)}}
	return t, nil
}
