package wakeup

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
)

const (
	// tryAgain is the pause between two attempts while another session holds the lock.
	tryAgain = time.Second
	// maxWakeups is the number of wake-ups a second up to which they are worth their cost: each notification delays every
	// writer of the instance at its commit.
	maxWakeups = 100
	// checkEvery is how often the queue is checked while the lock is held.
	checkEvery = 5 * time.Second
	// minCooldown and maxCooldown bound the growing time without the lock after too many wake-ups.
	minCooldown, maxCooldown = time.Second, 30 * time.Second
)

// lease takes and releases the wake-up lock. Writers notify only while a session holds that lock. Every listening
// session receives the notification, so one holder (a sidecar, or another Watch) is enough. Under load the lease releases
// the lock, and Watch polls.
//
// A writer that checked the lock just before it was taken commits without a wake-up; the poll finds its line.
type lease struct {
	conn     *pgx.Conn
	lock     notify.Lock
	held     bool
	checked  time.Time // when the lock was taken, or the queue checked
	next     time.Time // no attempt before then
	received int       // wake-ups since
	since    time.Time
	cooldown backoff.Growing
}

func newLease(conn *pgx.Conn, schema string) *lease {
	return &lease{conn: conn, lock: notify.NewLock(schema), cooldown: backoff.Growing{Least: minCooldown, Most: maxCooldown}}
}

// take takes the lock when an attempt is due, and reports whether it has just taken it. It releases a held lock when the
// notification queue is near full; that query also shows, now and then, whether the connection works.
func (l *lease) take(ctx context.Context) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	now := time.Now()
	if l.held {
		if now.Sub(l.checked) < checkEvery {
			return false, nil
		}
		l.checked = now
		if nearFull, err := notify.NearFull(ctx, l.conn); err != nil || !nearFull {
			return false, err
		}
		l.next = now.Add(checkEvery)
		return false, l.release(ctx)
	}
	if now.Before(l.next) {
		return false, nil
	}
	l.held, err = l.lock.TakeUnlessNearFull(ctx, l.conn)
	if err != nil || l.held {
		l.checked = now
		return l.held, err
	}
	l.next = now.Add(tryAgain)
	return false, nil
}

// release releases the lock.
func (l *lease) release(ctx context.Context) error {
	if !l.held {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	l.held = false
	return l.lock.Release(ctx, l.conn)
}

// count counts a wake-up, and releases the lock when there are too many.
func (l *lease) count(ctx context.Context) error {
	if !l.held {
		return nil
	}
	now := time.Now()
	if now.Sub(l.since) > time.Second {
		if l.received < maxWakeups/2 {
			l.cooldown.Reset()
		}
		l.received, l.since = 0, now
	}
	if l.received++; l.received <= maxWakeups {
		return nil
	}
	l.received = 0
	l.next = now.Add(l.cooldown.Next())
	return l.release(ctx)
}
