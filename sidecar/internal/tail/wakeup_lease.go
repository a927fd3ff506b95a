package tail

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/agentexec/agentexec/sidecar/internal/database"
)

// The wake-up, from the side of the reader. Writers notify only while a session holds the wake-up lock, which they probe.
//
//	notified   this sidecar holds the lock. Every commit notifies, a read answers, the poll is only a backstop.
//	standby    another session holds the lock. Its notifications arrive here too, but it may release the lock: the tail
//	           polls on a short timer and tries to take the lock.
//	polling    no notification is wanted: commits are so frequent that notifications would cost the writers more than they
//	           gain here, or the listener is unhealthy, or nothing is watched. A timer reads.
//
// After this sidecar takes the lock, a writer that probed just before may still have to commit. Its transaction id was
// assigned before it probed, so it is below one that is assigned now: the barrier. Once every transaction below the barrier
// has ended, no line can be missed; until then the tail polls beside the notifications. (The xmax of a snapshot is no
// barrier: it follows the last transaction that ended, and later ones may be running already.)
const (
	modeNotified = "notified"
	modeStandby  = "standby"
	modePolling  = "polling"

	// pollAbove and notifyBelow are rates of commits, per second, at which the lock is released and taken again.
	pollAbove   = 100
	notifyBelow = 30
	// rateMemory is the time over which a rate is averaged.
	rateMemory = 500 * time.Millisecond
	// rateCap bounds a rate, so that a burst affects it for about a second at most.
	rateCap = 4 * pollAbove

	// The cooldown is the pause between two reads at a high rate of commits: cooldownFactor times the duration of the last
	// read, within these bounds. Slow reads mean a busy machine, and a longer pause leaves it to the writers.
	minCooldown    = 5 * time.Millisecond
	maxCooldown    = 12 * time.Millisecond
	cooldownFactor = 3

	// leaveTimeout bounds the release of the lock at the end of a session.
	leaveTimeout = time.Second

	standbyPoll   = 100 * time.Millisecond
	unhealthyPoll = 100 * time.Millisecond // while the listener is unhealthy, or the notification queue is near full
	barrierFirst  = 5 * time.Millisecond
	barrierLast   = 250 * time.Millisecond
)

// wakeupLease takes and releases the wake-up lock for one session of the tail. The lock ends with the session.
type wakeupLease struct {
	t        *tailer
	conn     *database.Direct
	held     bool
	barrier  uint64 // a transaction id assigned after the lock was taken; 0 once all below it have ended
	wait     time.Duration
	fast     bool          // the rate of commits is high: a short timer reads
	took     time.Duration // the last read
	received int64         // wake-ups up to the last read
	rate     float64
	at       time.Time
}

func newWakeupLease(conn *database.Direct, t *tailer) *wakeupLease {
	t.metrics.setWakeupMode(modePolling)
	return &wakeupLease{t: t, conn: conn, at: time.Now(), received: t.wakeup.received.Load()}
}

// trusts reports whether a commit without a wake-up would be a defect.
func (l *wakeupLease) trusts() bool { return l.held && l.barrier == 0 && l.t.wakeup.healthy.Load() }

// useless reports whether a notification would not be received, or may not be asked for.
func (l *wakeupLease) useless() bool {
	return !l.t.wakeup.healthy.Load() || l.t.wakeup.queueNearFull.Load()
}

// pause returns how long to wait for the next read, and whether a wake-up ends the wait.
func (l *wakeupLease) pause() (d time.Duration, listen bool) {
	switch {
	case l.fast:
		return min(max(minCooldown, cooldownFactor*l.took), maxCooldown), false
	case l.useless():
		return unhealthyPoll, true
	case !l.held:
		return standbyPoll, true
	case l.barrier != 0:
		return l.wait, true
	default:
		return l.t.poll, true
	}
}

// consider uses the result of a read: it takes or releases the lock where that is due.
func (l *wakeupLease) consider(ctx context.Context, b tailBatch) error {
	l.count(max(b.commits, l.newWakeups()))
	l.took = b.took
	if l.fast = l.rate > pollAbove || (l.fast && l.rate > notifyBelow); l.fast || l.useless() {
		return l.release(ctx)
	}
	if !l.held {
		return l.take(ctx)
	}
	if l.barrier != 0 {
		l.wait = min(l.wait*3/2, barrierLast)
		if b.position.xmin > l.barrier {
			l.barrier = 0
		}
	}
	return nil
}

// newWakeups returns how many wake-ups arrived since the last call. Any login may notify, whether a line was written or
// not. Each wake-up counts like a commit, so that a flood of wake-ups makes a timer read, as a flood of commits does.
func (l *wakeupLease) newWakeups() int {
	before := l.received
	l.received = l.t.wakeup.received.Load()
	return int(l.received - before)
}

func (l *wakeupLease) count(commits int) {
	now := time.Now()
	l.rate *= math.Exp(-now.Sub(l.at).Seconds() / rateMemory.Seconds())
	l.rate = min(l.rate+float64(commits)/rateMemory.Seconds(), rateCap)
	l.at = now
}

// take tries to get the lock, without waiting: a statement that waits for hours would hold a snapshot, and so hold up vacuum.
func (l *wakeupLease) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var err error
	if l.held, err = l.t.lock.Take(ctx, l.conn); err != nil {
		return err
	}
	if !l.held {
		l.t.metrics.setWakeupMode(modeStandby)
		return nil
	}
	var xid string
	if err := l.conn.QueryRow(ctx, l.t.q.barrier).Scan(&xid); err != nil {
		return err
	}
	if l.barrier, err = strconv.ParseUint(xid, 10, 64); err != nil {
		return err
	}
	l.wait = barrierFirst
	l.t.metrics.setWakeupMode(modeNotified)
	l.t.metrics.lockTaken.Inc()
	l.t.noteHolder(nil)
	return nil
}

func (l *wakeupLease) release(ctx context.Context) error {
	if !l.held {
		l.t.metrics.setWakeupMode(modePolling)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	l.held, l.barrier = false, 0
	err := l.t.lock.Release(ctx, l.conn)
	l.t.metrics.setWakeupMode(modePolling) // not before: until the lock is free, writers notify
	return err
}

// leave releases the lock at the end of a session. The end of the session would release it too, but only after the connection
// is closed here, and writers would notify meanwhile.
func (l *wakeupLease) leave(ctx context.Context) {
	if l.conn.IsClosed() {
		l.t.metrics.setWakeupMode(modePolling)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_ = l.release(ctx)
}
