package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/backoff"
)

const (
	// acquireTimeout is how long a batch waits for a connection of the pool before the run opens one of its own.
	acquireTimeout = time.Second
	// maxSendRetry bounds the growing delay between two tries of a batch.
	maxSendRetry = 2 * time.Second
)

// loop sends batches until the last one is stored, none can be, or ctx ends.
func (w *runWriter) loop(ctx context.Context) {
	defer close(w.done)
	defer w.closeOwn()
	for {
		batch, err := w.next(ctx)
		if err == nil && batch == nil {
			return
		}
		if err == nil {
			err = w.send(ctx, batch)
		}
		if err != nil {
			w.fail(err)
			w.run.stop(err)
			return
		}
		w.remove(len(batch))
	}
}

// send stores a batch, trying until it is stored, cannot be, or ctx ends.
//
// Each line names the seq it is to get, in every try of it. So a try that comes after one whose answer was lost finds the
// lines stored and writes nothing, and a late one that a broken connection left behind in Postgres cannot write after others.
// TA409 means that another program took the seq: the batch is not stored, not even by a try without an answer, because that
// one could only have taken the same seq. The batch then gets the next seq, if the activity is still this run's.
func (w *runWriter) send(ctx context.Context, batch []runLine) error {
	entries := w.entries(batch)
	retry := delay{least: minRetry, most: maxSendRetry}
	mended := make([]bool, len(batch))
	for {
		err := w.try(ctx, entries)
		last, moved := lastSeqOf(err)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrFinished):
			if err := w.confirm(ctx); err != nil {
				return err
			}
			if !moved { // only a line of the end can be refused for its status
				w.refused, batch = err, batch[:len(batch)-1]
			} else {
				w.seq = last
			}
			if entries = w.entries(batch); len(entries) == 0 {
				return nil
			}
			continue
		case errors.Is(err, ErrInvalid) && mend(entries, mended, err):
			continue
		case w.hopeless(err):
			return err
		}
		if backoff.Wait(ctx, retry.grow()) != nil {
			return fmt.Errorf("%w (the last attempt: %w)", ctx.Err(), err)
		}
	}
}

// entries numbers the lines of a batch after the last line of the activity.
func (w *runWriter) entries(batch []runLine) []Entry {
	entries := make([]Entry, len(batch))
	for i, l := range batch {
		if l.isEnd {
			w.mu.Lock()
			dropped := w.dropped
			w.mu.Unlock()
			l = w.run.endLine(dropped)
		}
		entries[i] = Entry{AgentID: w.run.id, Message: l.message, Percentage: l.percentage, Status: l.status, AtSeq: w.seq + 1 + i}
		if l.data != nil {
			entries[i].Data = l.data
		}
	}
	return entries
}

// try sends entries once.
func (w *runWriter) try(ctx context.Context, entries []Entry) error {
	return w.on(ctx, func(ctx context.Context, c *Client) error {
		results, err := c.AppendLogs(ctx, entries)
		if err != nil {
			return err
		}
		if len(results) != 1 {
			return fmt.Errorf("%w: append_logs returned %d activities", errDecode, len(results))
		}
		w.seq, w.began, w.ended = results[0].LastSeq, true, entries[len(entries)-1].Status
		if w.ended == "" && w.run.note(results[0].Status, results[0].Attempt, results[0].CancelRequested, "") {
			return replaced(results[0].Status, results[0].Attempt)
		}
		return nil
	})
}

// confirm returns an error when another worker has the activity, or when nothing more can be stored.
func (w *runWriter) confirm(ctx context.Context) error {
	retry := delay{least: minRetry, most: maxSendRetry}
	for {
		var state HeartbeatResult
		err := w.on(ctx, func(ctx context.Context, c *Client) (err error) {
			state, err = c.Heartbeat(ctx, w.run.id, 0)
			return err
		})
		switch {
		case err == nil && w.run.note(state.Status, state.Attempt, state.CancelRequested, state.CancelMessage):
			return replaced(state.Status, state.Attempt)
		case err == nil || w.hopeless(err):
			return err
		}
		if backoff.Wait(ctx, retry.grow()) != nil {
			return fmt.Errorf("%w (the last attempt: %w)", ctx.Err(), err)
		}
	}
}

// on calls f with a client on a connection.
func (w *runWriter) on(ctx context.Context, f func(context.Context, *Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	in := *w.run.c
	if w.own == nil || w.own.IsClosed() {
		pooled, err := w.acquire(ctx)
		if err != nil {
			return err
		}
		if pooled != nil {
			defer pooled.Release()
			in.db = pooled
			return f(ctx, &in)
		}
	}
	in.db = w.own
	return f(ctx, &in)
}

// acquire returns a connection of the pool. Where the pool has none free, as when work holds them all, it returns nil and
// sets w.own.
func (w *runWriter) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	pooled, err := w.run.pool.Acquire(limited)
	if err == nil || ctx.Err() != nil || limited.Err() == nil && !isPoolClosed(err) {
		return pooled, dbError("acquire a connection", err)
	}
	own, err := dial(ctx, w.run.pool)
	if err != nil {
		return nil, dbError("connect", err)
	}
	w.own = own
	return nil, nil
}

func (w *runWriter) closeOwn() {
	if w.own == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanUp)
	defer cancel()
	_ = w.own.Close(ctx)
}

// hopeless reports whether no retry can succeed.
func (w *runWriter) hopeless(err error) bool {
	for _, end := range []error{ErrNotFound, ErrInvalid, ErrReplaced, errDecode} {
		if errors.Is(err, end) {
			return true
		}
	}
	state := sqlState(err)
	return !w.began && len(state) == 5 && slices.Contains([]string{"3D", "3F", "42"}, state[:2])
}

var (
	lastSeq  = regexp.MustCompile(`\bis at last_seq (\d+)`)
	entryNum = regexp.MustCompile(`^entries\[(\d+)\]`)
)

// lastSeqOf returns the last seq of the activity from the error of a line that came with another at_seq.
func lastSeqOf(err error) (seq int, ok bool) {
	if !errors.Is(err, ErrFinished) {
		return 0, false
	}
	found := lastSeq.FindStringSubmatch(err.Error())
	if found == nil {
		return 0, false
	}
	seq, err = strconv.Atoi(found[1])
	return seq, err == nil
}

// mend replaces the data that Postgres rejects by the reason: of the entry that the error names, or else of all. Messages are
// valid already. It reports whether that changed anything; mended are the entries that were changed before.
func mend(entries []Entry, mended []bool, problem error) (changed bool) {
	text := clean(problem.Error())
	rejected := encode(map[string]any{"rejected": text[:min(len(text), 1000)]})
	for i := range entries {
		found := entryNum.FindStringSubmatch(messageOf(problem))
		if entries[i].Data == nil || mended[i] || found != nil && found[1] != strconv.Itoa(i) {
			continue
		}
		entries[i].Data, mended[i], changed = rejected, true, true
	}
	return changed
}

// messageOf returns the message of Postgres.
func messageOf(err error) string {
	if e := (*DBError)(nil); errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
