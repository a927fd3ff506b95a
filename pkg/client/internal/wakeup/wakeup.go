// Package wakeup tells Client.Watch that lines were written: it LISTENs, holds the wake-up lock while writers are to notify (lease),
// and falls back to a timer. It has an implementation for a pool, for one connection, and for polling (New). It reads no line.
//
// May import: internal/notify, internal/backoff, pkg/client/internal/poolconn, pgx.
package wakeup

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
)

const (
	// statementTimeout bounds one statement, so that a silently dead connection is detected.
	statementTimeout = 30 * time.Second
	// cleanUp bounds the statements that free what is held.
	cleanUp = 5 * time.Second
)

// Wakeups tells Watch that lines were written, anywhere in the schema. A wake-up carries no data and may be lost: Watch reads
// the table after each wake-up and, more rarely, without one. See lease for when writers notify.
//
// While Watch yields lines, no connection may LISTEN unread: the socket would fill up, and the server process behind it would
// hold a snapshot. So either a goroutine of its own reads the connection (pooled), or the connection stops to LISTEN before
// the yield (single).
type Wakeups interface {
	// Wait returns when a wake-up has arrived since the last Wait, or after d.
	Wait(ctx context.Context, d time.Duration) error
	// Suspend is called before lines are yielded.
	Suspend(ctx context.Context)
	// Bound returns the context for one statement.
	Bound(ctx context.Context) (context.Context, context.CancelFunc)
	// Broken reports whether the database cannot be reached any more.
	Broken() bool
	// Close frees everything, also when ctx has ended.
	Close()
}

// New returns the wake-ups that fit db, none for a transaction, which cannot follow what others commit. The name of the schema
// is given quoted. With pollOnly, and for a db of an unknown type, there are no wake-ups, and Wait is a timer.
func New(ctx context.Context, db any, schema string, pollOnly bool) (wakeups Wakeups, ok bool) {
	switch db := db.(type) {
	case pgx.Tx:
		return nil, false
	case *pgxpool.Pool:
		if !pollOnly {
			return newPooled(ctx, db, schema), true
		}
	case interface{ Conn() *pgx.Conn }: // *pgxpool.Conn
		return newSingle(db.Conn(), schema, pollOnly)
	case *pgx.Conn:
		return newSingle(db, schema, pollOnly)
	}
	return polling{}, true
}

// polling has no wake-ups: a timer ends each Wait.
type polling struct{}

// Wait implements Wakeups.
func (polling) Wait(ctx context.Context, d time.Duration) error { return backoff.Wait(ctx, d) }

// Suspend implements Wakeups.
func (polling) Suspend(context.Context) {}

// Broken implements Wakeups.
func (polling) Broken() bool { return false }

// Close implements Wakeups.
func (polling) Close() {}

// Bound implements Wakeups.
func (polling) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, statementTimeout)
}

// awaitWakeup returns when a wake-up arrives on conn. A wake-up carries no payload; a notification that carries one is the
// probe of a sidecar, and is ignored.
func awaitWakeup(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil || notify.IsWakeup(n) {
			return err
		}
	}
}
