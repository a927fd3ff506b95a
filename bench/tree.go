package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	// treeChildren write treeLines a second each, over treeConns connections.
	treeChildren = 1000
	treeConns    = 8
)

// treeSet is a thousand activities that write, and one that does not: their parent, where they have one.
type treeSet struct {
	name    string
	root    uuid.UUID
	writers []uuid.UUID
}

// treeTurn is what one set did during one turn.
type treeTurn struct {
	lines int
	took  time.Duration
	cpu   time.Duration // of the sidecar
	sent  []time.Time   // when the item of the root arrived
}

func (t treeTurn) rate() float64    { return float64(t.lines) / t.took.Seconds() }
func (t treeTurn) perLine() float64 { return float64(t.cpu.Microseconds()) / float64(max(1, t.lines)) }

// measureTree has a thousand activities write, once below one root and once without a parent, while a live list is watched that
// holds the root. It measures the processor time of the sidecar, and how often the item of the root is sent.
func measureTree(ctx context.Context, o options) ([]table, error) {
	o.lead = min(o.each, time.Second)
	url, stop, err := startPostgres(ctx, map[string]string{"synchronous_commit": "off"})
	if err != nil {
		return nil, err
	}
	defer stop()
	n := min(treeChildren, o.activities/10)
	var sets []treeSet
	for _, name := range []string{"flat", "tree"} {
		set, err := makeTree(ctx, url, name, n)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	t := table{
		title: fmt.Sprintf("%d activities write %d lines/s in all, without a parent and below one root", n, o.treeRate),
		note: "They write by append_log over " + strconv.Itoa(treeConns) + " connections with synchronous_commit off; the percentages rise together, so each read of the root differs. " +
			"CPU: processor time of the sidecar for a line, the median of the turns. Postgres, the writers and the socket share this machine. " +
			"Where the writers reach fewer lines a second, Postgres and the machine allow no more. Root: how often a second its item came over the socket, and the most in any second.",
		head: []string{"live list", "flat", "CPU", "tree", "CPU", "tree / flat", "root", "most", "reach"},
	}
	for _, list := range []struct{ name, filter string }{
		{"the oldest 50 of all, with the root", `{"agent_type":%q,"order":"asc"}`},
		{"roots only", `{"agent_type":%q,"roots_only":true}`},
	} {
		row, err := treeRow(ctx, o, url, c, sets, list.filter)
		if err != nil {
			return nil, err
		}
		t.rows = append(t.rows, append([]string{list.name}, row...))
	}
	return []table{t}, nil
}

// treeRow measures both sets in turns with one kind of list.
func treeRow(ctx context.Context, o options, url string, c *child, sets []treeSet, filter string) ([]string, error) {
	turns := make([][]treeTurn, len(sets))
	for range o.rounds {
		for i, set := range sets {
			turn, err := treeOnce(ctx, o, url, c, set, fmt.Sprintf(filter, set.name))
			if err != nil {
				return nil, err
			}
			turns[i] = append(turns[i], turn)
		}
	}
	var ratios, flat, tree, flatRate, treeRate, often []float64
	most := 0
	for round := range o.rounds {
		a, b := turns[0][round], turns[1][round]
		flat, tree, ratios = append(flat, a.perLine()), append(tree, b.perLine()), append(ratios, b.perLine()/max(a.perLine(), 1e-9))
		flatRate, treeRate = append(flatRate, a.rate()), append(treeRate, b.rate())
		often = append(often, float64(len(b.sent))/b.took.Seconds())
		most = max(most, mostInASecond(b.sent))
	}
	ratio, sent := median(ratios), median(often)
	micros := func(all []float64) string { return fmt.Sprintf("%.0f us", median(all)) }
	return []string{
		fmt.Sprintf("%.0f/s", median(flatRate)), micros(flat), fmt.Sprintf("%.0f/s", median(treeRate)), micros(tree), fmt.Sprintf("%.2f", ratio),
		fmt.Sprintf("%.1f/s", sent), strconv.Itoa(most),
		verdict("<= 1.3", ratio <= 1.3) + verdict("; <= 10/s", slices.Max(often) <= 10),
	}, nil
}

// treeOnce opens the list, has the set write for one turn, and closes it.
func treeOnce(ctx context.Context, o options, url string, c *child, set treeSet, filter string) (treeTurn, error) {
	ws, err := dialFeed(ctx, c.feed, nil, []string{`{"type":"subscribe","sub":"l","list":` + filter + `}`}, isSnapshot)
	if err != nil {
		return treeTurn{}, err
	}
	var sent []time.Time
	var reader sync.WaitGroup
	reader.Go(func() { sent = sightingsOf(ws, set.root) })
	end := func() {
		_ = ws.Close()
		reader.Wait()
	}
	if err := set.write(ctx, url, o.treeRate, o.lead, new(atomic.Int64)); err != nil {
		end()
		return treeTurn{}, err
	}
	var lines atomic.Int64
	began, cpu := time.Now(), c.cpu()
	err = set.write(ctx, url, o.treeRate, o.each, &lines)
	turn := treeTurn{lines: int(lines.Load()), took: time.Since(began), cpu: c.cpu() - cpu}
	end()
	for _, at := range sent {
		if at.After(began) && at.Before(began.Add(turn.took)) {
			turn.sent = append(turn.sent, at)
		}
	}
	return turn, err
}

// makeTree makes a set: all of it RUNNING, the root the oldest.
func makeTree(ctx context.Context, url, name string, n int) (set treeSet, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return set, err
	}
	defer conn.Close(ctx)
	set.name = name
	err = conn.QueryRow(ctx, `select agentexec.create_activity($1)`, name).Scan(&set.root)
	if err != nil {
		return set, err
	}
	parent := &set.root
	if name == "flat" {
		parent = nil
	}
	rows, err := conn.Query(ctx, `select agentexec.create_activity($1, parent_agent_id => $2) from generate_series(1, $3)`, name, parent, n)
	if err != nil {
		return set, err
	}
	if set.writers, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
		return set, err
	}
	_, err = conn.Exec(ctx, `select count(*) from unnest($1::uuid[]) x(id) cross join lateral agentexec.append_log(x.id, 'running', status => 'RUNNING')`,
		append([]uuid.UUID{set.root}, set.writers...))
	if err == nil {
		_, err = conn.Exec(ctx, `vacuum analyze agentexec.activity`)
	}
	return set, err
}

