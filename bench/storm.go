package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
)

// measureStorm kills the sidecar with SIGKILL under load and restarts it: every socket comes back with the last seq it
// saw, and every line is counted.
func measureStorm(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url, "agentexec", benchActivities)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	t := table{
		title: "The sidecar is killed under load and restarted",
		note: "Sockets are spread over the activities; 500 lines/s meanwhile. Caught up: from the moment the port takes " +
			"connections again until every socket has every line committed by then. Each client waits up to a second, at random, before it " +
			"tries again. Lost and repeated: by the seq of every line.",
		head: []string{"sockets", "activities", "kills", "caught up (median)", "worst", "lines", "lost", "repeated", "reach"},
	}
	for _, activities := range []int{50, len(ids)} {
		row, err := storm(ctx, url, addr, ids[:activities], o.manySockets, o)
		if err != nil {
			return nil, err
		}
		t.rows = append(t.rows, row)
	}
	return []table{t}, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// follower is one client: it counts what it gets and comes back whenever it is cut off.
type follower struct {
	id             uuid.UUID
	last           atomic.Int64
	lost, repeated atomic.Int64
}

func (f *follower) run(ctx context.Context, feed string, jitter func() time.Duration) {
	for ctx.Err() == nil {
		f.session(ctx, feed)
		select {
		case <-ctx.Done():
		case <-time.After(jitter()):
		}
	}
}

func (f *follower) session(ctx context.Context, feed string) {
	d := websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 256}
	ws, resp, err := d.DialContext(ctx, feed+"/"+f.id.String()+"?after_seq="+strconv.FormatInt(f.last.Load(), 10), nil)
	if err != nil {
		return
	}
	_ = resp.Body.Close()
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer stop()
	defer ws.Close()
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if !strings.HasPrefix(string(data), `{"type":"logs"`) {
			continue
		}
		var m struct {
			Logs []struct {
				Seq int64 `json:"seq"`
			} `json:"logs"`
		}
		if json.Unmarshal(data, &m) != nil {
			return
		}
		for _, l := range m.Logs {
			switch last := f.last.Load(); {
			case l.Seq <= last:
				f.repeated.Add(1)
			default:
				f.lost.Add(l.Seq - last - 1)
				f.last.Store(l.Seq)
			}
		}
	}
}

func storm(ctx context.Context, url, addr string, ids []uuid.UUID, sockets int, o options) ([]string, error) {
	running, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	sidecar, err := startChild(ctx, "agentexec", url, addr)
	if err != nil {
		return nil, err
	}
	defer func() { sidecar.stop() }()
	followers := make([]*follower, sockets)
	for i := range followers {
		f := &follower{id: ids[i%len(ids)]}
		followers[i] = f
		clients.Go(func() {
			f.run(running, sidecar.feed, func() time.Duration { return time.Duration((i*7919)%1000) * time.Millisecond })
		})
	}
	writing, quiet := context.WithCancel(ctx)
	defer quiet()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() { trickle(writing, url, ids, w) })
	}
	if _, err := caughtUp(ctx, url, followers, time.Now()); err != nil {
		return nil, err
	}
	var times []float64
	worst := 0.0
	for range o.rounds {
		sidecar.kill()
		back := make(chan time.Time, 1)
		go func() { back <- portBack(running, addr) }()
		if sidecar, err = startChild(ctx, "agentexec", url, addr); err != nil {
			return nil, err
		}
		took, err := caughtUp(ctx, url, followers, <-back)
		if err != nil {
			return nil, err
		}
		times = append(times, took.Seconds())
		worst = max(worst, took.Seconds())
	}
	quiet()
	writers.Wait()
	if _, err := caughtUp(ctx, url, followers, time.Now()); err != nil {
		return nil, err
	}
	var lines, lost, repeated int64
	for _, f := range followers {
		lines, lost, repeated = lines+f.last.Load(), lost+f.lost.Load(), repeated+f.repeated.Load()
	}
	return []string{strconv.Itoa(sockets), strconv.Itoa(len(ids)), strconv.Itoa(o.rounds), fmt.Sprintf("%.1f s", median(times)),
		fmt.Sprintf("%.1f s", worst), strconv.FormatInt(lines, 10), strconv.FormatInt(lost, 10), strconv.FormatInt(repeated, 10),
		verdict("median <= 5 s, 0 lost, 0 repeated", median(times) <= 5 && lost+repeated == 0)}, nil
}

// portBack is when the address takes connections again.
func portBack(ctx context.Context, addr string) time.Time {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		if err == nil || ctx.Err() != nil {
			return time.Now()
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// trickle appends about 125 lines a second.
func trickle(ctx context.Context, url string, ids []uuid.UUID, w int) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(8 * time.Millisecond)
	defer tick.Stop()
	for n := w; ; n += 4 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, _ = conn.Exec(context.WithoutCancel(ctx), `select agentexec.append_log($1, $2)`, ids[n%len(ids)], benchMessage)
	}
}

func idsOf(followers []*follower) []uuid.UUID {
	ids := make([]uuid.UUID, len(followers))
	for i, f := range followers {
		ids[i] = f.id
	}
	return ids
}

// caughtUp waits until every follower has the lines that are committed now, and says how long that took since began.
func caughtUp(ctx context.Context, url string, followers []*follower, began time.Time) (time.Duration, error) {
	committed, err := lastSeqs(ctx, url, idsOf(followers))
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(followers); {
		if followers[i].last.Load() >= committed[followers[i].id] {
			i++
			continue
		}
		if time.Since(began) > 2*time.Minute {
			return 0, fmt.Errorf("a socket stays behind at %d of %d", followers[i].last.Load(), committed[followers[i].id])
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
	return time.Since(began), nil
}
