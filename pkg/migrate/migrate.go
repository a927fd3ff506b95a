// Package migrate installs and upgrades agentexec's schema: numbered migrations (history, through tern), then
// functions and triggers (code, re-applied whole), all under one advisory lock. It imports only sql.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/tern/v2/migrate"

	"github.com/agentexec/agentexec/sql"
)

// Options choose what is installed. The zero value installs schema agentexec.
type Options struct {
	// Schema is the name of the schema: a lower-case identifier, letters, digits and underscores, at most 63 bytes,
	// not beginning with a digit. Empty means "agentexec".
	Schema string
	// Roles makes the roles agentexec_worker, agentexec_reader and agentexec_sidecar, where the cluster has none of that
	// name, and grants them what their work needs of this schema. It takes EXECUTE of all functions from PUBLIC. Making a
	// role needs CREATEROLE. Default false: roles and grants stay as they are.
	Roles bool
	// RowSecurity puts the tables and the view under row-level security by the setting agentexec.scope, for everybody but
	// their owner. Default false: what was switched on stays on.
	RowSecurity bool
}

// State is how an installed schema compares with this program.
type State int

const (
	// Missing means that the schema has not been installed.
	Missing State = iota
	// Older means that migrations or newer functions of this program are still to be applied.
	Older
	// Current means that there is nothing to do.
	Current
	// Newer means that the schema was installed by a newer program.
	Newer
)

// Status is the outcome of Check.
type Status struct {
	State State
	// Version is the number of the last applied migration, 0 where the schema is missing.
	Version int
	// Known is the number of the last migration this program has.
	Known int
}

// String says the state in words and, where something is to be done, what.
func (s Status) String() string {
	switch s.State {
	case Missing:
		return "the schema is not installed; run: agentexec migrate"
	case Older:
		return fmt.Sprintf("the schema is at version %d and this program needs version %d with its own functions; run: agentexec migrate", s.Version, s.Known)
	case Newer:
		if s.Version == s.Known {
			return "the functions in the schema are newer than this program's; install a newer agentexec"
		}
		return fmt.Sprintf("the schema is at version %d, newer than version %d which this program knows; install a newer agentexec", s.Version, s.Known)
	default:
		return fmt.Sprintf("the schema is current (version %d)", s.Version)
	}
}

// ErrNewer is returned by Up when the installed schema is newer than this program.
var ErrNewer = errors.New("the schema is newer than this program; install a newer agentexec")

// advisoryLock serialises installers of any schema in one database. Any number that nobody else uses will do; it is
// not tern's, which is taken inside.
const advisoryLock = 7091823441950217

// Up brings the schema to this program's version and applies its functions and triggers. It is safe to call from
// many processes at once and does nothing but look when everything is current. Where the schema belongs to a newer
// program it changes nothing and returns ErrNewer. Roles and RowSecurity are applied every time they are asked for; ask for
// them again after an upgrade, whose new functions belong to nobody yet.
//
// The connection must not be in a transaction nor come through a transaction-mode pooler: the lock is the session's.
// Settings made with SET may be back at what the session began with afterwards: a migration ends with RESET ALL.
func Up(ctx context.Context, conn *pgx.Conn, opts *Options) error {
	s, err := load(opts)
	if err != nil {
		return err
	}
	if status, err := s.check(ctx, conn); err != nil || (status.State == Current && s.options == "") {
		return err
	}

	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", advisoryLock); err != nil {
		return fmt.Errorf("taking the migration lock: %w", err)
	}
	defer func() {
		// Also when ctx has ended: the session may live on in a pool.
		_, _ = conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", advisoryLock)
	}()

	status, err := s.check(ctx, conn)
	switch {
	case err != nil:
		return err
	case status.State == Newer:
		return fmt.Errorf("schema %s: %s: %w", s.name, status, ErrNewer)
	case status.State == Current:
		return s.applyOptions(ctx, conn)
	}
	if _, err := conn.Exec(ctx, s.createSchema()); err != nil {
		return fmt.Errorf("creating schema %s: %w", s.name, err)
	}
	if err := s.migrateTables(ctx, conn); err != nil {
		return fmt.Errorf("migrating schema %s: %w", s.name, err)
	}
	if err := s.applyCode(ctx, conn); err != nil {
		return fmt.Errorf("applying the functions to schema %s: %w", s.name, err)
	}
	return s.applyOptions(ctx, conn)
}

// Check compares the installed schema with this program and changes nothing.
func Check(ctx context.Context, conn *pgx.Conn, opts *Options) (Status, error) {
	s, err := load(opts)
	if err != nil {
		return Status{}, err
	}
	return s.check(ctx, conn)
}

func (s *schema) check(ctx context.Context, conn *pgx.Conn) (Status, error) {
	status := Status{Known: len(s.migrations)}
	var release int
	var code string
	err := conn.QueryRow(ctx, fmt.Sprintf(`select v.version, coalesce(i.release, 0), coalesce(i.code, '')
		from %[1]s.schema_version v left join %[1]s.installation i on true`, s.quoted)).Scan(&status.Version, &release, &code)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000"):
		return status, nil // no such table or schema: not, or not yet wholly, installed
	case err != nil:
		return status, fmt.Errorf("reading the version of schema %s: %w", s.name, err)
	case status.Version > status.Known, release > sql.Release:
		status.State = Newer
	case status.Version < status.Known || code != s.fingerprint():
		status.State = Older
	default:
		status.State = Current
	}
	return status, nil
}

func (s *schema) migrateTables(ctx context.Context, conn *pgx.Conn) error {
	m, err := migrate.NewMigrator(ctx, conn, s.quoted+".schema_version")
	if err != nil {
		return err
	}
	for _, mig := range s.migrations {
		m.AppendMigration(mig.name, mig.sql, "")
	}
	return m.Migrate(ctx)
}

// Replacing a trigger waits for whoever writes, and everybody who comes to write then waits behind it. So each wait is
// short, and the next one comes after a pause in which they get through.
const (
	lockTimeout  = 2 * time.Second
	lockPause    = time.Second
	lockAttempts = 15
)

func (s *schema) applyCode(ctx context.Context, conn *pgx.Conn) error {
	return patiently(ctx, conn, s.functions, s.triggers, s.recordCode())
}

func (s *schema) applyOptions(ctx context.Context, conn *pgx.Conn) error {
	if s.options == "" {
		return nil
	}
	if err := patiently(ctx, conn, s.options); err != nil {
		return fmt.Errorf("applying roles and row security to schema %s: %w", s.name, err)
	}
	return nil
}

// patiently runs SQL in a transaction that waits for locks in short turns.
func patiently(ctx context.Context, conn *pgx.Conn, code ...string) error {
	for attempt := 1; ; attempt++ {
		err := try(ctx, conn, code)
		var pgErr *pgconn.PgError
		switch {
		case !errors.As(err, &pgErr) || pgErr.Code != "55P03":
			return err
		case attempt == lockAttempts:
			return fmt.Errorf("%w: a transaction that wrote lines stays open; end it and try again (see pg_stat_activity)", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

func try(ctx context.Context, conn *pgx.Conn, code []string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		limit := fmt.Sprintf("set local lock_timeout = %d;\n", lockTimeout.Milliseconds())
		if _, err := tx.Exec(ctx, limit+pinnedPath); err != nil {
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

// withHint adds what Postgres advises: where a function is in the way, only that names it.
func withHint(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Hint != "" {
		return fmt.Errorf("%w; %s", err, pgErr.Hint)
	}
	return err
}
