package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// recent moves the activities in time: of the ended ones, the newest hundredth ended in the last hour, the newest tenth in the last day
// and all of them in the last week. A run takes 1 s to 7 min.
const recent = `update agentexec.activity a
	set created_at = t.at, started_at = case when a.status <> 'QUEUED' then t.at + interval '1 s' end, updated_at = t.at + t.took,
		finished_at = case when a.finished_at is not null then t.at + t.took end
	from (
		select b.id, (1 + exp(6 * ((b.n * 7919) % 1000) / 1000.0)) * interval '1 s' as took, now() - interval '8 min' - case
			when b.n <= b.total / 100 then b.n * 100.0 / b.total * interval '50 min'
			when b.n <= b.total / 10 then interval '1 h' + b.n * 10.0 / b.total * interval '22 h'
			else interval '1 day' + b.n / b.total::double precision * interval '5 days' end as at
		from (select b.id, row_number() over (order by b.created_at desc) as n, count(*) over () as total from agentexec.activity b) b) t
	where t.id = a.id`

// measureStats reads stats of ranges in turns with count_by_status, pages by every sort, and runs with and without the indexes of both.
func measureStats(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, listServer)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := load(ctx, url, o.activities, false, recent); err != nil {
		return nil, err
	}
	ranges, err := statsRanges(ctx, url, o)
	if err != nil {
		return nil, err
	}
	sorts, err := listSorts(ctx, url, o)
	if err != nil {
		return nil, err
	}
	indexes, err := statsIndexes(ctx, url, o)
	return []table{ranges, sorts, indexes}, err
}

func statsRanges(ctx context.Context, url string, o options) (table, error) {
	t := table{
		title: fmt.Sprintf("stats of %d activities, beside count_by_status", o.activities),
		note:  "One connection each, in turns. stats contains count_by_status. Cost: the median of the rounds' ratios.",
		head:  []string{"range", "bucket", "ended in it", "count_by_status", "stats", "cost", "reach"},
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return t, err
	}
	defer conn.Close(ctx)
	for _, r := range []struct {
		since, bucket string
		goal          float64
	}{{"1 h", "1 min", 2}, {"24 h", "5 min", 8}, {"7 days", "1 h", 0}} {
		call := fmt.Sprintf("agentexec.stats(statement_timestamp() - interval '%s', '%s')", r.since, r.bucket)
		var ended int
		err := conn.QueryRow(ctx, "select sum(e.value::int) from jsonb_each_text("+call+" -> 'ended') e").Scan(&ended)
		if err != nil {
			return t, err
		}
		out, err := race(ctx, url, 1, o, []contender{asked("count_by_status", "agentexec.count_by_status()"), asked("stats", call)})
		if err != nil {
			return t, err
		}
		cost, reach := out[0].over(out[1]), ""
		if r.goal > 0 {
			reach = verdict(fmt.Sprintf("<= %.0f x", r.goal), cost <= r.goal)
		}
		t.rows = append(t.rows, []string{r.since, r.bucket, strconv.Itoa(ended), eachTook(out[0]), eachTook(out[1]), fmt.Sprintf("%.1f x", cost), reach})
	}
	return t, nil
}

// asked calls one function over and over.
func asked(name, call string) contender {
	return contender{name: name, op: func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
		var answer []byte
		return conn.QueryRow(ctx, "select "+call).Scan(&answer)
	}}
}

// eachTook is the time of one operation of one writer.
func eachTook(o outcome) string { return fmt.Sprintf("%.0f ms", 1000/o.median()) }

