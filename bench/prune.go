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
	"golang.org/x/sync/errgroup"
)

const (
	pruneWriters = 8
	// pruneRate is how many lines a second they append in all, where they do not append as fast as they can.
	pruneRate = 1000
	// pruneGrowth bounds the p99 of append_log while a sidecar prunes, against the p99 without.
	pruneGrowth = 1.2
	// pruneLock bounds the time of a sweep, and so of its locks.
	pruneLock = 200 * time.Millisecond
	// quietTurn and pruneTurn are the lengths of one turn without a rule and with one, in times of options.each.
	quietTurn = 3
	pruneTurn = 9
	// flatKeep is the retention of the flat run, and flatRate how many lines a second it writes in all.
	flatKeep = 10 * time.Second
	flatRate = 2000
	// flatGrowth bounds the size of the tables at the end against the middle of the run.
	flatGrowth = 1.1
)

// old makes the finished activities ones of the last year, so that a rule of 30 days deletes them.
const old = `update agentexec.activity set created_at = created_at - interval '1 year', started_at = started_at - interval '1 year',
	updated_at = updated_at - interval '1 year', finished_at = finished_at - interval '1 year' where finished_at is not null`

// measurePrune appends lines while a sidecar prunes old ones, and then writes and prunes at the same rate.
func measurePrune(ctx context.Context, o options) ([]table, error) {
	beside := table{
		title: fmt.Sprintf("%d appending writers while a sidecar prunes", pruneWriters),
		note: fmt.Sprintf("Turns of %s without a retention rule and of %s with one, until all old lines are deleted. ", quietTurn*o.each, pruneTurn*o.each) +
			"Growth: the median of the ratios of two turns that follow each other. The longest sweep is sampled every 10 ms.",
		head: []string{"old lines", "appended", "p99 of append_log", "while pruning", "growth", "turns", "pruned", "longest sweep", "reach"},
	}
	for _, p := range []struct{ lines, rate int }{{o.activities, pruneRate}, {o.activities / 5, 0}} {
		row, err := pruneBeside(ctx, p.lines, p.rate, o.each)
		if err != nil {
			return nil, err
		}
		beside.rows = append(beside.rows, row)
	}
	long, err := pruneLong(ctx, o)
	if err != nil {
		return nil, err
	}
	flat, err := pruneFlat(ctx, o)
	return []table{beside, long, flat}, err
}

// pruneBeside prunes so many old lines, of activities of ten lines each, while writers append at so many lines a second in all; 0
// is as fast as they can. each is options.each. It returns the row of the table.
func pruneBeside(ctx context.Context, lines, rate int, each time.Duration) ([]string, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := load(ctx, url, max(lines/linesPerActivity, 10), false, old); err != nil {
		return nil, err
	}
	ids, err := makeActivities(ctx, url, "agentexec", pruneWriters)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return nil, err
	}
	defer c.stop()

	watching, end := context.WithCancel(ctx)
	defer end()
	var longest time.Duration
	g, watching := errgroup.WithContext(watching)
	g.Go(func() (err error) { longest, err = longestSweep(watching, url); return err })
	if _, err := appendTimes(ctx, url, ids, quietTurn*each, rate); err != nil { // warms up
		return nil, err
	}
	var quiet, busy []time.Duration
	var growth []float64
	pruned, pruning := 0, time.Duration(0)
	for left := 1; left > 0; {
		before, err := appendTimes(ctx, url, ids, quietTurn*each, rate)
		if err != nil {
			return nil, err
		}
		if err := execute(ctx, url, "select agentexec.set_retention('30 days')"); err != nil {
			return nil, err
		}
		began := time.Now()
		was, err := oldLines(ctx, url)
		if err != nil {
			return nil, err
		}
		beside, err := appendTimes(ctx, url, ids, pruneTurn*each, rate)
		if err != nil {
			return nil, err
		}
		if left, err = oldLines(ctx, url); err != nil {
			return nil, err
		}
		if err := execute(ctx, url, "select agentexec.set_retention(null)"); err != nil {
			return nil, err
		}
		if left > 0 { // otherwise the turn ended without pruning
			pruned, pruning = pruned+was-left, pruning+time.Since(began)
			growth = append(growth, quantile(beside, 0.99).Seconds()/quantile(before, 0.99).Seconds())
			quiet, busy = append(quiet, before...), append(busy, beside...)
		}
	}
	end()
	if err := g.Wait(); err != nil && ctx.Err() == nil && watching.Err() == nil {
		return nil, err
	}
	slices.Sort(quiet)
	slices.Sort(busy)
	if len(growth) == 0 {
		return nil, fmt.Errorf("%d old lines are too few: all were deleted in one turn", lines)
	}
	appended := "as fast as they can"
	if rate > 0 {
		appended = fmt.Sprintf("%d lines/s", rate)
	}
	grew := median(growth)
	return []string{strconv.Itoa(lines), appended, fineMs(quiet, 0.99), fineMs(busy, 0.99), ratio(grew), strconv.Itoa(len(growth)),
		fmt.Sprintf("%.0f lines/s", float64(pruned)/pruning.Seconds()), longest.Round(time.Millisecond).String(),
		verdict(fmt.Sprintf("<= %.2f", pruneGrowth), grew <= pruneGrowth) + ", " + verdict("<= "+pruneLock.String(), longest <= pruneLock)}, nil
}

// oldLines returns how many of the loaded lines are left, by the bounds of their primary key.
func oldLines(ctx context.Context, url string) (n int, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `select count(*) from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
		where a.finished_at < now() - interval '30 days'`).Scan(&n)
	return n, err
}

