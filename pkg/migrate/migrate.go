// Package migrate installs and upgrades agentexec's schema: numbered migrations (history, in the table schema_version as in
// tern), then functions and triggers (code, re-applied whole), all under one advisory lock. It imports only sql.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options choose what is installed. The zero value installs schema agentexec.
type Options struct {
	// Schema is the name of the schema: a lower-case identifier, letters, digits and underscores, at most 63 bytes,
	// not beginning with a digit. Empty means "agentexec".
	Schema string
	// Roles creates the roles agentexec_worker, agentexec_reader and agentexec_sidecar where the cluster has none of that
	// name. It grants them the rights that their work needs in this schema. Creating a role needs CREATEROLE. Later calls of
	// Up grant them new rights, without Roles. Default false: roles and grants stay as they are.
	Roles bool
	// RowSecurity puts the tables and the view under row-level security by the setting agentexec.scope, for every role but
	// their owner. Default false: existing row-level security stays on.
	RowSecurity bool
	// LockTimeout bounds how long Up waits, in all, for locks that other sessions hold. 0 means one minute.
	LockTimeout time.Duration
	// Done, where it is not nil, receives the steps of Up, a line at a time.
	Done func(line string)
	// Waiting, where it is not nil, receives the locks that Up waits for, once Up has waited for about a second. It is called
	// from a goroutine of its own that ends before Up returns.
	Waiting func(line string)
}

// State is the relation of an installed schema to this program.
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
	// Renamed is the name that the schema had when its functions were applied, where it has another one now: the functions
	// still use the old name. Empty otherwise.
	Renamed string
	// Warnings are faults that do not show in the version, such as rights or row-level security, each with its remedy.
	Warnings []string

	movedTo string   // where the schema is missing: its new name
	tooOpen []string // functions that PUBLIC may execute and should not
}

// Usable reports whether this program can work with the schema: it knows the version of the tables, and the functions work,
// whether they are its own or not.
func (s Status) Usable() bool {
	return s.State != Missing && s.Version == s.Known && s.Renamed == ""
}

// String describes the state and, where something is to be done, the next step.
func (s Status) String() string {
	switch {
	case s.movedTo != "":
		return fmt.Sprintf("the schema was renamed to %s; run: agentexec migrate --schema %[1]s", s.movedTo)
	case s.State == Missing:
		return "the schema is not installed; run: agentexec migrate"
	case s.State == Newer && s.Version == s.Known:
		return "the functions in the schema are newer than this program's; install a newer agentexec"
	case s.State == Newer:
		return fmt.Sprintf("the schema is at version %d, newer than version %d which this program knows; install a newer agentexec", s.Version, s.Known)
	case s.Renamed != "":
		return fmt.Sprintf("the schema was called %s, and its functions still name that; run: agentexec migrate", s.Renamed)
	case s.State == Older:
		return fmt.Sprintf("the schema is at version %d and this program needs version %d with its own functions; run: agentexec migrate", s.Version, s.Known)
	default:
		return fmt.Sprintf("the schema is current (version %d)", s.Version)
	}
}

var (
	// ErrNewer is returned by Up when the installed schema is newer than this program.
	ErrNewer = errors.New("the schema is newer than this program; install a newer agentexec")
	// ErrRenamed is returned by Up when no schema has the name, and ours exists under another one.
	ErrRenamed = errors.New("the schema was renamed")
)

// advisoryLock serialises installers of any schema in one database.
const advisoryLock = 7091823441950217

// Up brings the schema to this program's version and applies its functions, triggers and the rights to them. It is safe to
// call from many processes at once, and only reads when everything is current. Where a right was lost or an unsafe one was
// granted, it applies the rights again, whatever the version. It applies Roles and RowSecurity on every request.
//
// The connection must not be in a transaction nor come through a transaction-mode pooler: the lock is the session's. Its
// search_path does not matter: Up pins it, and restores it. Up may open a second connection with the same settings, to look
// up the sessions that it waits for.
//
// Returns ErrNewer where the schema belongs to a newer program, ErrEncoding where the database is not UTF8, ErrOwner where
// another role owns the schema, ErrRenamed where the schema has another name now, and ErrLocked when a lock was not free
// within LockTimeout. Nothing is changed then, except by migrations that were applied before a lock was not free in time.
func Up(ctx context.Context, conn *pgx.Conn, opts *Options) error {
	s, err := load(opts)
	if err != nil {
		return err
	}
	return pinned(ctx, conn, func() error { return s.up(ctx, conn, opts) })
}

// pinned calls do while the search_path of the session is pg_catalog, so that its statements use nothing that another role
// has created. Then it restores the search_path.
func pinned(ctx context.Context, conn *pgx.Conn, do func() error) error {
	var before string
	if err := conn.QueryRow(ctx, "select pg_catalog.current_setting('search_path')").Scan(&before); err != nil {
		return fmt.Errorf("reading the search_path: %w", err)
	}
	if _, err := conn.Exec(ctx, "set search_path = pg_catalog, pg_temp"); err != nil {
		return fmt.Errorf("setting the search_path: %w", err)
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "select pg_catalog.set_config('search_path', $1, false)", before)
	}()
	return do()
}

func (s *schema) up(ctx context.Context, conn *pgx.Conn, opts *Options) error {
	options := s.options(opts)
	u := newUpgrade(s, conn, opts)
	f, err := s.look(ctx, conn)
	if err != nil {
		return err
	}
	if f.whole() && len(options) == 0 {
		u.done(f.String())
		return nil
	}
	defer u.watchLocks(ctx)()

	unlock, err := u.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if f, err = s.look(ctx, conn); err != nil {
		return err
	}
	if err := u.apply(ctx, &f); err != nil {
		return err
	}
	return u.applyOptions(ctx, options, opts)
}
