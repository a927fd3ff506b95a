package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrOwner is returned by Up when the schema exists, holds objects of others, and belongs to a role that is not trusted:
// that role could drop the schema, and with it all that is tracked.
var ErrOwner = errors.New("the schema belongs to another role")

// claimSchema makes the schema, or makes sure that the one there is belongs to a role that may own it: the current role, one
// that the current role is a member of, a superuser, or the owner of the database. An empty schema of another role is taken
// over where the current role may do that; one with objects of others is theirs, and is refused.
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
