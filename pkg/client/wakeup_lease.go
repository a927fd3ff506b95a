package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// wakeupLock is the first half of the key of the lock that writers probe; the other is the table's oid. See _send_wakeup in
	// sql/functions.sql.
	wakeupLock = 1635271269
	// tryAgain is the pause between two tries while another session holds the lock.
	tryAgain = time.Second
	// maxWakeups is how many wake-ups a second are worth their cost: each notification delays every writer of the instance at
	// its commit.
	maxWakeups = 100
	// queueNearFull is true while the notification queue, the whole instance's, is more than half full. No writer is made to
	// notify then: when the queue is full, every commit that notifies fails.
	queueNearFull = "pg_catalog.pg_notification_queue_usage() operator(pg_catalog.>) 0.5::pg_catalog.float8"
	// checkEvery is how often the queue is checked while the lock is held.
	checkEvery = 5 * time.Second
	// minCooldown and maxCooldown bound the growing time without the lock after too many wake-ups.
	minCooldown, maxCooldown = time.Second, 30 * time.Second
)

// wakeupLease takes and releases the wake-up lock. Writers notify only while a session holds that lock. Every listening
// session receives the notification, so one holder (a sidecar, or another Watch) is enough. Under load the lease releases
// the lock, and Watch polls.
//
// A writer that probed just before the lock was taken commits without a wake-up; the poll finds its line.
type wakeupLease struct {
	conn     *pgx.Conn
	table    string // quoted, with its schema
	held     bool
	checked  time.Time // when the lock was taken, or the queue looked at
	next     time.Time // there is no try before then
	received int       // wake-ups since
	since    time.Time
	cooldown delay
}

func newWakeupLease(conn *pgx.Conn, schema string) *wakeupLease {
	return &wakeupLease{conn: conn, table: schema + ".activity_log", cooldown: delay{least: minCooldown, most: maxCooldown}}
}

// take tries to get the lock, when a try is due, and reports whether it has just got it. It releases a held lock once the
// notification queue is near full; that query also shows, now and then, whether the connection works.
func (l *wakeupLease) take(ctx context.Context) (taken bool, err error) {
	now := time.Now()
	if l.held {
		if now.Sub(l.checked) < checkEvery {
			return false, nil
		}
		l.checked = now
		var nearFull bool
		if err := l.ask(ctx, queueNearFull, &nearFull); err != nil || !nearFull {
			return false, err
		}
		l.next = now.Add(checkEvery)
		return false, l.release(ctx)
	}
	if now.Before(l.next) {
		return false, nil
	}
	err = l.ask(ctx, "case when "+queueNearFull+" then false else "+l.lock("pg_try_advisory_lock")+" end", &l.held)
	if err != nil || l.held {
		l.checked = now
		return l.held, err
	}
	l.next = now.Add(tryAgain)
	return false, nil
}

// release releases the lock.
func (l *wakeupLease) release(ctx context.Context) error {
	if !l.held {
		return nil
	}
	l.held = false
	var was bool
	return l.ask(ctx, l.lock("pg_advisory_unlock"), &was)
}

// count counts a wake-up, and releases the lock when there are too many.
func (l *wakeupLease) count(ctx context.Context) error {
	if !l.held {
		return nil
	}
	now := time.Now()
	if now.Sub(l.since) > time.Second {
		if l.received < maxWakeups/2 {
			l.cooldown.reset()
		}
		l.received, l.since = 0, now
	}
	if l.received++; l.received <= maxWakeups {
		return nil
	}
	l.received = 0
	l.next = now.Add(l.cooldown.grow())
	return l.release(ctx)
}

// lock returns the SQL that calls a function on the lock.
func (l *wakeupLease) lock(function string) string {
	return fmt.Sprintf("pg_catalog.%s(%d, '%s'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int4)", function, wakeupLock, strings.ReplaceAll(l.table, "'", "''"))
}

func (l *wakeupLease) ask(ctx context.Context, question string, answer *bool) error {
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	return l.conn.QueryRow(ctx, "select "+question).Scan(answer)
}
