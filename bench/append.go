package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// benchActivities is how many activities the writers append to; each writer keeps to its own share, as workers do.
const benchActivities = 1024

const benchMessage = "step finished: 42 files hashed, 1337 lines counted, nothing unusual"

// commitMode is how a commit is made durable.
type commitMode struct{ name, settings string }

var commitModes = []commitMode{
	{"sync commit on", "set synchronous_commit = on"},
	{"sync commit off", "set synchronous_commit = off"},
	{"flush emulated at 1 ms", "set synchronous_commit = on; set commit_delay = 1000; set commit_siblings = 0"},
}

// measureAppend compares append_log with a bare INSERT of the same row into a table with the same columns and indexes:
// no numbering, no state, no rule, no bell. That is the limit.
func measureAppend(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url)
	if err != nil {
		return nil, err
	}
	t := table{
		title: "Appends per second",
		note:  "Ratio: to the bare INSERT of the same row into a table with the same columns and indexes, median of the rounds' ratios.",
		head:  []string{"commit", "writers", "bare INSERT", "append_log", "ratio"},
	}
	for _, mode := range commitModes {
		for _, writers := range []int{1, 4, 8, 32} {
			out, err := race(ctx, url, writers, o, []contender{
				{name: "bare INSERT", settings: mode.settings, op: bareInsert(ids, writers)},
				{name: "append_log", settings: mode.settings, op: appendLog(ids, writers)},
			})
			if err != nil {
				return nil, err
			}
			t.rows = append(t.rows, []string{mode.name, strconv.Itoa(writers),
				perSecond(out[0]), perSecond(out[1]), ratio(out[1].over(out[0]))})
		}
	}
	return []table{t}, nil
}

func perSecond(o outcome) string { return fmt.Sprintf("%.0f/s", o.median()) }
func ratio(r float64) string     { return fmt.Sprintf("%.2f", r) }

// makeActivities makes the activities to append to, and the bare table.
func makeActivities(ctx context.Context, url string) ([]uuid.UUID, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select agentexec.create_activity('bench') from generate_series(1, $1)`, benchActivities)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `
		create table bare (like agentexec.activity_log including defaults including storage including indexes)`)
	if err != nil {
		return nil, err
	}
	if _, err = conn.Exec(ctx, `create sequence bare_id_seq`); err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `vacuum analyze agentexec.activity`)
	return ids, err
}

func appendLog(ids []uuid.UUID, writers int) func(context.Context, *pgx.Conn, int, int) error {
	return func(ctx context.Context, conn *pgx.Conn, w, n int) error {
		_, err := conn.Exec(ctx, `select agentexec.append_log($1, $2, $3)`, share(ids, writers, w, n), benchMessage, n%101)
		return err
	}
}

func bareInsert(ids []uuid.UUID, writers int) func(context.Context, *pgx.Conn, int, int) error {
	return func(ctx context.Context, conn *pgx.Conn, w, n int) error {
		// The seq is only there to be unique: nothing numbers these rows.
		_, err := conn.Exec(ctx, `insert into bare (id, activity_id, seq, message, status, percentage, created_at)
			select i, $1, i % 2147483647, $2, 'RUNNING', $3, clock_timestamp() from nextval('bare_id_seq') i`,
			share(ids, writers, w, n), benchMessage, n%101)
		return err
	}
}

// share picks the writer's n-th activity from its part of all.
func share(ids []uuid.UUID, writers, w, n int) uuid.UUID {
	per := len(ids) / writers
	return ids[w*per+n%per]
}
