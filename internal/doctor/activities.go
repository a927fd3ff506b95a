package doctor

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

func checkRetention(ctx context.Context, e *examination) error {
	var rules int
	var size, perDay string
	var days float64
	// The first activity tells the age: its index begins with it.
	err := e.one(ctx, `
		with size as (
		  select pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)) as bytes
		  from pg_catalog.pg_class c
		  where c.oid in ('$schema.activity'::pg_catalog.regclass, '$schema.activity_log'::pg_catalog.regclass)
		), age as (
		  select coalesce(extract(epoch from now() - (select a.created_at from $schema.activity a order by a.created_at limit 1)) / 86400, 0) as days
		)
		select (select pg_catalog.count(*)::pg_catalog.int4 from $schema.retention), pg_catalog.pg_size_pretty(s.bytes),
		       pg_catalog.pg_size_pretty((s.bytes / greatest(a.days, 1))::pg_catalog.numeric), a.days::pg_catalog.float8
		from size s cross join age a`, &rules, &size, &perDay, &days)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("the two tables have %s, about %s a day over %s", size, perDay, count(int(math.Round(max(days, 1))), "day"))
	if rules == 0 {
		e.add(Warning, "there is no retention rule, so nothing is ever deleted; "+text, "set how long finished activities are kept, such as: agentexec retention set 30d")
		return nil
	}
	e.add(OK, fmt.Sprintf("retention rules: %d; %s", rules, text), "")
	return nil
}

// overdue is how late a due cancel or question may be before the check reports that no sweep runs.
const overdue = 30 * time.Second

func checkSweep(ctx context.Context, e *examination) error {
	var cancels, questions int
	err := e.one(ctx, `
		select (select pg_catalog.count(*)::pg_catalog.int4 from $schema.activity a
		        where a.cancel_force_at is not null and a.finished_at is null and a.cancel_force_at < now() - interval '30 s'),
		       (select pg_catalog.count(*)::pg_catalog.int4 from $schema.question q
		        where q.state = 'PENDING' and q.expires_at is not null and q.expires_at < now() - interval '30 s')`, &cancels, &questions)
	switch {
	case err != nil:
		return err
	case cancels+questions > 0:
		e.add(Problem, fmt.Sprintf("the time of %s and %s was over more than %s ago, so no sweep runs", count(cancels, "grace period"), count(questions, "question"), overdue),
			"start a sidecar, or call agentexec sweep once a second, or with pg_cron")
	default:
		e.add(OK, "nothing that is due was left undone", "")
	}
	return nil
}

func checkStale(ctx context.Context, e *examination) error {
	var stale int
	err := e.one(ctx, "select ($schema.count_by_status() ->> 'stale')::pg_catalog.int4", &stale)
	switch {
	case err != nil:
		return err
	case stale > 0:
		e.add(Problem, count(stale, "activity")+" stale: the worker sent no heartbeat and no line for longer than it promised",
			"look at them: agentexec list --stale; end those whose worker is gone: agentexec error AGENT_ID, or agentexec cancel --force AGENT_ID")
	default:
		e.add(OK, "no activity is stale", "")
	}
	return nil
}

func checkCancels(ctx context.Context, e *examination) error {
	var open, forced, ended int
	err := e.one(ctx, `
		select (select pg_catalog.count(*)::pg_catalog.int4 from $schema.activity a
		        where a.status = 'RUNNING' and a.cancel_seq is not null and a.cancel_force_at is null and a.updated_at < now() - interval '5 min'),
		       pg_catalog.count(*) filter (where a.cancel_forced)::pg_catalog.int4, pg_catalog.count(*)::pg_catalog.int4
		from (select a.cancel_forced from $schema.activity a where a.status = 'CANCELED' and a.started_at is not null
		      order by a.created_at desc limit 1000) a`, &open, &forced, &ended)
	switch {
	case err != nil:
		return err
	case open > 0:
		e.add(Problem, count(open, "activity")+" RUNNING with a cancel requested without force, and without a line for 5 minutes", "force them: agentexec cancel --force AGENT_ID")
	case forced*2 > ended:
		e.add(Warning, forcedCancels(forced, ended),
			"let the workers look at cancel_requested in the answers to their lines and heartbeats; see docs/workers.md")
	default:
		e.add(OK, forcedCancels(forced, ended), "")
	}
	return nil
}

// forcedCancels says how many of the last cancels of running activities were forced.
func forcedCancels(forced, ended int) string {
	switch {
	case ended == 0:
		return "no running activity was canceled"
	case ended == 1 && forced == 1:
		return "the worker never answered the last cancel of a running activity"
	case ended == 1:
		return "the worker answered the last cancel of a running activity"
	case forced == 1:
		return fmt.Sprintf("1 of the last %d cancels of running activities was never answered by the worker", ended)
	}
	return fmt.Sprintf("%d of the last %d cancels of running activities were never answered by the worker", forced, ended)
}

const heartbeatAdvice = "let the workers send heartbeats: client.Run does, others call agentexec.heartbeat; see docs/workers.md"

func checkHeartbeats(ctx context.Context, e *examination) error {
	var running, silent int
	var types []string
	err := e.one(ctx, `
		select pg_catalog.count(*)::pg_catalog.int4, pg_catalog.count(*) filter (where h.activity_id is null)::pg_catalog.int4,
		       coalesce((pg_catalog.array_agg(distinct a.agent_type) filter (where h.activity_id is null))[:5], '{}')
		from $schema.activity a
		left join $schema.activity_heartbeat h on h.activity_id = a.id
		where a.status = 'RUNNING'`, &running, &silent, &types)
	switch {
	case err != nil:
		return err
	case running == 0:
		e.add(OK, "no activity is RUNNING", "")
	case silent == 1 && running == 1:
		e.add(Warning, fmt.Sprintf("the RUNNING activity, of type %s, has no promise of its worker, so it can never be shown as stale", types[0]), heartbeatAdvice)
	case silent > 0:
		e.add(Warning, fmt.Sprintf("%d of %d RUNNING activities, of type %s, have no promise of their worker, so they can never be shown as stale",
			silent, running, strings.Join(types, ", ")), heartbeatAdvice)
	case running == 1:
		e.add(OK, "the RUNNING activity has a promise of its worker", "")
	default:
		e.add(OK, fmt.Sprintf("all %d RUNNING activities have a promise of their worker", running), "")
	}
	return nil
}

func checkQuestions(ctx context.Context, e *examination) error {
	var open int
	var oldest float64
	err := e.one(ctx, `
		select pg_catalog.count(*)::pg_catalog.int4, coalesce(extract(epoch from now() - min(q.asked_at)), 0)::pg_catalog.float8
		from $schema.question q where q.state = 'PENDING'`, &open, &oldest)
	switch age := time.Duration(oldest * float64(time.Second)); {
	case err != nil:
		return err
	case age > 24*time.Hour:
		e.add(Warning, fmt.Sprintf("%s waiting for a person, the oldest for %s", count(open, "question"), count(int(math.Round(age.Hours()/24)), "day")), "answer or decline them: agentexec questions")
	default:
		e.add(OK, count(open, "question")+" waiting for a person", "")
	}
	return nil
}

// count writes a number with the right form of a noun: "1 activity", "2 activities".
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "activity":
		return fmt.Sprintf("%d activities", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
