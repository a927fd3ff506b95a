package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const bulkLines = 1000

// measureBulk compares append_logs with the two fastest ways to get the same rows into a table with the same columns and
// indexes: INSERT ... SELECT from arrays, and COPY.
func measureBulk(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeActivities(ctx, url, "agentexec", 1000)
	if err != nil {
		return nil, err
	}
	if err := makeBare(ctx, url); err != nil {
		return nil, err
	}
	t := table{
		title: fmt.Sprintf("Batches of %d lines, per second", bulkLines),
		note:  "One writer, sync commit on. INSERT ... SELECT and COPY write into tables with the columns and indexes of activity_log. Ratios: append_logs to each.",
		head:  []string{"activities", "INSERT SELECT", "COPY", "append_logs", "of INSERT SELECT", "reach", "of COPY", "reach"},
	}
	for _, activities := range []int{1, 100, 1000} {
		out, err := bulkRace(ctx, url, ids[:activities], o)
		if err != nil {
			return nil, err
		}
		ofInsert, ofCopy := out[2].over(out[0]), out[2].over(out[1])
		row := []string{strconv.Itoa(activities), fmt.Sprintf("%.1f", out[0].median()), fmt.Sprintf("%.1f", out[1].median()),
			fmt.Sprintf("%.1f", out[2].median()), ratio(ofInsert), "", ratio(ofCopy), ""}
		if activities == 100 {
			row[5], row[7] = atLeast(ofInsert, 0.50), atLeast(ofCopy, 0.35)
		}
		t.rows = append(t.rows, row)
	}
	return []table{t}, nil
}

// bulkRace writes the same batch over and over, in the three ways.
func bulkRace(ctx context.Context, url string, ids []uuid.UUID, o options) ([]outcome, error) {
	targets := make([]uuid.UUID, bulkLines)
	messages := make([]string, bulkLines)
	entries := make([]map[string]any, bulkLines)
	for i := range targets {
		targets[i] = ids[i%len(ids)]
		messages[i] = benchMessage
		entries[i] = map[string]any{"agent_id": targets[i], "message": messages[i], "percentage": i % 101}
	}
	body, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	copied := 0
	return race(ctx, url, 1, o, []contender{
		{name: "INSERT SELECT", op: func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
			_, err := conn.Exec(ctx, `insert into bare (id, activity_id, seq, message, status, percentage, created_at)
				select nextval('bare_id_seq'), l.id, currval('bare_id_seq') % 2147483647, l.message, 'RUNNING', l.n % 101, clock_timestamp()
				from unnest($1::uuid[], $2::text[]) with ordinality l(id, message, n)`, targets, messages)
			return err
		}},
		{name: "COPY", op: func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
			now := time.Now()
			_, err := conn.CopyFrom(ctx, pgx.Identifier{"copied"},
				[]string{"id", "activity_id", "seq", "message", "status", "percentage", "created_at"},
				pgx.CopyFromSlice(bulkLines, func(i int) ([]any, error) {
					copied++
					return []any{int64(copied), targets[i], int32(copied), messages[i], "RUNNING", int32(i % 101), now}, nil
				}))
			return err
		}, settings: "create table if not exists copied (like bare including all); truncate copied"},
		{name: "append_logs", op: func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
			_, err := conn.Exec(ctx, `select agentexec.append_logs($1)`, body)
			return err
		}},
	})
}
