package sidecar

import (
	"context"
	"math"
	"strconv"
	"time"
)

// The bell, as seen from this side. Writers ring only while somebody holds the lock that they probe.
//
//	hooked     we hold it. Every commit rings, a read answers, the poll is only a backstop.
//	aside      another sidecar holds it. Its rings are heard here too, but it may let go: poll a little, try to hook.
//	unhooked   there are so many commits that rings would cost them more than they gain us: a short timer reads.
//
// After hooking up, a writer that probed just before may not have committed yet. Its transaction id was assigned
// before it probed, so it is below one that is assigned now: the barrier. Once no transaction below the barrier is
// left, nothing can slip through; until then the tail polls beside the bell. (The xmax of a snapshot is no barrier: it
// follows the last transaction that ended, and later ones may be running already.)
const (
	// unhookAbove and hookBelow are rates of commits, per second, at which the bell is left and taken up again.
	unhookAbove = 100
	hookBelow   = 30
	// rateMemory is over how long a rate is averaged.
	rateMemory = 500 * time.Millisecond
	// rateCap keeps a burst from being remembered for longer than a second or so.
	rateCap = 4 * unhookAbove

	// The pause between two reads while unhooked: unhookedRest times what the last one took, within these bounds. Where
	// reads are slow, the machine is busy, and is left to its writers.
	unhookedPoll = 5 * time.Millisecond
	unhookedMost = 12 * time.Millisecond
	unhookedRest = 3

	// leaveTimeout bounds the release of the lock at the end of a session.
	leaveTimeout = time.Second

	asidePoll    = 100 * time.Millisecond
	deafPoll     = 100 * time.Millisecond // while LISTEN does not stand, or nobody may ring
	barrierFirst = 5 * time.Millisecond
	barrierLast  = 250 * time.Millisecond
)

// hook is the state of the bell for one session of the tail, which holds the lock: it ends with the session.
type hook struct {
	t       *tailer
	conn    *tailConn
	held    bool
	barrier uint64 // a transaction id assigned after the lock was taken; 0 once all below it have ended
	wait    time.Duration
	fast    bool          // unhooked
	took    time.Duration // the last read
	wakeups int64         // heard up to the last read
	rate    float64
	at      time.Time
}

func newHook(conn *tailConn, t *tailer) *hook {
	t.metrics.hooked.Set(0)
	return &hook{t: t, conn: conn, at: time.Now(), wakeups: t.bell.wakeups.Load()}
}

// trusts reports whether a commit without a ring would be a defect.
func (h *hook) trusts() bool { return h.held && h.barrier == 0 && h.t.bell.hearing() }

// useless reports whether a ring would not be heard, or may not be asked for.
func (h *hook) useless() bool { return !h.t.bell.hearing() || h.t.bell.crowded.Load() }

// pause is how long to wait for the next read, and whether a ring ends it.
func (h *hook) pause() (d time.Duration, listen bool) {
	switch {
	case h.fast:
		return min(max(unhookedPoll, unhookedRest*h.took), unhookedMost), false
	case h.useless():
		return deafPoll, true
	case !h.held:
		return asidePoll, true
	case h.barrier != 0:
		return h.wait, true
	default:
		return h.t.poll, true
	}
}

// consider takes what a read found and changes over where it is time to.
func (h *hook) consider(ctx context.Context, n news) error {
	h.count(max(n.commits, h.heard()))
	h.took = n.took
	if h.fast = h.rate > unhookAbove || (h.fast && h.rate > hookBelow); h.fast || h.useless() {
		return h.release(ctx)
	}
	if !h.held {
		return h.take(ctx)
	}
	if h.barrier != 0 {
		h.wait = min(h.wait*3/2, barrierLast)
		if n.position.xmin > h.barrier {
			h.barrier = 0
		}
	}
	return nil
}

// heard is how many wake-ups were heard since the last call. Any login may notify, whether a line was written or not: what
// is heard counts like a commit, so that a flood of wake-ups has the timer read instead, as a flood of commits does.
func (h *hook) heard() int {
	before := h.wakeups
	h.wakeups = h.t.bell.wakeups.Load()
	return int(h.wakeups - before)
}

func (h *hook) count(commits int) {
	now := time.Now()
	h.rate *= math.Exp(-now.Sub(h.at).Seconds() / rateMemory.Seconds())
	h.rate = min(h.rate+float64(commits)/rateMemory.Seconds(), rateCap)
	h.at = now
}

// take tries to get the lock, without waiting: a statement that waits for hours would hold a snapshot, and vacuum
// with it.
func (h *hook) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if err := h.conn.QueryRow(ctx, h.t.q.hook).Scan(&h.held); err != nil || !h.held {
		return err
	}
	var xid string
	if err := h.conn.QueryRow(ctx, h.t.q.barrier).Scan(&xid); err != nil {
		return err
	}
	var err error
	if h.barrier, err = strconv.ParseUint(xid, 10, 64); err != nil {
		return err
	}
	h.wait = barrierFirst
	h.t.metrics.hooked.Set(1)
	h.t.metrics.hooks.Inc()
	h.t.noteHolder(nil)
	return nil
}

func (h *hook) release(ctx context.Context) error {
	if !h.held {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	h.held, h.barrier = false, 0
	_, err := h.conn.Exec(ctx, h.t.q.unhook)
	h.t.metrics.hooked.Set(0) // not before: until the lock is free, writers notify
	return err
}

// leave releases the lock at the end of a session. The session's own end would do so too, but only after the connection
// is closed here, and writers would notify meanwhile.
func (h *hook) leave(ctx context.Context) {
	if h.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_ = h.release(ctx)
}
