package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// listServer is a server that has room for what is listed, as one with so many rows would have.
var listServer = map[string]string{"shared_buffers": "4GB", "wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "16GB"}

// listQuery is one way to ask for a page. A query by key goes on from where the one before it ended, for keyPages.
type listQuery struct {
	name, args string // $1 is the "next" of the page before
	byKey      bool
	start      string // the page to go on from; "" for the first
	goal       time.Duration
}

func listQueries(deep int) []listQuery {
	page := fmt.Sprintf(`page => %d`, deep)
	return []listQuery{
		{name: "first page, exact total", args: `page => 1`, goal: 60 * time.Millisecond},
		{name: fmt.Sprintf("page %d, exact total", deep), args: page},
		{name: "by key, from page 2 on", args: `after => $1`, byKey: true, goal: 2 * time.Millisecond},
		{name: fmt.Sprintf("by key, from page %d on", deep+1), args: `after => $1`, byKey: true, start: page, goal: 2 * time.Millisecond},
		{name: "RUNNING, exact total", args: `statuses => '{RUNNING}'`},
		{name: "ERROR, exact total", args: `statuses => '{ERROR}'`},
		{name: "ERROR, by key", args: `statuses => '{ERROR}', after => $1`, byKey: true, start: `statuses => '{ERROR}'`},
		{name: "an organisation with 1,000 (metadata), exact total", args: `metadata_filter => '{"org":"7"}'`},
		{name: "an organisation with 1,000 (metadata), by key", args: `metadata_filter => '{"org":"7"}', after => $1`,
			byKey: true, start: `metadata_filter => '{"org":"7"}'`},
	}
}

// pythonRepetitions are few, because each takes many seconds.
const pythonRepetitions = 3

// measureList asks for pages of many activities with many lines, beside the Python library's own list query on the
// same rows; and looks at what appends and pages cost as the tables grow.
func measureList(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, listServer)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := load(ctx, url, o.activities, true); err != nil {
		return nil, err
	}
	pages, err := listPages(ctx, url, o)
	if err != nil {
		return nil, err
	}
	growth, err := measureGrowth(ctx, url, o)
	return []table{pages, growth}, err
}

func listPages(ctx context.Context, url string, o options) (table, error) {
	t := table{
		title: fmt.Sprintf("Pages of 50 of %d activities with %d lines", o.activities, o.activities*linesPerActivity),
		note: fmt.Sprintf("One connection, each query over and over for %s, its answer read; a query by key goes on from the page before, "+
			"through %d pages over and over (first time: until each had been read once). shared_buffers 4GB, the schema read into them "+
			"before; the newest %d activities are QUEUED, as many RUNNING. Python: the count and then the page, as its list() asks, in "+
			"its own tables with its own indexes and the same rows; %d times.",
			total(o)/2, keyPages, min(liveActivities, o.activities/10), pythonRepetitions),
		head: []string{"query", "p50", "p99", "times", "p50, first time", "of Python", "reach"},
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return t, err
	}
	defer conn.Close(ctx)
	python, err := pythonList(ctx, conn)
	if err != nil {
		return t, err
	}
	slow := quantile(python, 0.5).Seconds()
	for _, q := range listQueries(min(1000, o.activities/50-1)) {
		took, first, err := q.repeat(ctx, conn, total(o)/2)
		if err != nil {
			return t, fmt.Errorf("%s: %w", q.name, err)
		}
		fast := quantile(took, 0.5)
		row := []string{q.name, fineMs(took, 0.5), fineMs(took, 0.99), strconv.Itoa(len(took)), "", fmt.Sprintf("%.0f x", slow/fast.Seconds()), ""}
		if q.byKey {
			row[4] = fineMs(first, 0.5)
		}
		if q.goal > 0 {
			row[6] = verdict(fmt.Sprintf("p50 <= %s", q.goal), fast <= q.goal)
		}
		if q.goal > 0 && q.byKey {
			row[6] += verdict("; >= 500 x Python", slow/fast.Seconds() >= 500)
		}
		t.rows = append(t.rows, row)
	}
	t.rows = append(t.rows, []string{"Python's list(), first page", fineMs(python, 0.5), fineMs(python, 0.99), strconv.Itoa(len(python)), "", "1 x", ""})
	return t, nil
}

// keyPages are as many as a query by key goes through before it begins anew.
const keyPages = 200

// repeat asks again and again. The times of a query by key on its first way through the pages are kept apart: the
// connection's backend comes to most of that memory for the first time then, and has the kernel map it.
func (q listQuery) repeat(ctx context.Context, conn *pgx.Conn, each time.Duration) (again, first []time.Duration, err error) {
	start, err := nextOf(ctx, conn, q.start)
	if err != nil {
		return nil, nil, err
	}
	after, untouched := start, q.byKey
	for began, n := time.Now(), 0; untouched || time.Since(began) < each || len(again) == 0; n++ {
		var args []any
		if q.byKey {
			args = append(args, after)
		}
		sent := time.Now()
		var page []byte
		if err := conn.QueryRow(ctx, `select agentexec.list_activities(`+q.args+`)`, args...).Scan(&page); err != nil {
			return nil, nil, err
		}
		if took := time.Since(sent); untouched {
			first = append(first, took)
		} else {
			again = append(again, took)
		}
		if !q.byKey {
			continue
		}
		if after, err = nextIn(page); err != nil {
			return nil, nil, err
		}
		if after == "" || n%keyPages == keyPages-1 {
			if after = start; untouched {
				began, untouched = time.Now(), false
			}
		}
	}
	slices.Sort(again)
	slices.Sort(first)
	return again, first, nil
}

// nextOf is the key after the page that args ask for.
func nextOf(ctx context.Context, conn *pgx.Conn, args string) (string, error) {
	var page []byte
	if err := conn.QueryRow(ctx, `select agentexec.list_activities(`+args+`)`).Scan(&page); err != nil {
		return "", err
	}
	next, err := nextIn(page)
	if err == nil && next == "" {
		err = fmt.Errorf("nothing comes after the page of %s", args)
	}
	return next, err
}

func nextIn(page []byte) (string, error) {
	var list struct{ Next *string }
	if err := json.Unmarshal(page, &list); err != nil || list.Next == nil {
		return "", err
	}
	return *list.Next, nil
}

// pythonList asks as the Python library does: how many there are, and the page: each activity with its newest line (a
// rank over the whole log) and its first time.
func pythonList(ctx context.Context, conn *pgx.Conn) ([]time.Duration, error) {
	var took []time.Duration
	for range pythonRepetitions {
		began := time.Now()
		if _, err := conn.Exec(ctx, `select count(*) from agentexec_activity`); err != nil {
			return nil, err
		}
		_, err := conn.Exec(ctx, `
			select a.agent_id, a.agent_type, a.created_at, a.updated_at, l.message, l.status, l.percentage, l.created_at, f.started_at
			from agentexec_activity a
			left join (select activity_id, message, status, percentage, created_at,
				row_number() over (partition by activity_id order by created_at desc) as rank from agentexec_activity_log) l
				on l.activity_id = a.id and l.rank = 1
			left join (select activity_id, min(created_at) as started_at from agentexec_activity_log group by activity_id) f
				on f.activity_id = a.id
			order by case when l.status in ('RUNNING', 'QUEUED') then 0 else 1 end,
				case l.status when 'RUNNING' then 1 when 'QUEUED' then 2 else 3 end, f.started_at desc nulls last
			limit $1 offset $2`, 50, 0)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took, nil
}
