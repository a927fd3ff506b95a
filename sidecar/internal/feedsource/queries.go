package feedsource

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// feedQueries are the statements of a source. They pick rows; the SQL functions write their JSON.
type feedQueries struct {
	snapshot, replay, list, counts string
}

// replayLines bounds one replay read, beside the byte limit of the feed. At least one line is read, whatever its size.
const replayLines = 500

func newFeedQueries(schema string) feedQueries {
	in := func(sql string) string {
		return strings.ReplaceAll(sql, "$schema", pgx.Identifier{schema}.Sanitize())
	}
	return feedQueries{
		// The setting applies to this statement only: the JSON names what is around the activity in the tree, within the scope.
		snapshot: in(`
			select $schema._activity_json(a, false)::text, a.id, a.last_seq, a.status::text, $schema._state_json(a)::text,
				a.parent_agent_id is not null or exists (select from $schema.activity c where c.parent_agent_id = a.agent_id)
			from set_config('agentexec.scope', coalesce($2::text, current_setting('agentexec.scope', true), ''), true) c(scope)
			cross join lateral $schema._scope_of(c.scope) s
			cross join $schema.activity a
			where a.agent_id = $1::uuid
			  and $schema._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata)`),

		// The activity's state, and the lines after $2: at most $3 of them, or $4 bytes, and at least one.
		replay: in(`
			select a.id, a.last_seq, a.status::text, $schema._state_json(a)::text, l.seq, l.line
			from $schema._scope_of(coalesce($5::text, current_setting('agentexec.scope', true))) s
			cross join $schema.activity a
			left join lateral $schema._lines_page(a.id, $2::int, $3::int, $4::int) l on true
			where a.agent_id = $1::uuid
			  and $schema._in_scope(s.agent_ids, s.agent_types, s.metadata, a.agent_id, a.agent_type, a.metadata)
			order by l.seq`),

		// The setting applies to this statement only, and is made before its row is made.
		list: in(`
			select $schema._list_text(page => 1, page_size => $1::int, statuses => $2::text[]::$schema.status[], agent_type => $3::text,
				metadata_filter => $4::text::jsonb, after => $schema._list_start(), stale => $6::boolean, include_metadata => $7::boolean,
				sort => coalesce($8::text, 'created'), "order" => coalesce($9::text, 'desc'),
				since => coalesce($10::timestamptz, statement_timestamp() - $11::interval),
				until => coalesce($12::timestamptz, statement_timestamp() - $13::interval),
				id_prefix => null, parent_agent_id => $14::uuid, root_agent_id => $15::uuid, roots_only => $16::boolean, waiting => $17::boolean,
				stopping => $18::boolean, held => $19::uuid[])
			from set_config('agentexec.scope', coalesce($5::text, current_setting('agentexec.scope', true), ''), true)`),

		counts: in(`
			select $schema.count_by_status(agent_type => $1::text, metadata_filter => $2::text::jsonb,
				since => coalesce($4::timestamptz, statement_timestamp() - $5::interval),
				until => coalesce($6::timestamptz, statement_timestamp() - $7::interval),
				parent_agent_id => $8::uuid, root_agent_id => $9::uuid, roots_only => $10::boolean, waiting => $11::boolean,
				stopping => $12::boolean)::text
			from set_config('agentexec.scope', coalesce($3::text, current_setting('agentexec.scope', true), ''), true)`),
	}
}
