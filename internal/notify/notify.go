// Package notify is the reader's side of wake-ups: the lock that makes writers notify, the channel's messages, and the state of
// the notification queue. The writer's side is _send_wakeup in sql/functions.sql.
//
// pkg/client uses it for Watch and the sidecar for its tail. May import: pgx.
package notify

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// QueueNearFull is the share of the notification queue above which no session may hold the lock. The queue is the whole
// instance's; when it is full, every commit that notifies fails.
const QueueNearFull = 0.5

// lockClass is the first half of the lock's key; the other half is the table's oid.
const lockClass = 1635271269

// DB runs one statement: a connection, or a pooler's.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Lock is the wake-up lock of one schema. Writers notify only while a session holds it. It ends with its session.
type Lock struct{ key string }

// NewLock returns the lock of a schema, whose name is given quoted as in SQL.
func NewLock(schema string) Lock {
	table := strings.ReplaceAll(schema+".activity_log", "'", "''")
	return Lock{key: fmt.Sprintf("(%d, '%s'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)", lockClass, table)}
}

// Take tries to take the lock, without waiting, and reports whether this session has it. A statement that waited for hours would
// hold a snapshot, and vacuum with it.
func (l Lock) Take(ctx context.Context, db DB) (taken bool, err error) {
	err = db.QueryRow(ctx, "select pg_catalog.pg_try_advisory_lock"+l.key).Scan(&taken)
	return taken, err
}

// TakeUnlessNearFull is Take, and does not take the lock while the notification queue is near full.
func (l Lock) TakeUnlessNearFull(ctx context.Context, db DB) (taken bool, err error) {
	err = db.QueryRow(ctx, "select case when "+nearFull+" then false else pg_catalog.pg_try_advisory_lock"+l.key+" end").Scan(&taken)
	return taken, err
}

// Release releases the lock.
func (l Lock) Release(ctx context.Context, db DB) error {
	var had bool
	return db.QueryRow(ctx, "select pg_catalog.pg_advisory_unlock"+l.key).Scan(&had)
}

// nearFull is true while the notification queue is near full.
var nearFull = fmt.Sprintf("pg_catalog.pg_notification_queue_usage() operator(pg_catalog.>) %v::pg_catalog.float8", QueueNearFull)

// NearFull reports whether the notification queue is near full.
func NearFull(ctx context.Context, db DB) (yes bool, err error) {
	err = db.QueryRow(ctx, "select "+nearFull).Scan(&yes)
	return yes, err
}

// Probe sends a notification with a payload to the channel, and returns the share of the queue that is in use, 0 to 1. The
// share is -1 where it is not known, and known also where the queue has no room for the probe.
func Probe(ctx context.Context, db DB, channel, payload string) (usage float64, err error) {
	usage = -1
	err = db.QueryRow(ctx, "select pg_catalog.pg_notification_queue_usage() from pg_catalog.pg_notify($1::text, $2::text)", channel, payload).
		Scan(&usage)
	return usage, err
}

// IsWakeup reports whether a notification is a wake-up. A probe carries a payload, and only its sender handles it.
func IsWakeup(n *pgconn.Notification) bool { return n.Payload == "" }

// Signal is a wake-up that waits to be answered: one read answers any number of notifications.
type Signal chan struct{}

// NewSignal returns a signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set sets the signal. It never waits.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default:
	}
}
