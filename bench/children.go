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

const (
	// childAppend is the least rate of appends to a child, against those to an activity without a parent.
	childAppend = 0.97
	// pageRoots are the roots of a page, pageChildren the children of each.
	pageRoots, pageChildren = 50, 1000
	// pageReach bounds the p50 of the page.
	pageReach = 15 * time.Millisecond
)

// measureChildren compares the lines of children with those of others, and reads a page of roots with many children.
func measureChildren(ctx context.Context, o options) ([]table, error) {
	url, stop, err := startPostgres(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer stop()
	appends, err := childAppends(ctx, url, o)
	if err != nil {
		return nil, err
	}
	page, err := rootsPage(ctx, url, o)
	return []table{appends, page}, err
}

func childAppends(ctx context.Context, url string, o options) (table, error) {
	t := table{
		title: "append_log of children",
		note:  "The same calls on RUNNING activities without a parent, and on children of one root, in turns. Ratio: the median of the rounds' ratios.",
		head:  []string{"commit", "writers", "no parent", "child", "ratio", "reach"},
	}
	alone, err := makeRunning(ctx, url, benchActivities)
	if err != nil {
		return t, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return t, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select agentexec.create_activity('bench', parent_agent_id => r.root)
		from (select agentexec.create_activity('bench') as root) r, generate_series(1, $1)`, benchActivities)
	if err != nil {
		return t, err
	}
	children, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return t, err
	}
	if err := execute(ctx, url, `select agentexec.append_log(a.agent_id, 'go', null, 'RUNNING') from agentexec.activity a where a.parent_agent_id is not null`,
		`vacuum analyze agentexec.activity`); err != nil {
		return t, err
	}
	for _, mode := range commitModes {
		for _, writers := range o.writers {
			out, err := race(ctx, url, writers, o, []contender{
				{name: "no parent", settings: mode.settings, op: appendLog("agentexec", alone, writers)},
				{name: "child", settings: mode.settings, op: appendLog("agentexec", children, writers)},
			})
			if err != nil {
				return t, err
			}
			over := out[1].over(out[0])
			t.rows = append(t.rows, []string{mode.name, strconv.Itoa(writers), perSecond(out[0]), perSecond(out[1]), ratio(over), atLeast(over, childAppend)})
		}
	}
	return t, nil
}

func rootsPage(ctx context.Context, url string, o options) (table, error) {
	children := min(pageChildren, o.activities/pageRoots)
	t := table{
		title: fmt.Sprintf("A page of %d roots with %d children each", pageRoots, children),
		note:  fmt.Sprintf("One connection, for %s each. Half of the children have finished. The children are counted on read.", total(o)),
		head:  []string{"read", "p50", "p99", "times", "reach"},
	}
	err := execute(ctx, url, fmt.Sprintf(`do $$
		declare
			v_root uuid;
		begin
			for r in 1..%d loop
				v_root := agentexec.create_activity('root', metadata => '{"org": 1}');
				perform agentexec.create_activity('part', parent_agent_id => v_root) from generate_series(1, %d);
			end loop;
			perform agentexec.append_log(a.agent_id, 'half', 50, 'RUNNING') from agentexec.activity a where a.agent_type in ('root', 'part');
			perform agentexec.complete(a.agent_id) from (select a.agent_id, row_number() over () as n from agentexec.activity a where a.agent_type = 'part') a where a.n %% 2 = 0;
		end $$`, pageRoots, children), `vacuum analyze agentexec.activity, agentexec.activity_log`)
	if err != nil {
		return t, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return t, err
	}
	defer conn.Close(ctx)
	for _, read := range []struct{ name, scope string }{{"everything", ""}, {"in a scope by metadata", `{"metadata": {"org": 1}}`}} {
		if _, err := conn.Exec(ctx, "select set_config('agentexec.scope', $1, false)", read.scope); err != nil {
			return t, err
		}
		var took []time.Duration
		for began := time.Now(); len(took) == 0 || time.Since(began) < total(o); {
			sent := time.Now()
			var page []byte
			err := conn.QueryRow(ctx, `select agentexec.list_activities(agent_type => 'root', roots_only => true, page_size => $1)`, pageRoots).Scan(&page)
			if err != nil {
				return t, err
			}
			took = append(took, time.Since(sent))
		}
		slices.Sort(took)
		p50, reach := quantile(took, 0.5), ""
		if read.scope == "" {
			reach = verdict("p50 <= "+pageReach.String(), p50 <= pageReach)
		}
		t.rows = append(t.rows, []string{read.name, fineMs(took, 0.5), fineMs(took, 0.99), strconv.Itoa(len(took)), reach})
	}
	return t, nil
}
