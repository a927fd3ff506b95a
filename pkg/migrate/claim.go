package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrOwner is returned by Up when the schema exists, holds objects of others, and belongs to a role that is not trusted: that
// role could drop the schema, with all activities.
var ErrOwner = errors.New("the schema belongs to another role")

// ErrForeign is returned by Up when an object that it would replace belongs to a role that is not trusted.
var ErrForeign = errors.New("an object of the schema belongs to another role")

// refuseForeign checks that no function, table, view or type of ours exists already under an owner that may not own the
// schema. "create or replace" would leave it to that role, which could then change code that runs with the installer's
// rights. Once the schema is installed, the owner of its tables is trusted too.
func (u *upgrade) refuseForeign(ctx context.Context, installed bool) error {
	var object, owner string
	err := u.conn.QueryRow(ctx, `
		select o.name, r.rolname
		from (
		  select p.oid::pg_catalog.regprocedure::text as name, p.proowner as owner
		  from pg_catalog.unnest($2::text[]) f(signature)
		  cross join lateral (
		    -- Postgres up to 15 raises an error where a type of the signature does not exist; then the function does not either.
		    select case when not exists (
		                  select from pg_catalog.unnest('{activity,activity_log,status,question,question_state}'::text[]) t(name)
		                  where pg_catalog.strpos(f.signature, '.' || t.name) > 0 and pg_catalog.to_regtype($4 || '.' || t.name) is null)
		           then pg_catalog.to_regprocedure(f.signature) end as oid) found
		  join pg_catalog.pg_proc p on p.oid = found.oid
		  union all
		  select t.oid::pg_catalog.regtype::text, t.typowner
		  from pg_catalog.pg_type t
		  join pg_catalog.pg_namespace n on n.oid = t.typnamespace and n.nspname = $1
		  where t.typname in ('status', 'question_state', 'append_result', 'heartbeat_result')
		  union all
		  select c.oid::pg_catalog.regclass::text, c.relowner
		  from pg_catalog.pg_class c
		  join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = $1
		  where c.relname in ('activity', 'activity_log', 'activity_list', 'activity_heartbeat', 'question', 'retention',
		                    'installation', 'schema_version', 'owner_probe')
		) o
		join pg_catalog.pg_roles r on r.oid = o.owner
		join pg_catalog.pg_namespace n on n.nspname = $1
		join pg_catalog.pg_roles me on me.rolname = current_user
		where not (r.rolsuper or r.oid = me.oid or r.oid = n.nspowner
		       or ($3 and r.oid = (select c.relowner from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'activity'))
		       or r.oid = (select d.datdba from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
		       or (not me.rolsuper and pg_catalog.pg_has_role(r.oid, 'usage')))
		limit 1`, u.name, u.signatures, installed, u.quoted).Scan(&object, &owner)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("looking for objects of other roles in schema %s: %w", u.name, err)
	}
	return fmt.Errorf("schema %s: %w: %s is owned by %s; drop it, or give it to the owner of the schema", u.name, ErrForeign, object, owner)
}

// claimSchema creates the schema, or checks that the existing one belongs to a role that may own it: the current role, one
// that the current role is a member of, a superuser, or the owner of the database. It takes over an empty schema of another
// role where the current role may do that. It rejects a schema with objects of others.
func (u *upgrade) claimSchema(ctx context.Context) error {
	var owner, me string
	var trusted, super, empty bool
	err := u.conn.QueryRow(ctx, `
		select n.nspowner::pg_catalog.regrole::text, current_user::pg_catalog.regrole::text, me.rolsuper,
		       o.rolsuper or o.rolname = 'pg_database_owner'
		       or o.oid = (select d.datdba from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
		       or (not me.rolsuper and pg_catalog.pg_has_role(o.oid, 'usage')) or o.oid = me.oid,
		       not exists (select from pg_catalog.pg_depend d
		                   where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.refobjid = n.oid)
		from pg_catalog.pg_namespace n
		join pg_catalog.pg_roles o on o.oid = n.nspowner
		join pg_catalog.pg_roles me on me.rolname = current_user
		where n.nspname = $1`, u.name).Scan(&owner, &me, &super, &trusted, &empty)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		if _, err := u.conn.Exec(ctx, u.createSchema()); err != nil {
			return fmt.Errorf("creating schema %s: %w", u.name, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("looking for schema %s: %w", u.name, err)
	case trusted:
		return nil
	case !super || !empty:
		return fmt.Errorf("schema %s: %w: %s owns it and could drop it; run agentexec migrate as that role, or first: alter schema %s owner to %s",
			u.name, ErrOwner, owner, u.quoted, me)
	}
	if err := u.inTurns(ctx, fmt.Sprintf("alter schema %s owner to %s; revoke all on schema %[1]s from %[3]s;", u.quoted, me, owner)); err != nil {
		return fmt.Errorf("taking schema %s over from %s: %w", u.name, owner, err)
	}
	u.done(fmt.Sprintf("took the empty schema over from role %s, which owned it", owner))
	return nil
}
