package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// slowFrame is the pause of the slow reader after each frame, so that the sweeps overtake it.
const slowFrame = 500 * time.Millisecond

// pruneLong deletes one finished activity with many lines while a subscriber reads its log from the first line.
func pruneLong(ctx context.Context, o options) (table, error) {
	lines := o.activities
	t := table{
		title: fmt.Sprintf("One activity of %d lines is pruned while it is read", lines),
		note: "A subscriber reads the log from its first line, and rests " + slowFrame.String() + " after each frame, so that the sweeps overtake it. Gaps: those with the reason pruned. " +
			"Wrong: lines out of order, repeated, or missing without a gap. The longest sweep is sampled every 10 ms.",
		head: []string{"deleted in", "longest sweep", "lines read", "gaps", "wrong", "end", "reach"},
	}
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return t, err
	}
	defer stop()
	id, err := makeLongLog(ctx, url, lines)
	if err != nil {
		return t, err
	}
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return t, err
	}
	defer c.stop()

	watching, end := context.WithCancel(ctx)
	defer end()
	var longest time.Duration
	var seen reading
	var g errgroup.Group
	g.Go(func() (err error) { longest, err = longestSweep(watching, url); return err })
	g.Go(func() (err error) { seen, err = readSlowly(ctx, c.feed, id); return err })
	if err := execute(ctx, url, "select agentexec.set_retention('30 days')"); err != nil {
		return t, err
	}
	took, err := untilDeleted(ctx, url, id)
	end()
	if err := g.Wait(); err != nil {
		return t, err
	}
	t.rows = append(t.rows, []string{took.Round(time.Second).String(), longest.Round(time.Millisecond).String(), strconv.Itoa(seen.lines), strconv.Itoa(seen.gaps),
		strconv.Itoa(seen.wrong), seen.end, verdict("<= "+pruneLock.String(), longest <= pruneLock) + ", " + verdict("0 wrong", seen.wrong == 0 && seen.gaps > 0)})
	return t, err
}

// makeLongLog writes a finished activity with so many lines, which finished a year ago.
func makeLongLog(ctx context.Context, url string, lines int) (id uuid.UUID, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return id, err
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, `select agentexec.create_activity('bench')`).Scan(&id); err != nil {
		return id, err
	}
	const batch = 10_000
	for n := 2; n < lines; n += batch {
		_, err := conn.Exec(ctx, `select count(*) from agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', $1::uuid, 'message', $2::text))
			from generate_series(1, $3)))`, id, benchMessage, min(batch, lines-n))
		if err != nil {
			return id, err
		}
	}
	if _, err := conn.Exec(ctx, `select (agentexec.complete($1)).seq`, id); err != nil {
		return id, err
	}
	if _, err := conn.Exec(ctx, old); err != nil {
		return id, err
	}
	_, err = conn.Exec(ctx, `vacuum (analyze)`)
	return id, err
}

// untilDeleted waits until there is no such activity, and returns how long that took.
func untilDeleted(ctx context.Context, url string, id uuid.UUID) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	began := time.Now()
	for there := true; there; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if err := conn.QueryRow(ctx, `select exists (select from agentexec.activity where agent_id = $1)`, id).Scan(&there); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// reading is what a subscriber got of a log that was pruned meanwhile.
type reading struct {
	lines, gaps, wrong int
	end                string // the type of the last frame, and its code
}

// readSlowly subscribes from the first line and reads until the subscription ends.
func readSlowly(ctx context.Context, feed string, id uuid.UUID) (r reading, err error) {
	subscribe := fmt.Sprintf(`{"type":"subscribe","agent_id":"%s","after_seq":0}`, id)
	ws, err := dialFeed(ctx, feed, nil, []string{subscribe}, func([]byte) bool { return true })
	if err != nil {
		return r, err
	}
	defer ws.Close()
	for next := 1; ; time.Sleep(slowFrame) {
		_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
		_, data, err := ws.ReadMessage()
		if err != nil {
			return r, err
		}
		var frame struct {
			Type, Reason, Code string
			NextSeq            int `json:"next_seq"`
			Logs               []struct{ Seq int }
		}
		if err := json.Unmarshal(data, &frame); err != nil {
			return r, err
		}
		switch frame.Type {
		case "gap":
			if r.gaps++; frame.Reason != "pruned" || frame.NextSeq < next {
				r.wrong++
			}
			next = frame.NextSeq
		case "logs":
			for _, l := range frame.Logs {
				if l.Seq != next {
					r.wrong++
				}
				next = l.Seq + 1
				r.lines++
			}
		case "end", "error":
			r.end = frame.Type + " " + frame.Code
			return r, nil
		}
	}
}
