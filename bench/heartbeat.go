package main

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// heartbeatReach is the least ratio of heartbeats to appends, by number of writers.
var heartbeatReach = map[int]float64{8: 1.5}

// measureHeartbeat compares heartbeat with append_log on RUNNING activities. Each writer has its own share of them.
func measureHeartbeat(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := makeRunning(ctx, url, benchActivities)
	if err != nil {
		return nil, err
	}
	t := table{
		title: "Heartbeats per second",
		note: "Each contender has a connection for each writer. append_log writes a line of a RUNNING activity. A Run sends its " +
			"heartbeats with synchronous_commit = off, because a lost one costs nothing; the goal is for that. Ratios: medians of the rounds' ratios.",
		head: []string{"commit", "writers", "append_log", "heartbeat", "of append_log", "as a Run sends it", "of append_log", "reach"},
	}
	for _, mode := range commitModes {
		for _, writers := range o.writers {
			out, err := race(ctx, url, writers, o, []contender{
				{name: "append_log", settings: mode.settings, op: appendLog("agentexec", ids, writers)},
				{name: "heartbeat", settings: mode.settings, op: sendHeartbeat(ids, writers)},
				{name: "as a Run sends it", settings: mode.settings + "; set synchronous_commit = off", op: sendHeartbeat(ids, writers)},
			})
			if err != nil {
				return nil, err
			}
			over, reach := out[2].over(out[0]), ""
			if goal := heartbeatReach[writers]; goal > 0 {
				reach = atLeast(over, goal)
			}
			t.rows = append(t.rows, []string{mode.name, strconv.Itoa(writers), perSecond(out[0]),
				perSecond(out[1]), ratio(out[1].over(out[0])), perSecond(out[2]), ratio(over), reach})
		}
	}
	return []table{t}, nil
}

// makeRunning makes RUNNING activities, each with a promise.
func makeRunning(ctx context.Context, url string, n int) ([]uuid.UUID, error) {
	ids, err := makeActivities(ctx, url, "agentexec", n)
	if err != nil {
		return nil, err
	}
	return ids, execute(ctx, url,
		`select agentexec.append_log(a.agent_id, 'go', null, 'RUNNING') from agentexec.activity a`,
		`select agentexec.heartbeat(a.agent_id, '60 s') from agentexec.activity a`,
		`vacuum analyze agentexec.activity, agentexec.activity_heartbeat`)
}

func sendHeartbeat(ids []uuid.UUID, writers int) func(context.Context, *pgx.Conn, int, int) error {
	return func(ctx context.Context, conn *pgx.Conn, w, n int) error {
		_, err := conn.Exec(ctx, `select (agentexec.heartbeat($1)).cancel_requested`, share(ids, writers, w, n))
		return err
	}
}