// write appends rate lines a second for so long, each activity in its turn. A connection that is late sends at once.
func (s treeSet) write(ctx context.Context, url string, rate int, long time.Duration, lines *atomic.Int64) error {
	conns, err := connect(ctx, url, treeConns)
	if err != nil {
		return err
	}
	defer conns.close(ctx)
	g, ctx := errgroup.WithContext(ctx)
	began, gap := time.Now(), time.Second*treeConns/time.Duration(rate)
	for w, conn := range conns {
		g.Go(func() error {
			next := began.Add(gap * time.Duration(w) / treeConns)
			for i := w; time.Since(began) < long; i += treeConns {
				time.Sleep(time.Until(next))
				next = next.Add(gap)
				percentage := int(time.Since(began)/(30*time.Millisecond)) % 101
				if _, err := conn.Exec(ctx, `select (agentexec.append_log($1, $2, $3)).status`, s.writers[i%len(s.writers)], benchMessage, percentage); err != nil {
					return err
				}
				lines.Add(1)
			}
			return nil
		})
	}
	return g.Wait()
}

// sightingsOf reads frames until the socket is closed, and returns when the item of an activity came.
func sightingsOf(ws *websocket.Conn, id uuid.UUID) (sent []time.Time) {
	mark := fmt.Appendf(nil, `"agent_id":%q`, id)
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return sent
		}
		if bytes.Contains(data, mark) { // parent_agent_id has no quote before agent_id
			sent = append(sent, time.Now())
		}
	}
}

// mostInASecond returns how many of the times lie in one second at most.
func mostInASecond(times []time.Time) (most int) {
	first := 0
	for i, at := range times {
		for at.Sub(times[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
