package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/pkg/migrate"
)

// measureGrowth lets the same work take turns in a small database and in the large one beside it.
func measureGrowth(ctx context.Context, large string, o options) (table, error) {
	few := max(o.activities/100, 100)
	t := table{
		title: fmt.Sprintf("Growth: from %d activities to %d", few, o.activities),
		note: "Per second, in turns. Appends: 4 writers, each to its share of the live activities (the same number in both), as workers " +
			"do. Pages by key: one connection that goes through the newest activities over and over, as many in both, 50 a page. Cost: of " +
			"the large one, in the small one's.",
		head: []string{"what", fmt.Sprintf("%d activities", few), fmt.Sprintf("%d activities", o.activities), "cost", "reach"},
	}
	small, err := createDatabase(ctx, large, "small")
	if err != nil {
		return t, err
	}
	if err := load(ctx, small, few, false); err != nil {
		return t, err
	}
	for _, what := range []struct {
		name     string
		writers  int
		settings string
		op       func(ctx context.Context, url string, n int) (func(context.Context, *pgx.Conn, int, int) error, error)
	}{
		{"append_log, sync commit on", 4, "set synchronous_commit = on", appendLive},
		{"append_log, sync commit off", 4, "set synchronous_commit = off", appendLive},
		{"list by key", 1, "", turnPages},
	} {
		var both []contender
		for _, url := range []string{small, large} {
			op, err := what.op(ctx, url, few)
			if err != nil {
				return t, err
			}
			both = append(both, contender{name: what.name, url: url, settings: what.settings, op: op})
		}
		out, err := race(ctx, "", what.writers, o, both)
		if err != nil {
			return t, err
		}
		cost := out[0].over(out[1])
		t.rows = append(t.rows, []string{what.name, perSecond(out[0]), perSecond(out[1]), fmt.Sprintf("%.2f x", cost),
			verdict("<= 1.30 x", cost <= 1.3)})
	}
	return t, nil
}

// createDatabase makes another database on the same server, with the schema, and returns its URL.
func createDatabase(ctx context.Context, of, name string) (string, error) {
	if err := execute(ctx, of, "create database "+name); err != nil {
		return "", err
	}
	u, err := url.Parse(of)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return u.String(), migrate.Up(ctx, conn, nil)
}

// appendLive appends to live activities, as many as there are in the smaller database.
func appendLive(ctx context.Context, url string, activities int) (func(context.Context, *pgx.Conn, int, int) error, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select agent_id from agentexec.activity where status = 'RUNNING' order by created_at desc limit $1`,
		max(4, min(liveActivities, activities/10)))
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err == nil && len(ids) < 4 {
		err = fmt.Errorf("only %d activities are running", len(ids))
	}
	return appendLog("agentexec", ids, 4), err
}

// turnPages goes through the newest activities by key, and begins anew after so many: in a larger database it must not
// come to memory that its connection has not touched before, or that is what is measured.
func turnPages(ctx context.Context, url string, activities int) (func(context.Context, *pgx.Conn, int, int) error, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	first, err := nextOf(ctx, conn, "page => 1")
	after := first
	return func(ctx context.Context, conn *pgx.Conn, _, n int) error {
		if n%max(activities/50-1, 1) == 0 {
			after = first
		}
		var next *string
		if err := conn.QueryRow(ctx, `select agentexec.list_activities(after => $1) ->> 'next'`, after).Scan(&next); err != nil {
			return err
		}
		if after = first; next != nil {
			after = *next
		}
		return nil
	}, err
}
