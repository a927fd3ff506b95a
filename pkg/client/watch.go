package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/pkg/client/internal/poolconn"
	"github.com/agentexec/agentexec/pkg/client/internal/wakeup"
)

const (
	// minGap is the least time between two reads of a busy database, where wake-ups never cease. It does not delay a line
	// that comes after a quiet moment.
	minGap = 10 * time.Millisecond
	// minRetry and maxRetry bound the growing delay after a failure.
	minRetry, maxRetry = 50 * time.Millisecond, 5 * time.Second
)

// Logs returns the lines of an activity after afterSeq (0: all), in the order of Seq, up to the last one that exists when the
// iterator reaches it. It reads pages of bounded size, so a log of any length takes little memory. Between pages it holds no
// connection or snapshot. An error is the last thing it yields, with a zero Log.
//
// Inside a transaction (see WithTx) it sees the transaction's writes. Yields ErrNotFound when there is no such activity,
// ErrReset when it is deleted and created again between two pages, and ErrInvalid when afterSeq is negative.
func (c *Client) Logs(ctx context.Context, agentID uuid.UUID, afterSeq int) iter.Seq2[Log, error] {
	return func(yield func(Log, error) bool) {
		p := newPager(c, agentID, afterSeq)
		for more := true; more; {
			page, err := p.next(ctx)
			if err != nil {
				yield(Log{}, err)
				return
			}
			if err := p.each(ctx, page, yield); err != nil {
				if !errors.Is(err, errLeft) {
					yield(Log{}, err)
				}
				return
			}
			more = page.NextAfterSeq != nil
		}
	}
}

// maxPageLines bounds the lines of a page. SQL bounds its bytes.
const maxPageLines = 1000

// pager reads the log of one activity by seq.
type pager struct {
	c       *Client
	agentID uuid.UUID
	seq     int       // of the last line yielded
	limit   int       // lines of the next page; less than maxPageLines after a read that took too long
	created time.Time // the activity's created_at, once it was read
}

func newPager(c *Client, agentID uuid.UUID, afterSeq int) *pager {
	return &pager{c: c, agentID: agentID, seq: afterSeq, limit: maxPageLines}
}

// next reads the lines after p.seq, in one snapshot.
func (p *pager) next(ctx context.Context) (*Detail, error) {
	page, err := p.c.DetailPage(ctx, p.agentID, DetailParams{AfterSeq: p.seq, LogLimit: &p.limit})
	if err == nil && !p.created.IsZero() && !page.CreatedAt.Equal(p.created) {
		return nil, fmt.Errorf("%w: it was deleted and made again at %s", ErrReset, page.CreatedAt.Format(time.RFC3339Nano))
	}
	if err == nil {
		p.created = page.CreatedAt
		p.limit = min(2*p.limit, maxPageLines)
	}
	return page, err
}

// errLeft means that the caller left the loop.
var errLeft = errors.New("left")

// each yields the lines of a page, until the caller leaves the loop (errLeft) or ctx ends (its error).
func (p *pager) each(ctx context.Context, page *Detail, yield func(Log, error) bool) error {
	for _, line := range page.Logs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.seq = line.Seq
		if !yield(line, nil) {
			return errLeft
		}
	}
	return nil
}