// appendTimes appends lines from all writers, each to its own activity, and returns how long each call took, sorted. rate is that of
// pruneBeside.
func appendTimes(ctx context.Context, url string, ids []uuid.UUID, long time.Duration, rate int) ([]time.Duration, error) {
	conns, err := connect(ctx, url, len(ids))
	if err != nil {
		return nil, err
	}
	defer conns.close(ctx)
	var mu sync.Mutex
	var all []time.Duration
	var g errgroup.Group
	for w, conn := range conns {
		g.Go(func() error {
			var took []time.Duration
			every := time.Duration(0)
			if rate > 0 {
				every = time.Second * time.Duration(len(ids)) / time.Duration(rate)
			}
			began := time.Now()
			for due := began; time.Since(began) < long; due = due.Add(every) {
				time.Sleep(time.Until(due))
				sent := time.Now()
				if _, err := conn.Exec(ctx, `select (agentexec.append_log($1, $2)).status`, ids[w], benchMessage); err != nil {
					return err
				}
				took = append(took, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			return nil
		})
	}
	err = g.Wait()
	slices.Sort(all)
	return all, err
}

// longestSweep samples how long sweeps run, until ctx ends.
func longestSweep(ctx context.Context, url string) (longest time.Duration, err error) {
	whole := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(whole, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(whole)
	for ctx.Err() == nil {
		var seconds float64
		err := conn.QueryRow(whole, `select coalesce(max(extract(epoch from clock_timestamp() - a.xact_start)), 0)::float8
			from pg_stat_activity a where a.state = 'active' and a.query ~ '\.sweep\(' and a.pid <> pg_backend_pid()`).Scan(&seconds)
		if err != nil {
			return longest, err
		}
		longest = max(longest, time.Duration(seconds*float64(time.Second)))
		time.Sleep(10 * time.Millisecond)
	}
	return longest, nil
}

// pruneFlat runs short activities without pause and keeps them for some seconds, and returns the size of the tables over time.
func pruneFlat(ctx context.Context, o options) (table, error) {
	long := max(o.flat, 10*o.each)
	t := table{
		title: fmt.Sprintf("%d writers of %d lines/s in all for %s, with retention of %s", pruneWriters, flatRate, long, flatKeep),
		note: "Each run is create_activity, one append_logs of 20 lines and complete; a sidecar prunes. The size is that of both tables with their indexes. " +
			"Autovacuum as Postgres has it by default, but for autovacuum_naptime = 10s and vacuum_cost_limit = 2000.",
		head: []string{"at", "runs finished", "size", "activities", "reach"},
	}
	url, stop, err := startPostgres(ctx, map[string]string{"autovacuum_naptime": "10s", "vacuum_cost_limit": "2000"})
	if err != nil {
		return t, err
	}
	defer stop()
	if err := execute(ctx, url, fmt.Sprintf("select agentexec.set_retention('%d s')", int(flatKeep.Seconds()))); err != nil {
		return t, err
	}
	c, err := startChild(ctx, "agentexec", url)
	if err != nil {
		return t, err
	}
	defer c.stop()
	writing, end := context.WithTimeout(ctx, long)
	defer end()
	runs := make([]int, pruneWriters)
	var g errgroup.Group
	for w := range runs {
		g.Go(func() (err error) { runs[w], err = runsUntil(writing, url, flatRate/pruneWriters); return err })
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return t, err
	}
	defer conn.Close(ctx)
	const samples = 8
	var sizes []int64
	for i := range samples {
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(long / samples):
		}
		var bytes, activities int64
		var pretty string
		err := conn.QueryRow(ctx, `select s.bytes, pg_size_pretty(s.bytes), (select count(*) from agentexec.activity)
			from (select pg_total_relation_size('agentexec.activity') + pg_total_relation_size('agentexec.activity_log') as bytes) s`).Scan(&bytes, &pretty, &activities)
		if err != nil {
			return t, err
		}
		sizes = append(sizes, bytes)
		t.rows = append(t.rows, []string{(time.Duration(i+1) * long / samples).Round(time.Second).String(), "", pretty, strconv.FormatInt(activities, 10), ""})
	}
	if err := g.Wait(); err != nil {
		return t, err
	}
	all := 0
	for _, n := range runs {
		all += n
	}
	last := t.rows[samples-1]
	grew := float64(sizes[samples-1]) / float64(sizes[samples/2-1])
	last[1], last[4] = strconv.Itoa(all), verdict(fmt.Sprintf("<= %.1f x the size in the middle", flatGrowth), grew <= flatGrowth)
	return t, nil
}

// runLines is how many lines one run of runsUntil writes.
const runLines = 22

// runsUntil runs activities of runLines lines, one after the other, at so many lines a second until ctx ends.
func runsUntil(ctx context.Context, url string, rate int) (n int, err error) {
	whole := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(whole, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(whole)
	every := time.Second * runLines / time.Duration(rate)
	for next := time.Now(); ctx.Err() == nil; n++ {
		time.Sleep(time.Until(next))
		next = next.Add(every)
		var id uuid.UUID
		if err := conn.QueryRow(whole, `select agentexec.create_activity('bench')`).Scan(&id); err != nil {
			return n, err
		}
		_, err := conn.Exec(whole, `select count(*) from agentexec.append_logs((select jsonb_agg(jsonb_build_object('agent_id', $1::uuid, 'message', $2::text))
			from generate_series(1, $3)))`, id, benchMessage, runLines-2)
		if err != nil {
			return n, err
		}
		if _, err := conn.Exec(whole, `select (agentexec.complete($1)).seq`, id); err != nil {
			return n, err
		}
	}
	return n, nil
}
