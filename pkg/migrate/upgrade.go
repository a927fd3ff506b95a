package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// upgrade is one run of Up.
type upgrade struct {
	*schema
	conn     *pgx.Conn
	done     func(line string)
	waiting  func(line string)
	limit    time.Duration
	deadline time.Time
	blockers blockers
}

func newUpgrade(s *schema, conn *pgx.Conn, opts *Options) *upgrade {
	u := &upgrade{schema: s, conn: conn, done: func(string) {}, waiting: func(string) {}, limit: defaultLockTimeout}
	if opts != nil {
		if opts.Done != nil {
			u.done = opts.Done
		}
		if opts.Waiting != nil {
			u.waiting = opts.Waiting
		}
		if opts.LockTimeout > 0 {
			u.limit = opts.LockTimeout
		}
	}
	u.deadline = time.Now().Add(u.limit)
	return u
}

// apply brings the schema to the state that this program needs, and reports the steps.
func (u *upgrade) apply(ctx context.Context, f *found) error {
	switch {
	case f.State == Newer:
		return fmt.Errorf("schema %s: %s: %w", u.name, f.Status, ErrNewer)
	case f.movedTo != "":
		return fmt.Errorf("schema %s: %w to %s; run: agentexec migrate --schema %[3]s", u.name, ErrRenamed, f.movedTo)
	case f.State == Missing:
		if err := u.claimSchema(ctx); err != nil {
			return err
		}
	case f.rows != 1 && f.Version > 0:
		if err := u.mendVersion(ctx, f.Version); err != nil {
			return err
		}
	}
	if err := u.refuseForeign(ctx, f.State != Missing); err != nil {
		return err
	}
	var err error
	switch {
	case f.State != Current:
		err = u.applyAll(ctx, f)
	case !f.rights:
		err = u.applyRights(ctx)
	}
	if err != nil {
		return err
	}
	if err := u.renewRoles(ctx, f); err != nil {
		return err
	}
	switch {
	case f.State == Missing:
		u.done(fmt.Sprintf("installed, version %d", f.Known))
	case f.Version < f.Known:
		u.done(fmt.Sprintf("upgraded from %d to %d", f.Version, f.Known))
	case f.State != Current:
		u.done(fmt.Sprintf("the functions were replaced by this program's (version %d)", f.Known))
	default:
		u.done(f.String())
	}
	return nil
}

// applyAll applies the missing migrations and the code in one transaction, so that no caller meets new tables with old
// functions, and a failure leaves the schema as it was.
func (u *upgrade) applyAll(ctx context.Context, f *found) error {
	err := u.withLockTurns(ctx, func() error {
		missing, err := u.missingMigrations(ctx)
		if err != nil {
			return err
		}
		return u.together(ctx, append(missing, u.code(f.roles)...)...)
	})
	if err != nil {
		return fmt.Errorf("migrating schema %s: %w", u.name, err)
	}
	return nil
}

// applyRights revokes and grants PUBLIC's rights to execute, and checks the result, because Postgres only warns where the
// role is not the owner.
func (u *upgrade) applyRights(ctx context.Context) error {
	if err := u.inTurns(ctx, u.rights); err != nil {
		return fmt.Errorf("applying the rights to schema %s: %w", u.name, err)
	}
	tooOpen, tooClosed, err := u.wrongRights(ctx, u.conn)
	if err == nil && len(tooOpen)+len(tooClosed) > 0 {
		err = fmt.Errorf("the rights to %s could not be changed: run agentexec migrate as the owner of the schema",
			strings.Join(append(tooOpen, tooClosed...), ", "))
	}
	if err == nil {
		u.done("restored who may execute the functions")
	}
	return err
}

// renewRoles grants the roles their lost rights again, and new ones. It does not create missing roles: Roles does that on
// request.
func (u *upgrade) renewRoles(ctx context.Context, f *found) error {
	if !f.roles {
		return nil
	}
	lost, missing, err := u.lostRoles(ctx, u.conn)
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		u.done(fmt.Sprintf("this cluster has no role %s; run: agentexec migrate --roles", strings.Join(missing, ", ")))
		return nil
	case !lost:
		return nil
	}
	if err := u.inTurns(ctx, u.roles); err != nil {
		return fmt.Errorf("granting the roles their rights to schema %s: %w", u.name, err)
	}
	u.done("restored the rights of the roles")
	return nil
}

// mendVersion leaves one row in schema_version: a dump without data has none, and a restore of data adds one.
func (u *upgrade) mendVersion(ctx context.Context, version int) error {
	table := u.quoted + ".schema_version"
	err := u.inTurns(ctx, fmt.Sprintf("delete from %[1]s; insert into %[1]s (version) values (%[2]d);", table, version))
	if err != nil {
		return fmt.Errorf("recording the version of schema %s: %w", u.name, err)
	}
	u.done(fmt.Sprintf("recorded version %d, which a restore had left out or doubled", version))
	return nil
}

// missingMigrations returns the SQL of the migrations that the schema lacks, and the SQL that stores the new version.
func (u *upgrade) missingMigrations(ctx context.Context) (code []string, err error) {
	table := u.quoted + ".schema_version"
	var exists bool
	if err := u.conn.QueryRow(ctx, "select pg_catalog.to_regclass($1) is not null", table).Scan(&exists); err != nil {
		return nil, err
	}
	var version int
	if exists {
		if err := u.conn.QueryRow(ctx, "select coalesce(pg_catalog.max(v.version), 0) from "+table+" v").Scan(&version); err != nil {
			return nil, err
		}
	}
	for _, m := range u.migrations[version:] {
		code = append(code, m.sql)
	}
	return append(code, fmt.Sprintf(`create table if not exists %[1]s (version int4 not null);
		insert into %[1]s (version) select 0 where not exists (select from %[1]s);
		update %[1]s set version = %d`, table, len(u.migrations))), nil
}

// applyOptions applies the requested options, and reports the roles that it created.
func (u *upgrade) applyOptions(ctx context.Context, options []string, opts *Options) error {
	if len(options) == 0 {
		return nil
	}
	_, missing, err := u.lostRoles(ctx, u.conn)
	if err != nil {
		return err
	}
	if err := u.inTurns(ctx, options...); err != nil {
		return fmt.Errorf("applying roles and row security to schema %s: %w", u.name, err)
	}
	switch {
	case opts.Roles && len(missing) > 0:
		u.done("roles made: " + strings.Join(missing, ", "))
	case opts.Roles:
		u.done("the roles were there; their rights are granted")
	}
	if opts.RowSecurity {
		u.done("row security made: activity and activity_log obey agentexec.scope")
	}
	return nil
}

// inTurns runs SQL in one transaction, which waits for locks in short turns.
func (u *upgrade) inTurns(ctx context.Context, code ...string) error {
	return u.withLockTurns(ctx, func() error { return u.together(ctx, code...) })
}

// together runs SQL in one transaction, which waits for each lock for one turn.
func (u *upgrade) together(ctx context.Context, code ...string) error {
	return pgx.BeginFunc(ctx, u.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockLimit()+pinnedPath); err != nil {
			return err
		}
		for _, part := range code {
			if _, err := tx.Exec(ctx, part); err != nil {
				return withHint(err)
			}
		}
		return nil
	})
}

// withHint adds the hint of Postgres: where a function is in the way, only the hint names it.
func withHint(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Hint != "" {
		return fmt.Errorf("%w; %s", err, pgErr.Hint)
	}
	return err
}