// Watch follows an activity live: it yields each line after afterSeq (0: all) exactly once, in the order of Seq. The existing
// lines come first, then each line as it is committed. To resume, pass the Seq of the last line seen. A jump in Seq means
// that the lines between were deleted.
//
// It ends, without an error, when no line is left and the activity is finished: COMPLETE, CANCELED, or ERROR without a retry.
// An error is the last thing it yields, with a zero Log. It retries after temporary failures, also a restart of Postgres, and
// gives up only
//   - when ctx ends, with ctx.Err(),
//   - with ErrNotFound when there is no such activity, or no longer,
//   - with ErrReset when the activity's last line is before afterSeq, or before one that Watch has read: the database lost
//     lines that were seen, and Watch would skip the lines that get their numbers now; and when the activity is deleted and
//     created again under its agent_id while Watch runs. A later Watch knows afterSeq alone and cannot detect that: where it
//     may happen, compare the CreatedAt of Detail before resuming,
//   - with ErrInvalid when afterSeq is negative,
//   - before the first success, with an error that no retry cures: no permission, no such database, no schema,
//   - when the pool is closed, or the connection of a client on a *pgx.Conn breaks.
//
// It works on a pool or a connection; in a transaction it yields ErrInvalid. On a pool it takes one connection out of the
// pool to receive wake-ups, closed when the loop ends, and borrows another for each read. On a *pgx.Conn, Watch uses the
// connection while it waits. In the body of the loop and afterwards the connection is yours; notifications that come in
// meanwhile are dropped. Watch holds nothing open while the body of the loop runs, so the body may take its time.
//
// Watch cleans everything up when you leave the loop by break or return, or end ctx. To follow many activities at once, use
// the sidecar.
func (c *Client) Watch(ctx context.Context, agentID uuid.UUID, afterSeq int) iter.Seq2[Log, error] {
	return func(yield func(Log, error) bool) {
		wakeups, ok := wakeup.New(ctx, c.db, c.schema, c.config.PollOnly)
		if !ok {
			yield(Log{}, invalid("Watch cannot follow what others commit from inside a transaction; use a client on the pool"))
			return
		}
		defer wakeups.Close()
		w := watch{pager: newPager(c, agentID, afterSeq), wakeups: wakeups, lastSeq: afterSeq}
		w.poll = backoff.Growing{Least: c.config.MinPoll, Most: c.config.MaxPoll}
		w.retry = backoff.Growing{Least: minRetry, Most: maxRetry}
		if err := w.run(ctx, yield); err != nil && !errors.Is(err, errLeft) {
			yield(Log{}, err)
		}
	}
}

// watch is one loop over an activity.
type watch struct {
	*pager
	wakeups     wakeup.Wakeups
	poll, retry backoff.Growing
	began       bool // a read has succeeded
	lastSeq     int  // the activity's, at the last read; at first afterSeq
	readAt      time.Time
}

// run yields lines until the end (nil), until the caller leaves (errLeft), or until an error that no retry cures.
func (w *watch) run(ctx context.Context, yield func(Log, error) bool) error {
	for {
		page, err := w.read(ctx)
		if err == nil && page.LastSeq < w.lastSeq {
			return fmt.Errorf("%w: it has %d, there were %d", ErrReset, page.LastSeq, w.lastSeq)
		}
		switch {
		case err != nil:
		case len(page.Logs) > 0:
			w.lastSeq = page.LastSeq
			w.poll.Reset()
			w.wakeups.Suspend(ctx)
			if err := w.each(ctx, page, yield); err != nil {
				return err
			}
			if page.NextAfterSeq != nil || page.Status.IsFinished() {
				continue // only a read that finds nothing more is the end
			}
			err = w.wait(ctx)
		case page.Status.IsFinished():
			return nil
		default:
			w.lastSeq = page.LastSeq
			err = w.wait(ctx)
		}
		if err == nil {
			w.retry.Reset()
			continue
		}
		if ctx.Err() == nil && !w.hopeless(err) && backoff.Wait(ctx, w.retry.Next()) == nil {
			continue
		}
		switch {
		case ctx.Err() == nil:
			return err
		case errors.Is(err, ctx.Err()):
			return ctx.Err()
		}
		return fmt.Errorf("%w (the last attempt: %w)", ctx.Err(), err)
	}
}

func (w *watch) read(ctx context.Context) (*Detail, error) {
	w.readAt = time.Now()
	bound, done := w.wakeups.Bound(ctx)
	defer done()
	p, err := w.next(bound)
	w.began = w.began || err == nil
	if err != nil && ctx.Err() == nil && bound.Err() != nil {
		w.limit = max(w.limit/4, 1) // the read was too large for its time
	}
	return p, err
}

// wait returns when there may be something to read.
func (w *watch) wait(ctx context.Context) error {
	if err := w.wakeups.Wait(ctx, w.poll.Next()); err != nil {
		return dbError("listen", err)
	}
	return backoff.Wait(ctx, min(minGap, w.poll.Least)-time.Since(w.readAt))
}

// hopeless reports whether no retry can succeed.
func (w *watch) hopeless(err error) bool {
	if isAny(err, ErrNotFound, ErrInvalid, ErrReset, errDecode) || poolconn.IsClosed(err) || w.wakeups.Broken() {
		return true
	}
	state := sqlState(err)
	if state == "54000" { // one line alone is larger than the largest value of Postgres
		return true
	}
	// Wrong from the start: authorization, no such database, no such schema, no permission or no such function. Later, the
	// same codes may come from a restore in progress.
	return !w.began && len(state) == 5 && strings.Contains("28 3D 3F 42", state[:2])
}
