package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// bellLock is the first half of the key of the lock that writers probe; the other is the table's oid. See _send_wakeup in
	// sql/functions.sql.
	bellLock = 1635271269
	// tryAgain is how long to wait for the next try while somebody else holds the lock.
	tryAgain = time.Second
	// maxRings is how many rings a second are worth it. Ringing costs every writer of the instance at its commit.
	maxRings = 100
	// queueNearFull is true while the notification queue, the whole instance's, is more than half full. No writer is made to
	// notify then: when the queue is full, every commit that notifies fails.
	queueNearFull = "pg_catalog.pg_notification_queue_usage() operator(pg_catalog.>) 0.5::pg_catalog.float8"
	// checkEvery is how often that is looked at while the lock is held.
	checkEvery = 5 * time.Second
	// minRest and maxRest bound the growing time without the bell after there were too many.
	minRest, maxRest = time.Second, 30 * time.Second
)

// hook makes the writers ring. They do so only while a session holds an advisory lock; everybody who listens hears it,
// so one holder (a sidecar, or another Watch) is enough, and losing the race for the lock loses nothing. Under load it
// lets go of the lock, and Watch polls.
//
// A writer that looked just before the lock was taken commits without a ring; the poll finds its line.
type hook struct {
	conn    *pgx.Conn
	table   string // quoted, with its schema
	held    bool
	checked time.Time // when the lock was taken, or the queue looked at
	next    time.Time // there is no try before then
	rings   int       // since
	since   time.Time
	rest    delay
}

func newHook(conn *pgx.Conn, schema string) *hook {
	return &hook{conn: conn, table: schema + ".activity_log", rest: delay{min: minRest, max: maxRest}}
}

// take tries to get the lock, when it is time to, and reports whether it has just got it. Where it is held, it is given
// back once the notification queue is crowded; that also finds out, now and then, whether the connection lives.
func (h *hook) take(ctx context.Context) (taken bool, err error) {
	now := time.Now()
	if h.held {
		if now.Sub(h.checked) < checkEvery {
			return false, nil
		}
		h.checked = now
		var crowded bool
		if err := h.ask(ctx, queueNearFull, &crowded); err != nil || !crowded {
			return false, err
		}
		h.next = now.Add(checkEvery)
		return false, h.release(ctx)
	}
	if now.Before(h.next) {
		return false, nil
	}
	err = h.ask(ctx, "case when "+queueNearFull+" then false else "+h.lock("pg_try_advisory_lock")+" end", &h.held)
	if err != nil || h.held {
		h.checked = now
		return h.held, err
	}
	h.next = now.Add(tryAgain)
	return false, nil
}

// release lets go of the lock.
func (h *hook) release(ctx context.Context) error {
	if !h.held {
		return nil
	}
	h.held = false
	var was bool
	return h.ask(ctx, h.lock("pg_advisory_unlock"), &was)
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

// lock is a call of a function on the lock.
func (h *hook) lock(function string) string {
	return fmt.Sprintf("pg_catalog.%s(%d, '%s'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)", function, bellLock, strings.ReplaceAll(h.table, "'", "''"))
}

func (h *hook) ask(ctx context.Context, question string, answer *bool) error {
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	return h.conn.QueryRow(ctx, "select "+question).Scan(answer)
}
