package tail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/wsfeed"
)

// tailer reads new lines since its position, and hands them to the hub. One tailer serves any number of sockets. It has a
// session of its own and holds no transaction between reads.
type tailer struct {
	hub     *wsfeed.Hub
	q       queries
	schema  string
	lock    notify.Lock
	connect func(context.Context) (*database.Direct, error)
	wakeup  *wakeup
	poll    time.Duration
	log     *slog.Logger
	metrics *tailMetrics
	clock   *clock

	reading  atomic.Bool  // the session is connected and its last read succeeded
	lastRead atomic.Int64 // when that was, in Unix nanoseconds; 0 before the first

	foreign atomic.Pointer[notify.Holder] // of the wake-up lock; nil where there is none
}

// sessionSettings: a generic plan cannot know how few rows are new, and would choose workers, JIT or a scan of every
// line; a custom one costs more planning than the read.
const sessionSettings = `
	set jit = off;
	set max_parallel_workers_per_gather = 0;
	set plan_cache_mode = force_generic_plan`

// checkInterval is how often the tail starts anew behind a pooler, which may hide a crash of Postgres.
const checkInterval = 5 * time.Second

// lookInterval is how often the tail looks for changes that add no line: watched activities that were deleted, and lines that
// were restored from another cluster.
const lookInterval = 5 * time.Second

// queryTimeout bounds every step of the tail, in case the peer vanished without closing the connection. In a read that
// streams, it counts from the last row.
const queryTimeout = 30 * time.Second

// notifyDelay is how late a notification may arrive on a busy machine, even with a shorter poll.
const notifyDelay = time.Second

// errMissedWakeup: lines came without a wake-up although the lease was held. Something has changed, such as the oid of the
// table, which is in the lock's key; a new session starts from the beginning.
var errMissedWakeup = errors.New("lines were written without a wake-up")

// errForeign: lines came from another cluster; a new session starts beyond them.
var errForeign = errors.New("lines were restored from another cluster")

// progressed notes that the session works.
func (t *tailer) progressed() {
	t.reading.Store(true)
	t.lastRead.Store(time.Now().UnixNano())
}

// works reports whether the tail reads, and has read recently.
func (t *tailer) works() bool {
	return t.reading.Load() && time.Since(time.Unix(0, t.lastRead.Load())) < 3*t.poll+10*time.Second
}

// statesChunk is how many activities one query confirms.
const statesChunk = 1000

// run tails until ctx ends, and reconnects after a lost connection.
func (t *tailer) run(ctx context.Context) error {
	told := false
	for attempt := 0; ; attempt++ {
		err := t.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if t.reading.Swap(false) {
			attempt, told = 0, false
		}
		if !told {
			told = true
			t.log.Warn("the tail was interrupted; trying again", "error", err)
		}
		if backoff.Wait(ctx, database.ReconnectDelay(attempt)) != nil {
			return nil
		}
	}
}

// session tails on one connection. A position is valid no longer than that: after a crash, transaction ids that were never
// flushed are handed out again. So each session first takes a new position and then confirms everything watched by seq.
func (t *tailer) session(ctx context.Context) error {
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	pooled := conn.Pooled
	if !pooled { // else it would be another session's setting
		if _, err := conn.Exec(ctx, sessionSettings); err != nil {
			return err
		}
	}
	if err := t.clock.set(ctx, conn.Conn); err != nil {
		return err
	}
	lease := newWakeupLease(conn, t)
	defer lease.leave(ctx)

	var (
		pos     *position
		woken   = true
		missed  int // lines read without a wake-up, which may only be late
		since   time.Time
		checked time.Time
		looked  = time.Now()
		held    time.Time // when the wake-up lock's holder was looked up
	)
	for {
		if time.Since(held) > lookInterval {
			if err := t.findHolder(ctx, conn); err != nil {
				return err
			}
			held = time.Now()
		}
		if t.hub.Empty() {
			pos = nil // nothing is watched: read nothing, and begin anew when something is
			t.progressed()
			t.metrics.lagged(lag{})
			if err := t.idle(ctx, conn, lease); err != nil {
				return err
			}
			continue
		}
		if pos == nil || (pooled && time.Since(checked) > checkInterval) {
			if pos, err = t.begin(ctx, conn); err != nil {
				return err
			}
			checked = time.Now()
		}
		trusted := lease.trusts()
		gen := t.hub.Gen()
		batch, err := t.read(ctx, conn, pos)
		if err != nil {
			return err
		}
		t.progressed()
		pos = batch.position
		if !woken && trusted && batch.lines > 0 {
			if missed == 0 {
				since = time.Now()
			}
			missed += batch.lines
		}
		if late := t.hub.WatchedSince(gen); !late.Empty() {
			if err := t.confirm(ctx, conn, late); err != nil {
				return err
			}
		}
		if time.Since(looked) > lookInterval {
			if err := errors.Join(t.findDeleted(ctx, conn), t.checkForeign(ctx, conn, pos), t.clock.set(ctx, conn.Conn)); err != nil {
				return err
			}
			looked = time.Now()
		}
		if err := lease.consider(ctx, batch); err != nil {
			return err
		}
		if woken, err = t.wait(ctx, lease); err != nil {
			return err
		}
		switch {
		case woken || !lease.trusts():
			missed = 0
		case missed > 0 && time.Since(since) >= notifyDelay:
			t.metrics.missed.Add(float64(missed))
			return errMissedWakeup
		}
	}
}

