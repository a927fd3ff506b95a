package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const watchedActivities = 50

// appendWatched is what a sidecar that has much to do costs the writers.
func appendWatched(ctx context.Context, g ground, o options) (table, error) {
	const writers = 32
	t := table{
		title: fmt.Sprintf("Appends per second with a sidecar attached: %d writers, flush emulated at 1 ms", writers),
		note: fmt.Sprintf("The sidecar is a process of its own, with one socket that watches %d of the %d activities and a live list. "+
			"It starts before its contender's turn and ends after it. A second of the same load goes before every turn and does not count: "+
			"in it, the sidecar notices the load and releases the wake-up lock. NOTIFY: as above, with its listener. Lines and frames are those "+
			"the socket got, over all turns; lost and repeated by their seq.", watchedActivities, len(g.ids)),
		head: []string{"contender", "rate", "of NOTIFY", "reach", "of no sidecar", "reach", "lines", "list frames", "lost", "repeated"},
	}
	o.lead = min(o.each, time.Second)
	w := watch{url: g.url, ids: g.ids[:watchedActivities]}
	s := flushOf1ms.settings
	out, err := race(ctx, g.url, writers, o, []contender{
		{name: "append_log, no sidecar", settings: s, op: appendLog("agentexec", g.ids, writers)},
		{name: "append_log, sidecar", settings: s, op: appendLog("agentexec", g.ids, writers), before: w.start, after: w.stop},
		{name: "NOTIFY, no sidecar", settings: s, op: appendLog(notifyingSchema, g.notifying, writers)},
	})
	if err != nil {
		return t, err
	}
	for i, r := range out {
		row := []string{r.name, perSecond(r), ratio(r.over(out[2])), "", ratio(r.over(out[0])), "", "", "", "", ""}
		if i == 1 {
			row[3], row[5] = atLeast(r.over(out[2]), 10), atLeast(r.over(out[0]), 0.90)
			row[6], row[7] = strconv.FormatInt(w.lines, 10), strconv.FormatInt(w.lists, 10)
			row[8], row[9] = strconv.FormatInt(w.lost, 10), strconv.FormatInt(w.repeated, 10)
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

// watch is a sidecar with one socket that watches activities and a list.
type watch struct {
	url                          string
	ids                          []uuid.UUID
	lines, lists, lost, repeated int64

	sidecar *child
	socket  *swarm
}

func (w *watch) start(ctx context.Context) error {
	last, err := lastSeqs(ctx, w.url, w.ids)
	if err != nil {
		return err
	}
	f := watchAll(w.ids, last)
	greet := append(f.greet(0), `{"type":"subscribe","sub":"list","list":{"limit":50}}`)
	f.greet, f.ready = func(int) []string { return greet }, snapshots(len(greet))
	if w.sidecar, err = startChild(ctx, "agentexec", w.url); err != nil {
		return err
	}
	w.socket, err = fly(ctx, w.sidecar.feed, 1, f)
	return err
}

// stop waits until every line of the turn has come.
func (w *watch) stop(ctx context.Context) error {
	last, err := lastSeqs(ctx, w.url, w.ids)
	if err != nil {
		return err
	}
	late := w.socket.behind(ctx, last, 30*time.Second)
	w.lines += w.socket.lines.Load()
	w.lists += w.socket.lists.Load()
	w.lost += w.socket.lost.Load()
	w.repeated += w.socket.repeated.Load()
	w.socket.close()
	w.sidecar.stop()
	if late > 0 {
		return errors.New("the socket did not get every line")
	}
	return nil
}

// lastSeqs is the number of each activity's last line.
func lastSeqs(ctx context.Context, url string, ids []uuid.UUID) (map[uuid.UUID]int64, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select agent_id, last_seq from agentexec.activity where agent_id = any ($1)`, ids)
	if err != nil {
		return nil, err
	}
	last := make(map[uuid.UUID]int64, len(ids))
	var id uuid.UUID
	var seq int64
	_, err = pgx.ForEachRow(rows, []any{&id, &seq}, func() error { last[id] = seq; return nil })
	return last, err
}
