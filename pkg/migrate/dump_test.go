package migrate_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// sections are queries whose lines say all there is to know of the schema $1, with an empty search_path so that every
// name is qualified. pg_dump is not on every machine, and says the same thing differently from version to version.
var sections = []struct{ title, query string }{
	{"schema", `select format('%s owner %s acl %s comment %s', n.nspname, n.nspowner::regrole, n.nspacl,
			obj_description(n.oid, 'pg_namespace'))
		from pg_namespace n where n.nspname = $1`},
	// Objects of every kind are listed, so that none can hide from the sections below.
	{"objects", `select format('%s %s', i.type, i.identity)
		from pg_depend d
		join pg_namespace n on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
		cross join pg_identify_object(d.classid, d.objid, 0) i
		where n.nspname = $1`},
	{"enums", `select format('%s %s owner %s acl %s', t.oid::regtype,
			(select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid), t.typowner::regrole, t.typacl)
		from pg_type t join pg_namespace n on n.oid = t.typnamespace where n.nspname = $1 and t.typtype = 'e'`},
	{"relations", `select format('%s kind %s persistence %s owner %s acl %s options %s access %s row security %s %s comment %s', c.oid::regclass,
			c.relkind, c.relpersistence, c.relowner::regrole, c.relacl, c.reloptions, m.amname, c.relrowsecurity, c.relforcerowsecurity,
			obj_description(c.oid, 'pg_class'))
		from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_am m on m.oid = c.relam
		where n.nspname = $1 and c.relkind <> 'i'`},
	{"columns", `select format('%s.%s %s%s default %s storage %s compression "%s" statistics %s options %s identity "%s" generated "%s" acl %s comment %s',
			c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' end,
			coalesce(pg_get_expr(d.adbin, d.adrelid), 'none'), a.attstorage, a.attcompression, nullif(a.attstattarget, -1),
			-- From 15.20 on (and its siblings) a column carries a version of its own there.
			(select array_agg(o) from unnest(a.attoptions) o where o not like 'pg_attver=%%'),
			a.attidentity, a.attgenerated, a.attacl, col_description(c.oid, a.attnum))
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
		where n.nspname = $1 and c.relkind in ('r', 'v', 'm', 'p', 'c') and a.attnum > 0 and not a.attisdropped
		order by c.oid::regclass::text collate "C", a.attnum`},
	// Without NOT NULL, which is a constraint from version 18 on; the columns say it.
	{"constraints", `select format('%s.%s %s validated %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid), k.convalidated)
		from pg_constraint k join pg_namespace n on n.oid = k.connamespace
		where n.nspname = $1 and k.contype <> 'n'`},
	{"indexes", `select format('%s valid %s', pg_get_indexdef(i.indexrelid), i.indisvalid)
		from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1`},
	{"sequences", `select format('%s %s start %s increment %s min %s max %s cache %s cycle %s owned by %s', s.seqrelid::regclass,
			s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
			(select format('%s.%s', d.refobjid::regclass, a.attname) from pg_depend d
				join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
				where d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.deptype = 'a'))
		from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1`},
	// Columns without their table: version 15 names it where there is only one, later ones do not.
	{"views", `select format(e'%s\n%s', c.oid::regclass,
			regexp_replace(pg_get_viewdef(c.oid), '\ma\.', '', 'g'))
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'v'`},
	{"functions", `select format(e'%s owner %s acl %s comment %s', case when p.proname = '_installed' then '_installed' else pg_get_functiondef(p.oid) end, p.proowner::regrole, p.proacl,
			obj_description(p.oid, 'pg_proc'))
		from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1`},
	{"triggers", `select format('%s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
		from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and not t.tgisinternal`},
	// Without the fingerprint of the code, which every comment in it changes: the functions are above.
	{"version", `select query_to_xml(format('select v.version, i.version as installed, i.release, length(i.code) as fingerprint, i.schema = %L as named, i.roles
			from %I.schema_version v cross join %I._installed() i', $1::text, $1::text, $1::text), false, true, '')::text`},
}

// dump says in text all there is to know of a schema, the same for the same schema of any supported version. The
// owner is called OWNER.
func dump(t *testing.T, conn *pgx.Conn, schema string) string {
	t.Helper()
	ctx := context.Background()
	require.Empty(t, one[string](t, conn, "select current_setting('search_path')"))
	var b strings.Builder
	for _, section := range sections {
		b.WriteString("== " + section.title + "\n\n")
		rows, err := conn.Query(ctx, section.query, schema)
		require.NoError(t, err, section.title)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err, section.title)
		if section.title != "columns" { // those have an order; the rest is sorted here, as no database's collation would
			slices.Sort(lines)
		}
		b.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	var owner string
	require.NoError(t, conn.QueryRow(ctx, "select nspowner::regrole::text from pg_namespace where nspname = $1", schema).Scan(&owner))
	return normalise(b.String(), owner)
}

func normalise(dump, owner string) string {
	return strings.NewReplacer(
		"owner "+owner+" ", "owner OWNER ", "'"+owner+"'::name", "'OWNER'::name",
		"{"+owner+"=", "{OWNER=", ","+owner+"=", ",OWNER=", "/"+owner+",", "/OWNER,", "/"+owner+"}", "/OWNER}",
	).Replace(dump)
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err, sql)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err, sql)
	return value
}
