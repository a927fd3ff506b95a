package client

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// bellLock is the first half of the key of the lock that the trigger probes; the other is the table's oid. See _ring
	// in sql/triggers.sql.
	bellLock = 1635271269
	// tryAgain is how long to wait for the next try while somebody else holds the lock.
	tryAgain = time.Second
	// maxRings is how many rings a second are worth it. Ringing costs every writer of the instance at its commit.
	maxRings = 100
	// minRest and maxRest bound the growing time without the bell after there were too many.
	minRest, maxRest = time.Second, 30 * time.Second
)

// hook makes the writers ring. They do so only while a session holds an advisory lock; everybody who listens hears it,
// so one holder (a sidecar, or another Watch) is enough, and losing the race for the lock loses nothing. Under load it
// lets go of the lock, and Watch polls.
//
// A writer that looked just before the lock was taken commits without a ring; the poll finds its line.
type hook struct {
	conn  *pgx.Conn
	table string // quoted, with its schema
	held  bool
	next  time.Time // there is no try before then
	rings int       // since
	since time.Time
	rest  delay
}

func newHook(conn *pgx.Conn, schema string) *hook {
	return &hook{conn: conn, table: schema + ".activity_log", rest: delay{min: minRest, max: maxRest}}
}

// take tries to get the lock, when it is time to, and reports whether it has just got it.
func (h *hook) take(ctx context.Context) (taken bool, err error) {
	if h.held || time.Now().Before(h.next) {
		return false, nil
	}
	if err := h.ask(ctx, "pg_try_advisory_lock", &h.held); err != nil || h.held {
		return h.held, err
	}
	h.next = time.Now().Add(tryAgain)
	return false, nil
}

// release lets go of the lock.
func (h *hook) release(ctx context.Context) error {
	if !h.held {
		return nil
	}
	h.held = false
	var was bool
	return h.ask(ctx, "pg_advisory_unlock", &was)
}

// rang counts a ring, and lets go of the lock when there are too many.
func (h *hook) rang(ctx context.Context) error {
	if !h.held {
		return nil
	}
	now := time.Now()
	if now.Sub(h.since) > time.Second {
		if h.rings < maxRings/2 {
			h.rest.reset()
		}
		h.rings, h.since = 0, now
	}
	if h.rings++; h.rings <= maxRings {
		return nil
	}
	h.rings = 0
	h.next = now.Add(h.rest.grow())
	return h.release(ctx)
}

func (h *hook) ask(ctx context.Context, function string, answer *bool) error {
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	sql := "select pg_catalog." + function + "($1::int, $2::text::regclass::oid::int)"
	return h.conn.QueryRow(ctx, sql, bellLock, h.table).Scan(answer)
}
