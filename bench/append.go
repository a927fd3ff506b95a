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
type commitMode struct {
	name, settings string
	reach          map[int]float64 // by number of writers: the least ratio to the bare INSERT
}

var commitModes = []commitMode{
	{"sync commit on", "set synchronous_commit = on", map[int]float64{8: 0.65}},
	{"sync commit off", "set synchronous_commit = off", map[int]float64{4: 0.55}},
	flushOf1ms,
}

var flushOf1ms = commitMode{"flush emulated at 1 ms", "set synchronous_commit = on; set commit_delay = 1000; set commit_siblings = 0",
	map[int]float64{8: 0.90}}

// ground is a server with all that the contenders of the append write to.
type ground struct {
	url            string
	ids, notifying []uuid.UUID // activities of the schema, and of its copy that always notifies
}

// measureAppend lets append_log race a bare INSERT of the same row into a table with the same columns and indexes (no
// numbering, no state, no rule, no wake-up: the limit), the same function with a NOTIFY in every transaction, and River.
func measureAppend(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	g := ground{url: url}
	if g.ids, err = makeActivities(ctx, url, "agentexec", benchActivities); err != nil {
		return nil, err
	}
	if err := makeBare(ctx, url); err != nil {
		return nil, err
	}
	if g.notifying, err = makeNotifying(ctx, url); err != nil {
		return nil, err
	}
	if err := installRiver(ctx, url); err != nil {
		return nil, err
	}
	stopListening, err := listen(ctx, url, notifyingSchema)
	if err != nil {
		return nil, err
	}
	defer stopListening()

	t := table{
		title: "Appends per second",
		note: "Each contender has a connection for each writer. Bare INSERT: the same row into a table with the same columns and " +
			"indexes. NOTIFY: append_log in a copy of the schema whose trigger notifies in every transaction, with one listener. " +
			"River: Insert of a job without fields, which is a transaction of three round trips. Ratios: medians of the rounds' ratios.",
		head: []string{"commit", "writers", "bare INSERT", "append_log", "of bare", "reach", "NOTIFY", "of NOTIFY", "River", "of River"},
	}
	for _, mode := range commitModes {
		for _, writers := range o.writers {
			row, err := appendRace(ctx, g, mode, writers, o)
			if err != nil {
				return nil, err
			}
			t.rows = append(t.rows, row)
		}
	}
	watched, err := appendWatched(ctx, g, o)
	return []table{t, watched}, err
}

func appendRace(ctx context.Context, g ground, mode commitMode, writers int, o options) ([]string, error) {
	river, closeRiver, err := riverInsert(ctx, g.url, mode.settings, writers)
	if err != nil {
		return nil, err
	}
	defer closeRiver()
	out, err := race(ctx, g.url, writers, o, []contender{
		{name: "bare INSERT", settings: mode.settings, op: bareInsert(g.ids, writers)},
		{name: "append_log", settings: mode.settings, op: appendLog("agentexec", g.ids, writers)},
		{name: "NOTIFY", settings: mode.settings, op: appendLog(notifyingSchema, g.notifying, writers)},
		{name: "River", ownConns: true, op: river},
	})
	if err != nil {
		return nil, err
	}
	ofBare, reach := out[1].over(out[0]), ""
	if goal := mode.reach[writers]; goal > 0 {
		reach = atLeast(ofBare, goal)
	}
	return []string{mode.name, strconv.Itoa(writers), perSecond(out[0]), perSecond(out[1]), ratio(ofBare), reach,
		perSecond(out[2]), ratio(out[1].over(out[2])), perSecond(out[3]), ratio(out[1].over(out[3]))}, nil
}

func perSecond(o outcome) string { return fmt.Sprintf("%.0f/s", o.median()) }
func ratio(r float64) string     { return fmt.Sprintf("%.2f", r) }

// makeActivities makes the activities to append to.
func makeActivities(ctx context.Context, url, schema string, n int) ([]uuid.UUID, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select `+schema+`.create_activity('bench') from generate_series(1, $1)`, n)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `vacuum analyze `+schema+`.activity`)
	return ids, err
}

// makeBare makes the table with the same columns and indexes as activity_log, and no rule.
func makeBare(ctx context.Context, url string) error {
	return execute(ctx, url,
		`create table bare (like agentexec.activity_log including defaults including storage including indexes)`,
		`create sequence bare_id_seq`)
}

// appendLog asks for the status alone, which is what a worker goes by: the whole line, as text, is up to a tenth more.
func appendLog(schema string, ids []uuid.UUID, writers int) func(context.Context, *pgx.Conn, int, int) error {
	query := `select (` + schema + `.append_log($1, $2, $3)).status`
	return func(ctx context.Context, conn *pgx.Conn, w, n int) error {
		_, err := conn.Exec(ctx, query, share(ids, writers, w, n), benchMessage, n%101)
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
