package sql_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
)

// invariants are queries that must find nothing, whatever was done to the database. The two hot tables have no CHECK
// constraints (they cost a tenth of an append), so this is where their rules are written down.
var invariants = map[string]string{
	"SeqRunsFromOneToLastSeqWithoutGap": `
		select a.id, a.last_seq, count(l.seq), min(l.seq), max(l.seq)
		from agentexec.activity a left join agentexec.activity_log l on l.activity_id = a.id
		group by a.id
		having a.last_seq < 1 or count(distinct l.seq) <> a.last_seq or count(l.seq) <> a.last_seq
			or min(l.seq) <> 1 or max(l.seq) <> a.last_seq`,
	"FinishedAtIsSetExactlyWhenTheStatusIsFinal": `
		select a.* from agentexec.activity a
		where (a.finished_at is not null) <> (a.status in ('COMPLETE', 'ERROR', 'CANCELED'))`,
	"StartedAtIsTheFirstRunningLine": `
		select a.id, a.started_at, l.at
		from agentexec.activity a
		left join (select l.activity_id, min(l.created_at) as at from agentexec.activity_log l
			where l.status = 'RUNNING' group by l.activity_id) l on l.activity_id = a.id
		where a.started_at is distinct from l.at`,
	"FinishedAtIsTheLineThatEndedIt": `
		select a.id, a.finished_at, l.created_at
		from agentexec.activity a
		cross join lateral (
			select l.created_at from (select l.*, lag(l.status) over (order by l.seq) as before
				from agentexec.activity_log l where l.activity_id = a.id) l
			where l.status is distinct from l.before order by l.seq desc limit 1) l
		where a.finished_at <> l.created_at`,
	"TheActivityHasTheStatusAndTimeOfItsLastLine": `
		select a.* from agentexec.activity a
		join agentexec.activity_log l on l.activity_id = a.id and l.seq = a.last_seq
		where l.status <> a.status or l.created_at <> a.updated_at`,
	"TheActivityHasTheLastPercentageGiven": `
		select a.* from agentexec.activity a
		where a.latest_percentage is distinct from (select l.percentage
			from (select l.*, lag(l.status) over (order by l.seq) as before from agentexec.activity_log l where l.activity_id = a.id) l
			where l.percentage is not null
				and (l.before is null or l.before not in ('COMPLETE', 'ERROR', 'CANCELED') or l.status <> l.before) -- not trailing
			order by l.seq desc limit 1)`,
	"AttemptCountsTheReturnsFromError": `
		select a.id, a.attempt from agentexec.activity a
		where a.attempt <> 1 + (select count(*) from (select l.status,
				lag(l.status) over (order by l.seq) as before from agentexec.activity_log l where l.activity_id = a.id) l
			where l.before = 'ERROR' and l.status in ('QUEUED', 'RUNNING'))`,
	"LinesKnowTheirAttempt": `
		select l.* from (select l.*, 1 + count(*) filter (where l.before = 'ERROR' and l.status in ('QUEUED', 'RUNNING'))
				over (partition by l.activity_id order by l.seq) as want
			from (select l.*, lag(l.status) over (partition by l.activity_id order by l.seq) as before from agentexec.activity_log l) l) l
		where l.attempt <> l.want`,
	"NoRetryFollowsARequestToCancel": `
		select l.* from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
		where l.seq > a.cancel_seq and l.attempt > (select c.attempt from agentexec.activity_log c where c.activity_id = a.id and c.seq = a.cancel_seq)`,
	"LinesKnowOfTheRequestToCancel": `
		select l.* from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
		where l.cancel_requested <> coalesce(l.seq >= a.cancel_seq, false)`,
	"OnlyWhatMayEndIsForced": `
		select a.* from agentexec.activity a
		where a.cancel_forced and (a.cancel_force_at is null or a.status <> 'CANCELED') or a.cancel_force_at is not null and a.cancel_seq is null
			or a.cancel_seq > a.last_seq`,
	"NoPromiseOutlivesItsRun": `
		select h.* from agentexec.activity_heartbeat h join agentexec.activity a on a.id = h.activity_id where a.finished_at is not null`,
	"TheStateMachineAllowsEveryStep": `
		select l.* from (select l.*, lag(l.status) over (partition by l.activity_id order by l.seq) as before
			from agentexec.activity_log l) l
		where l.status <> l.before and (l.before in ('COMPLETE', 'CANCELED')
			or l.before = 'ERROR' and l.status not in ('QUEUED', 'RUNNING', 'CANCELED'))`,
	"LineOneIsQueuedAtZero": `
		select l.* from agentexec.activity_log l join agentexec.activity a on a.id = l.activity_id
		where l.seq = 1 and (l.status <> 'QUEUED' or l.percentage is distinct from 0 or l.created_at <> a.created_at)`,
	"TimeAndIdFollowSeq": `
		select l.* from (select l.*, lag(l.created_at) over w as time_before, lag(l.id) over w as id_before
			from agentexec.activity_log l window w as (partition by l.activity_id order by l.seq)) l
		where l.created_at < l.time_before or l.id <= l.id_before`,
	"ActivitiesAreInBounds": `
		select a.* from agentexec.activity a
		where char_length(a.agent_type) not between 1 and 255 or a.latest_percentage not between 0 and 100
			or jsonb_typeof(a.metadata) <> 'object' or a.attempt < 1
			or a.created_at > a.updated_at or a.started_at not between a.created_at and a.updated_at
			or a.finished_at not between a.created_at and a.updated_at`,
	"LinesAreInBounds": `
		select l.* from agentexec.activity_log l
		where octet_length(l.message) > 1048576 or l.percentage not between 0 and 100`,
	"OpenQuestionsAreCounted": `
		select a.id, a.open_questions from agentexec.activity a
		where a.open_questions <> (select count(*) from agentexec.question q where q.activity_id = a.id and q.state = 'PENDING')
			or a.open_questions > 0 and a.finished_at is not null`,
	"QuestionsAreClosedOnce": `
		select q.* from agentexec.question q
		where (q.state = 'PENDING') <> (q.closed_at is null) or (q.state = 'ANSWERED') <> (q.answer is not null)`,
	"ChildrenKnowTheirTree": `
		select c.* from agentexec.activity c left join agentexec.activity p on p.agent_id = c.parent_agent_id
		where c.parent_agent_id is not null and (p.id is null or c.depth <> p.depth + 1 or c.root_agent_id <> coalesce(p.root_agent_id, p.agent_id))
			or c.parent_agent_id is null and (c.depth <> 0 or c.root_agent_id is not null) or c.depth > 32`,
	"IdsComeFromTheSequence": `
		select l.* from agentexec.activity_log l, agentexec.activity_log_id_seq s where l.id > s.last_value`,
}

func requireInvariants(t *testing.T, db *pgtest.Database) {
	t.Helper()
	ctx, conn := context.Background(), db.Conn(t) // the test's own context has ended when this runs as its clean-up
	for name, query := range invariants {
		var found *string
		err := conn.QueryRow(ctx, `select string_agg(r::text, e'\n') from (`+query+` limit 5) r`).Scan(&found)
		require.NoError(t, err, name)
		require.Nil(t, found, name)
	}
}
