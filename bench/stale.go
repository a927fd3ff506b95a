package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	// staleActivities run at once; each sends a heartbeat every heartbeatEvery.
	staleActivities = 5000
	heartbeatEvery  = 10 * time.Second
	heartbeatConns  = 4
	// crossings is the number of activities that become stale in one round.
	crossings = 20
)

// measureStale runs many activities with heartbeats while a live list is watched. No line is written when one of them becomes
// stale, so the sidecar reads the stale activities. It measures the cost of that, and the delay until the list shows a change.
func measureStale(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	n := min(staleActivities, o.activities/2)
	ids, err := makeActivities(ctx, url, "agentexec", n)
	if err != nil {
		return nil, err
	}
	// The first activities are used later: their workers make their promises then.
	err = execute(ctx, url, `select count(*) from agentexec.append_logs((
			select jsonb_agg(jsonb_build_object('agent_id', a.agent_id, 'message', 'running', 'status', 'RUNNING')) from agentexec.activity a))`,
		`analyze agentexec.activity, agentexec.activity_log`)
	if err != nil {
		return nil, err
	}
	silent, beating := ids[:crossings], ids[crossings:]
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()

	g, loading := errgroup.WithContext(ctx)
	loading, end := context.WithCancel(loading)
	defer end()
	for i := range heartbeatConns {
		g.Go(func() error {
			return beat(loading, url, beating[i*len(beating)/heartbeatConns:(i+1)*len(beating)/heartbeatConns])
		})
	}
	if err := awaitHeartbeats(ctx, url, len(beating)); err != nil {
		return nil, err
	}
	unwatched := coreShare(ctx, c, 2*total(o))
	ws, err := dialFeed(ctx, c.feed, nil, []string{
		`{"type":"subscribe","sub":"all","list":{}}`, `{"type":"subscribe","sub":"stale","list":{"stale":true,"limit":1000}}`}, isSnapshot)
	if err != nil {
		return nil, err
	}
	defer ws.Close()
	seen := make(chan sighting, 10*crossings)
	g.Go(func() error { return watchStale(ws, seen) })
	watched := coreShare(ctx, c, 2*total(o))
	falls, rises, err := cross(ctx, url, silent, seen, o.rounds)
	if err != nil {
		return nil, err
	}
	end()
	_ = ws.Close()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	row := func(what string, share float64, goal string) []string {
		return []string{what, fmt.Sprintf("%.1f%%", 100*share), goal}
	}
	cost := table{
		title: fmt.Sprintf("%d running activities with a heartbeat every %s", n, heartbeatEvery),
		note:  "The sidecar's share of a core, from its processor time, while Postgres, the workers and one socket with two live lists share this machine.",
		head:  []string{"watched", "sidecar of a core", "reach"},
		rows: [][]string{row("nothing", unwatched, ""), row("a live list of 50, and the list of stale ones", watched,
			verdict("<= 5 %", watched <= 0.05))},
	}
	times := table{
		title: "From the end of the promise, or the heartbeat after it, to the frame on the socket",
		note:  fmt.Sprintf("The same load goes on. %d activities at a time promise 1 s and stop their heartbeats; when all are shown, each sends one again.", crossings),
		head:  []string{"crossing", "p50", "p99", "most", "times", "reach"},
	}
	for _, t := range []struct {
		name string
		took []time.Duration
	}{{"becomes stale", falls}, {"is not stale any more", rises}} {
		slices.Sort(t.took)
		times.rows = append(times.rows, []string{t.name, ms(t.took, 0.5), ms(t.took, 0.99), ms(t.took, 1), strconv.Itoa(len(t.took)),
			verdict("<= 2 s", quantile(t.took, 1) <= 2*time.Second)})
	}
	return []table{cost, times}, nil
}

// coreShare returns the share of a core that a child uses during that time.
func coreShare(ctx context.Context, c *child, long time.Duration) float64 {
	cpu, began := c.cpu(), time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
	return (c.cpu() - cpu).Seconds() / time.Since(began).Seconds()
}

// beat sends a heartbeat for each activity every heartbeatEvery, evenly spread, until ctx ends.
func beat(ctx context.Context, url string, ids []uuid.UUID) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const tick = 10 * time.Millisecond
	began, sent := time.Now(), 0
	for first := true; ; {
		due := int(time.Since(began).Seconds() * float64(len(ids)) / heartbeatEvery.Seconds())
		if first {
			due = len(ids) // all of them make their promise at once
		}
		for ; sent < due; sent++ {
			if _, err := conn.Exec(ctx, `select status from agentexec.heartbeat($1, '30 s')`, ids[sent%len(ids)]); err != nil {
				return err
			}
		}
		if first {
			first, began, sent = false, time.Now(), 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tick):
		}
	}
}

// awaitHeartbeats waits until each worker has sent a heartbeat.
func awaitHeartbeats(ctx context.Context, url string, n int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for {
		var beating int
		if err := conn.QueryRow(ctx, `select count(*) from agentexec.activity_heartbeat`).Scan(&beating); err != nil {
			return err
		}
		if beating >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// sighting is an activity that came into the list of stale ones, or left it.
type sighting struct {
	id    uuid.UUID
	stale bool
	at    time.Time
}

// watchStale reads the list of stale activities until the socket is closed.
func watchStale(ws *websocket.Conn, seen chan<- sighting) error {
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return nil //nolint:nilerr // the measure has closed it
		}
		at := time.Now()
		if !bytes.Contains(data, []byte(`"sub":"stale"`)) {
			continue
		}
		var frame struct {
			Items []struct {
				AgentID uuid.UUID `json:"agent_id"`
			}
			Removed []uuid.UUID
		}
		if err := json.Unmarshal(data, &frame); err != nil {
			return err
		}
		for _, item := range frame.Items {
			seen <- sighting{item.AgentID, true, at}
		}
		for _, id := range frame.Removed {
			seen <- sighting{id, false, at}
		}
	}
}

// cross stops the heartbeats of activities and sends them again, and returns how long each change took to be shown.
func cross(ctx context.Context, url string, ids []uuid.UUID, seen <-chan sighting, rounds int) (falls, rises []time.Duration, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(ctx)
	send := func(promise time.Duration, pause time.Duration) (map[uuid.UUID]time.Time, error) {
		sent := make(map[uuid.UUID]time.Time)
		for _, id := range ids {
			if _, err := conn.Exec(ctx, `select status from agentexec.heartbeat($1, $2)`, id, promise); err != nil {
				return nil, err
			}
			sent[id] = time.Now()
			time.Sleep(pause)
		}
		return sent, nil
	}
	await := func(from map[uuid.UUID]time.Time, stale bool, after time.Duration) (took []time.Duration, err error) {
		for len(from) > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Minute):
				return nil, fmt.Errorf("%d crossings were not shown", len(from))
			case s := <-seen:
				if at, ok := from[s.id]; ok && s.stale == stale {
					took = append(took, s.at.Sub(at.Add(after)))
					delete(from, s.id)
				}
			}
		}
		return took, nil
	}
	for range rounds {
		sent, err := send(time.Second, 37*time.Millisecond) // spread over the time between two looks
		if err != nil {
			return nil, nil, err
		}
		took, err := await(sent, true, time.Second)
		if err != nil {
			return nil, nil, err
		}
		falls = append(falls, took...)
		if sent, err = send(time.Hour, 37*time.Millisecond); err != nil {
			return nil, nil, err
		}
		if took, err = await(sent, false, 0); err != nil {
			return nil, nil, err
		}
		rises = append(rises, took...)
	}
	return falls, rises, nil
}