// idle waits until something is watched, and checks the connection meanwhile. It releases the wake-up lock first.
func (t *tailer) idle(ctx context.Context, conn *database.Direct, lease *wakeupLease) error {
	if err := lease.release(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.hub.Added():
		return nil
	case <-time.After(t.poll):
		return t.clock.set(ctx, conn.Conn)
	}
}

// wait waits for a wake-up or the time to poll, and reports whether a wake-up came. It clears the wake-up before the read,
// never after: a notification that arrives during a read may be for lines that the read did not see.
func (t *tailer) wait(ctx context.Context, lease *wakeupLease) (woken bool, err error) {
	pause, listen := lease.pause()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	pending := t.wakeup.pending
	if !listen {
		pending = nil
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-pending:
		return true, nil
	case <-timer.C:
		return false, nil
	}
}

// begin takes a position and then confirms everything watched: lines committed before the position are found by seq.
func (t *tailer) begin(ctx context.Context, conn *database.Direct) (*position, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var foreign int64
	if err := conn.QueryRow(ctx, t.q.foreign).Scan(&foreign); err != nil {
		return nil, err
	}
	var text string
	if err := conn.QueryRow(ctx, t.q.position).Scan(&text); err != nil {
		return nil, err
	}
	pos, err := parsePosition(text)
	if err != nil {
		return nil, err
	}
	pos.foreign = foreign
	return pos, t.confirm(ctx, conn, t.hub.Watched())
}

// checkForeign returns errForeign when lines have come with a dump from another cluster since the position was taken.
func (t *tailer) checkForeign(ctx context.Context, conn *database.Direct, pos *position) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var id int64
	err := conn.QueryRow(ctx, t.q.foreign).Scan(&id)
	if err == nil && id != 0 && id != pos.foreign {
		err = errForeign
	}
	return err
}

// confirm reads the states of watched activities and makes the hub read watched lists again.
func (t *tailer) confirm(ctx context.Context, conn *database.Direct, w *wsfeed.Watch) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	t.hub.ListsChanged(w)
	for chunk := range slices.Chunk(t.hub.Known(w), statesChunk) {
		known := make(map[uuid.UUID]wsfeed.Known, len(chunk))
		for _, k := range chunk {
			known[k.AgentID] = k
		}
		err := readStates(ctx, conn, t.q.states, chunk, func(k wsfeed.Known, s wsfeed.State, line json.RawMessage) {
			t.hub.Confirm(k, s, line)
			delete(known, k.AgentID)
		})
		if err != nil {
			return fmt.Errorf("confirming watched activities: %w", err)
		}
		for _, k := range known {
			t.hub.Gone(k)
		}
	}
	return nil
}

// readStates reads the states of activities, and passes each on with the line at the seq that the feed knows.
func readStates(ctx context.Context, db pgurl.DB, query string, all []wsfeed.Known, take func(wsfeed.Known, wsfeed.State, json.RawMessage)) error {
	known := make(map[uuid.UUID]wsfeed.Known, len(all))
	ids, seqs := make(database.IDs, len(all)), make([]int, len(all))
	for i, k := range all {
		known[k.AgentID] = k
		ids[i], seqs[i] = k.AgentID, k.LineSeq
	}
	rows, err := db.Query(ctx, query, ids, seqs)
	if err != nil {
		return err
	}
	var (
		id, a      uuid.UUID // agent_id, and what identifies the activity
		lastSeq    int
		status     string
		body, line []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &a, &lastSeq, &status, &body, &line}, func() error {
		take(known[id], wsfeed.NewState(a, lastSeq, status, body), line)
		return nil
	})
	return err
}

// findDeleted tells the hub which watched activities do not exist any more. It reads no states, since they would be ahead of
// the lines.
func (t *tailer) findDeleted(ctx context.Context, conn *database.Direct) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	known := make(map[uuid.UUID]wsfeed.Known)
	for _, k := range t.hub.Known(t.hub.Watched()) {
		known[k.AgentID] = k
	}
	rows, err := conn.Query(ctx, t.q.deleted, database.IDs(slices.Collect(maps.Keys(known))))
	if err != nil {
		return err
	}
	deleted, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return fmt.Errorf("looking for deleted activities: %w", err)
	}
	for _, id := range deleted {
		t.hub.Gone(known[id])
	}
	return nil
}
