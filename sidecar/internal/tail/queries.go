package tail

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// queries are the statements of the tail. They pick rows; the SQL functions write their JSON.
type queries struct {
	position, foreign, barrier, touched, lines, metadata, states, deleted, stale string
}

func newQueries(schema string) queries {
	in := func(sql string) string {
		return strings.ReplaceAll(sql, "$schema", pgx.Identifier{schema}.Sanitize())
	}
	return queries{
		position: `select pg_current_snapshot()::text`,

		// The line with the highest xid of those that came with a dump from another cluster, where that xid lies in this
		// cluster's future; 0 where there is none.
		foreign: in(`select coalesce((
			select l.id from $schema.activity_log l
			where l.xid >= txid_snapshot_xmax(txid_current_snapshot())
			order by l.xid desc limit 1), 0)`),

		barrier: `select pg_current_xact_id()::text`,

		// The lines that became visible since a position ($1 its xmax, $2 its xip), as two kinds of rows in this order:
		//   0  one row: the new position, and the number of transactions that wrote
		//   1  a row per activity that has new lines: what decides which clients watch it, and the first and last of their seqs.
		//      An activity's lines become visible in seq order, so its new lines are those from the first to the last.
		// The upper bound on xid and the comparison with xmin exclude rows that a dump brought from another cluster: their
		// xid may lie in this one's future. The bound excludes nothing that is visible here; without it, each read would
		// find all of those rows. When the counter reaches them, xmin distinguishes them: it is the transaction that inserted
		// the row here, or a later one that changed it. For a line that was written here, xmin is xid, or follows it (a
		// subtransaction); for a restored row, it precedes xid. xmin has 32 bits and wraps around.
		// Of the transactions that were running, only those that have ended since are looked up. Otherwise, every read would
		// read all lines again of one that still writes.
		// offset 0 keeps the look-ups by key: without it, a scan of the whole table looks cheaper to the planner, which
		// cannot know how few lines are new. The union is materialized, so that the planner takes the index on xid for each
		// half and filters afterwards.
		touched: in(`
			with fresh as materialized (
				select l.activity_id, l.seq, l.xid
				from $schema.activity_log l
				where l.xid >= $1::text::bigint and l.xid < txid_snapshot_xmax(txid_current_snapshot())
				  and ((l.xmin::text::bigint - l.xid) & 4294967295) < 2147483648
				union all
				select l.activity_id, l.seq, l.xid
				from $schema.activity_log l
				where l.xid = any (array(
					select e.xid from unnest($2::text[]::bigint[]) e(xid)
					where txid_visible_in_snapshot(e.xid, txid_current_snapshot())))
				  and ((l.xmin::text::bigint - l.xid) & 4294967295) < 2147483648
			)
			select 0 as kind, null::uuid as id, null::uuid as agent_id, null::text as agent_type, null::uuid as parent, null::uuid as root,
			       (select count(distinct f.xid)::int from fresh f) as first, 0 as last, pg_current_snapshot()::text as position
			union all
			select 1, a.id, a.agent_id, a.agent_type, a.parent_agent_id, a.root_agent_id, t.first, t.last, null
			from (select f.activity_id, min(f.seq) as first, max(f.seq) as last from fresh f group by f.activity_id) t
			cross join lateral (
				select x.id, x.agent_id, x.agent_type, x.parent_agent_id, x.root_agent_id from $schema.activity x where x.id = t.activity_id offset 0) a
			order by 1`),

		// The states of activities ($1, by id), each before its lines from one seq ($2) to another ($3). The statement may see
		// more than the one that found these lines: it reads no lines beyond them, but the state may be ahead of the lines.
		lines: in(`
			select w.ord::int, s.seq, s.status, s.body
			from unnest($1::uuid[], $2::int[], $3::int[]) with ordinality w(id, first, last, ord)
			cross join lateral (
				select (a.activity).last_seq as seq, (a.activity).status::text as status, $schema._state_json(a.activity)::text as body
				from (select x as activity from $schema.activity x where x.id = w.id offset 0) a
				union all
				(select (l.line).seq, null, $schema._log_json(l.line)::text
				from (
					select x as line from $schema.activity_log x
					where x.activity_id = w.id and x.seq between w.first and w.last
					order by x.seq
					offset 0
				) l)
			) s`),

		metadata: in(`
			select w.ord::int, a.metadata::text
			from unnest($1::uuid[]) with ordinality w(id, ord)
			cross join lateral (select x.metadata from $schema.activity x where x.id = w.id offset 0) a`),

		// The states of activities ($1). For each, also the identity of the line at the seq that the feed knows ($2): the
		// database may have lost that line and written another one with the same seq.
		states: in(`
			select a.agent_id, a.id, a.last_seq, a.status::text, $schema._state_json(a)::text,
			       (select jsonb_build_object('id', l.id, 'created_at', $schema._time(l.created_at))::text
			        from $schema.activity_log l
			        where l.activity_id = a.id and l.seq = k.seq)
			from unnest($1::uuid[], $2::int[]) k(agent_id, seq)
			join $schema.activity a on a.agent_id = k.agent_id`),

		deleted: in(`
			select k.agent_id
			from unnest($1::uuid[]) k(agent_id)
			where not exists (select from $schema.activity a where a.agent_id = k.agent_id)`),

		// Each row has the mark of the set of stale activities. If the mark is not $1, the rows are that set.
		stale: in(`
			with stale as materialized (select s.id, s.agent_id, s.agent_type from $schema._stale_activities() s),
			mark as (select format('%s:%s', count(*), coalesce(sum(uuid_hash_extended(s.id, 0)), 0)) as mark from stale s)
			select m.mark, s.id, s.agent_id, s.agent_type, a.parent_agent_id, a.root_agent_id
			from mark m
			left join stale s on m.mark <> $1::text
			left join lateral (select x.parent_agent_id, x.root_agent_id from $schema.activity x where x.id = s.id offset 0) a on true`),
	}
}