func listSorts(ctx context.Context, url string, o options) (table, error) {
	const goal = 15 * time.Millisecond
	t := table{
		title: fmt.Sprintf("Pages of 50 of %d activities, by every sort", o.activities),
		note:  fmt.Sprintf("One connection, page 2 by key over and over, each for %s.", o.each),
		head:  []string{"sort", "p50", "p99", "times", "reach"},
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return t, err
	}
	defer conn.Close(ctx)
	for _, sort := range []string{"created", "duration", "activity"} {
		for _, part := range []string{`, "order" => 'desc'`, `, "order" => 'asc'`, ", since => now() - interval '24 h'"} {
			args := "sort => '" + sort + "'" + part
			after, err := nextOf(ctx, conn, args)
			if err != nil {
				return t, err
			}
			var took []time.Duration
			for began := time.Now(); len(took) == 0 || time.Since(began) < o.each; {
				sent := time.Now()
				var page []byte
				if err := conn.QueryRow(ctx, "select agentexec.list_activities("+args+", after => $1)", after).Scan(&page); err != nil {
					return t, err
				}
				took = append(took, time.Since(sent))
			}
			slices.Sort(took)
			p50 := quantile(took, 0.5)
			t.rows = append(t.rows, []string{args, fineMs(took, 0.5), fineMs(took, 0.99), strconv.Itoa(len(took)), verdict("p50 <= "+goal.String(), p50 <= goal)})
		}
	}
	return t, nil
}

// statsIndexNames are the indexes of stats and of the other sorts.
var statsIndexNames = []string{"activity_finished_idx", "activity_duration_idx", "activity_started_idx"}

// statsIndexes is the size of the indexes, and what they cost a whole run: in a database without them, the same runs take turns.
func statsIndexes(ctx context.Context, url string, o options) (table, error) {
	t := table{
		title: "The indexes of stats and of the sorts",
		note: "Size: of " + strconv.Itoa(o.activities) + " activities. Cost: of whole runs with 1 line (create_activity, append_log with RUNNING, complete) and of appended lines alone, " +
			"without the indexes and with them, in turns, on empty databases; 1 writer.",
		head: []string{"what", "without", "with", "cost", "reach"},
	}
	for _, name := range statsIndexNames {
		var size string
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return t, err
		}
		err = conn.QueryRow(ctx, "select pg_size_pretty(pg_relation_size($1::text::regclass))", "agentexec."+name).Scan(&size)
		_ = conn.Close(ctx)
		if err != nil {
			return t, err
		}
		t.rows = append(t.rows, []string{name, "", size, "", ""})
	}
	with, err := createDatabase(ctx, url, "with_indexes")
	if err != nil {
		return t, err
	}
	without, err := createDatabase(ctx, url, "without_indexes")
	if err != nil {
		return t, err
	}
	for _, name := range statsIndexNames {
		if err := execute(ctx, without, "drop index agentexec."+name); err != nil {
			return t, err
		}
	}
	for _, what := range []struct {
		name string
		op   func(ctx context.Context, conn *pgx.Conn, writer, n int) error
		goal float64
	}{{"whole runs", wholeRun, 1.25}, {"lines of a run", lineOfARun(map[*pgx.Conn]uuid.UUID{}), 1.1}} {
		out, err := race(ctx, "", 1, o, []contender{{name: "without", url: without, op: what.op}, {name: "with", url: with, op: what.op}})
		if err != nil {
			return t, err
		}
		cost := out[0].over(out[1])
		t.rows = append(t.rows, []string{what.name, perSecond(out[0]), perSecond(out[1]), fmt.Sprintf("%.2f x", cost),
			verdict(fmt.Sprintf("<= %.2f x", what.goal), cost <= what.goal)})
	}
	return t, nil
}

func wholeRun(ctx context.Context, conn *pgx.Conn, _, _ int) error {
	id := uuid.New()
	for _, call := range []string{"create_activity('research', agent_id => $1)", "append_log($1, 'go', 0, 'RUNNING')", "complete($1)"} {
		if _, err := conn.Exec(ctx, "select from agentexec."+call, id); err != nil {
			return err
		}
	}
	return nil
}

// lineOfARun appends to one activity of each connection.
func lineOfARun(ids map[*pgx.Conn]uuid.UUID) func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
	return func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
		id, ok := ids[conn]
		if !ok {
			id = uuid.New()
			ids[conn] = id
			if _, err := conn.Exec(ctx, "select agentexec.create_activity('research', agent_id => $1)", id); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "select from agentexec.append_log($1, 'step finished', 10)", id)
		return err
	}
}
