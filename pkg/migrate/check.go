package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/sql"
)

// ErrEncoding is returned by Up and Check in a database whose encoding is not UTF8.
var ErrEncoding = errors.New("agentexec needs a database with encoding UTF8")

// found is the state of a schema in a database.
type found struct {
	Status
	rows    int64    // in schema_version; it is one, unless a restore changed that
	rights  bool     // whether PUBLIC has the rights it should have
	roles   bool     // whether the roles were granted their rights
	lost    bool     // whether a role has lost one of them
	missing []string // roles that do not exist in this cluster
}

// whole reports whether there is nothing to do.
func (f *found) whole() bool {
	return f.State == Current && f.rows == 1 && f.rights && !f.lost
}

// Check compares the installed schema with this program and changes nothing. It returns ErrEncoding where the encoding of the
// database is not UTF8. It works in a transaction of its own, so that it uses no operator or function of another schema, also
// behind a pooler that does not keep session settings.
func Check(ctx context.Context, conn *pgx.Conn, opts *Options) (Status, error) {
	s, err := load(opts)
	if err != nil {
		return Status{}, err
	}
	// In one message, so that no timeout of the session can end the transaction between the statements.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: "begin; set local idle_in_transaction_session_timeout = 0; " + pinnedPath})
	if err != nil {
		return Status{}, s.reading(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	f, err := s.look(ctx, conn)
	if err != nil {
		return f.Status, err
	}
	if f.State != Missing {
		if f.Warnings, err = s.warnings(ctx, conn, &f); err != nil {
			return f.Status, fmt.Errorf("looking at schema %s: %w", s.name, err)
		}
	}
	return f.Status, nil
}

// look reads the state of the schema.
func (s *schema) look(ctx context.Context, conn *pgx.Conn) (found, error) {
	f := found{Status: Status{Known: len(s.migrations)}, rows: 1, rights: true}
	var encoding, database string
	var table, readable, activity, function, first bool
	err := conn.QueryRow(ctx, `
		select pg_catalog.getdatabaseencoding(), pg_catalog.current_database(),
		       t.version is not null, coalesce(pg_catalog.has_table_privilege(t.version, 'select'), false),
		       t.activity is not null, t.installed is not null, t.installation is not null
		from (select pg_catalog.to_regclass($1 || '.schema_version') as version, pg_catalog.to_regclass($1 || '.activity') as activity,
		             pg_catalog.to_regclass($1 || '.installation') as installation,
		             pg_catalog.to_regprocedure($1 || '._installed()') as installed) t`, s.quoted).
		Scan(&encoding, &database, &table, &readable, &activity, &function, &first)
	switch {
	case err != nil:
		return f, s.reading(err)
	case encoding != "UTF8":
		return f, fmt.Errorf("database %s has encoding %s: %w; make one with: create database NAME encoding 'UTF8' template template0",
			database, encoding, ErrEncoding)
	case !table && !function:
		f.movedTo, err = s.renamed(ctx, conn)
		return f, err
	}

	var code, name string
	var release int
	if function {
		err = conn.QueryRow(ctx, fmt.Sprintf("select i.version, i.release, i.code, i.schema, i.roles from %s._installed() i", s.quoted)).
			Scan(&f.Version, &release, &code, &name, &f.roles)
		if err != nil {
			return f, s.reading(err)
		}
	} else if first && activity {
		f.Version = 1 // the first version, which had no _installed
	}
	if readable || !function { // the function is enough for a role that may not read the table
		var version *int
		err = conn.QueryRow(ctx, fmt.Sprintf("select pg_catalog.count(*), pg_catalog.max(v.version) from %s.schema_version v", s.quoted)).
			Scan(&f.rows, &version)
		if err != nil {
			return f, s.reading(err)
		}
		if version != nil {
			f.Version = *version
		}
	}
	switch {
	case f.Version > f.Known, release > sql.Release:
		f.State = Newer
		return f, nil
	case f.Version < f.Known || code != s.fingerprint():
		f.State = Older
	default:
		f.State = Current
	}
	if function && name != s.name {
		f.Renamed = name
	}
	if f.Version < f.Known {
		return f, nil // the functions may name types that do not exist yet
	}
	return f, s.reading(s.lookAtRights(ctx, conn, &f))
}

func (s *schema) lookAtRights(ctx context.Context, conn *pgx.Conn, f *found) error {
	tooOpen, tooClosed, err := s.wrongRights(ctx, conn)
	f.rights, f.tooOpen = len(tooOpen)+len(tooClosed) == 0, tooOpen
	if err == nil && f.roles && f.State == Current {
		f.lost, f.missing, err = s.lostRoles(ctx, conn)
	}
	return err
}

func (s *schema) reading(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading the version of schema %s: %w", s.name, err)
}

// renamed returns the new name of our schema if it was renamed after its installation, empty otherwise.
func (s *schema) renamed(ctx context.Context, conn *pgx.Conn) (string, error) {
	rows, err := conn.Query(ctx, `
		select n.nspname::text
		from pg_catalog.pg_proc p
		join pg_catalog.pg_namespace n on n.oid = p.pronamespace
		join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'activity_log'
		where p.proname = '_installed' and p.pronargs = 0 and n.nspname <> $1
		  and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_function_privilege(p.oid, 'execute')
		order by 1`, s.name)
	if err != nil {
		return "", s.reading(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", s.reading(err)
	}
	for _, name := range names {
		var was string
		err := conn.QueryRow(ctx, fmt.Sprintf("select i.schema from %s._installed() i", pgx.Identifier{name}.Sanitize())).Scan(&was)
		if err == nil && was == s.name {
			return name, nil
		}
	}
	return "", nil
}

// warnings returns faults that may exist although the version is right.
func (s *schema) warnings(ctx context.Context, conn *pgx.Conn, f *found) (warnings []string, err error) {
	if len(f.tooOpen) > 0 {
		name := func(signature string) string {
			_, after, _ := strings.Cut(signature[:strings.Index(signature, "(")], ".")
			return after
		}
		warnings = append(warnings, fmt.Sprintf("every role that has USAGE of schema %s may execute %d functions that need a grant, %s among them; run: agentexec migrate",
			s.name, len(f.tooOpen), name(f.tooOpen[0])))
	}
	if f.lost {
		warnings = append(warnings, "a role of migrate --roles has lost rights; run: agentexec migrate")
	}
	if len(f.missing) > 0 {
		warnings = append(warnings, fmt.Sprintf("this cluster has no role %s; run: agentexec migrate --roles", strings.Join(f.missing, ", ")))
	}
	if f.rows > 1 {
		warnings = append(warnings, fmt.Sprintf("%s.schema_version has %d rows; run: agentexec migrate", s.name, f.rows))
	}
	others, err := s.catalogWarnings(ctx, conn)
	return append(warnings, others...), err
}

// catalogWarnings looks for an owner who can drop the schema, for roles that may create objects in it, and for row-level
// security that hides rows from every role.
func (s *schema) catalogWarnings(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		with ours as (
		  select c.oid, c.relname, c.relowner, c.relrowsecurity, c.relforcerowsecurity, n.oid as schema, n.nspowner, n.nspname
		  from pg_catalog.pg_class c
		  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		  where n.nspname = $1 and c.relkind = 'r'
		    and c.relname in ('activity', 'activity_log', 'schema_version')
		)
		select pg_catalog.format('row-level security is forced on %s.%s, so that it hides rows from the owner''s functions too; run: alter table %1$s.%2$s no force row level security',
		                         o.nspname, o.relname)
		from ours o
		where o.relrowsecurity and o.relforcerowsecurity
		union all
		select pg_catalog.format('row-level security is on for %s.%s and no policy lets a row through, so that every role but the owner sees none; run: '
		                         || case when o.relname = 'schema_version' then 'alter table %1$s.%2$s disable row level security'
		                            else 'agentexec migrate --row-security, or: alter table %1$s.%2$s disable row level security' end,
		                         o.nspname, o.relname)
		from ours o
		where o.relrowsecurity
		  and not exists (select from pg_catalog.pg_policy p where p.polrelid = o.oid and p.polpermissive and p.polcmd in ('r', '*'))
		union all
		select pg_catalog.format('row-level security is on for %s.%s and no policy lets role %s see a row', o.nspname, o.relname, current_user)
		from ours o
		where o.relrowsecurity and pg_catalog.row_security_active(o.oid)
		  and exists (select from pg_catalog.pg_policy p where p.polrelid = o.oid and p.polpermissive and p.polcmd in ('r', '*'))
		  and not exists (
		    select from pg_catalog.pg_policy p
		    cross join lateral unnest(p.polroles) r(role)
		    where p.polrelid = o.oid and p.polpermissive and p.polcmd in ('r', '*') and (r.role = 0 or pg_catalog.pg_has_role(r.role, 'usage')))
		union all
		select pg_catalog.format('schema %s belongs to role %s, which can drop it; run: alter schema %1$s owner to %s',
		                         o.nspname, o.nspowner::pg_catalog.regrole, o.relowner::pg_catalog.regrole)
		from ours o
		join pg_catalog.pg_roles r on r.oid = o.nspowner
		where o.relname = 'activity' and o.nspowner <> o.relowner and not r.rolsuper
		  and r.rolname <> 'pg_database_owner' and not pg_catalog.pg_has_role(o.nspowner, o.relowner, 'usage')
		  and o.nspowner <> (select d.datdba from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
		union all
		select pg_catalog.format('%s may create functions in schema %s, which other roles would then run; run: revoke create on schema %2$s from %s',
		                         case when x.grantee = 0 then 'every role' else 'role ' || x.grantee::pg_catalog.regrole end, o.nspname,
		                         case when x.grantee = 0 then 'public' else x.grantee::pg_catalog.regrole::text end)
		from ours o
		join pg_catalog.pg_namespace n on n.oid = o.schema
		cross join lateral pg_catalog.aclexplode(n.nspacl) x
		left join pg_catalog.pg_roles r on r.oid = x.grantee
		where o.relname = 'activity' and x.privilege_type = 'CREATE' and x.grantee not in (o.nspowner, o.relowner)
		  and r.rolsuper is not true
		  and x.grantee <> (select d.datdba from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
		order by 1`, s.name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
