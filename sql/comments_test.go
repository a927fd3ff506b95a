package sql_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every public function, each of its arguments, every table, view, type and column has a comment.
func TestPublicObjectsHaveComments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, all[string](t, b.pool, `
		select p.proname from pg_proc p
		where p.pronamespace = 'agentexec'::regnamespace and not starts_with(p.proname, '_')
			and obj_description(p.oid, 'pg_proc') is null
		union all
		select p.proname || ' ' || a.name
		from pg_proc p cross join unnest(p.proargnames) a(name)
		where p.pronamespace = 'agentexec'::regnamespace and not starts_with(p.proname, '_')
			and strpos(obj_description(p.oid, 'pg_proc'), e'\n' || a.name || ': ') = 0
		union all
		select c.relname from pg_class c
		where c.relnamespace = 'agentexec'::regnamespace and c.relname <> 'schema_version' and c.relkind in ('r', 'v', 'p')
			and obj_description(c.oid, 'pg_class') is null
		union all
		select t.typname from pg_type t
		where t.typnamespace = 'agentexec'::regnamespace and t.typtype in ('e', 'd') and obj_description(t.oid, 'pg_type') is null
		union all
		select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = 'agentexec'::regnamespace and c.relname in ('activity', 'activity_log', 'activity_list')
			and a.attnum > 0 and not a.attisdropped and col_description(c.oid, a.attnum) is null`))
}
