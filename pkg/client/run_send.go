package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/logline"
)

// maxSendRetry bounds the growing delay between two tries of a batch.
const maxSendRetry = 2 * time.Second

// send stores a batch. It tries until the batch is stored, no try can succeed, or ctx ends.
//
// At first, each line names a seq, the same one in every try. If the answer to a try was lost, the next try finds the lines
// stored and writes nothing. If a broken connection leaves a try behind in Postgres, that try cannot write its lines later, at
// another seq.
//
// TA409 means that another program took the seq. Then no earlier try stored the batch either, because it named the same seq.
// The lines then take the next free seqs, in a transaction that locks the activity: otherwise a program that writes often could
// take the seq first every time. While other programs write, batches begin that way. The seqs are known before the commit, and
// each later try names them.
func (w *runWriter) send(ctx context.Context, batch []logline.Line) error {
	entries := w.entries(batch)
	if !w.contended || batch[len(batch)-1].End {
		number(entries, w.seq+1)
	}
	retry := backoff.Growing{Least: minRetry, Most: maxSendRetry}
	mended := make([]bool, len(batch))
	for {
		err := w.try(ctx, entries)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrFinished) || errors.Is(err, errRequested):
			w.contended = true
			if err := w.confirm(ctx); err != nil {
				return err
			}
			if errors.Is(err, ErrFinished) && !isMoved(err) { // only a line of the end can be refused for its status
				w.refused, batch = err, batch[:len(batch)-1]
			}
			if entries = w.entries(batch); len(entries) == 0 {
				return nil
			}
			continue
		case errors.Is(err, ErrInvalid) && mend(entries, mended, err):
			continue
		case errors.Is(err, ErrInvalid) && len(batch) > 1: // one of the lines, and the error does not say which
			half := len(batch) / 2
			if err := w.send(ctx, batch[:half]); err != nil {
				return err
			}
			return w.send(ctx, batch[half:])
		case w.hopeless(err):
			return err
		}
		if backoff.Wait(ctx, retry.Next()) != nil {
			return fmt.Errorf("%w (the last attempt: %w)", ctx.Err(), err)
		}
	}
}

// entries makes the entries of a batch, without a seq.
func (w *runWriter) entries(batch []logline.Line) []Entry {
	entries := make([]Entry, len(batch))
	for i, l := range batch {
		if l.End {
			entries[i] = w.run.endEntry(w.Dropped())
		} else if entries[i] = (Entry{Message: l.Message, Percentage: l.Percentage}); l.Data != nil {
			entries[i].Data = l.Data
		}
		entries[i].AgentID = w.run.id
	}
	return entries
}

// number gives entries the seqs from first on.
func number(entries []Entry, first int) {
	for i := range entries {
		entries[i].AtSeq = first + i
	}
}

// errRequested means that a cancel was requested before the end was stored, so the end must become CANCELED.
var errRequested = errors.New("a cancel was requested before the end")

// try sends entries once. If they have no seqs, they get the next ones.
func (w *runWriter) try(ctx context.Context, entries []Entry) error {
	var now AppendResult
	write := func(ctx context.Context, c *Client) error {
		results, err := c.AppendLogs(ctx, entries)
		if err == nil && len(results) != 1 {
			err = fmt.Errorf("%w: append_logs returned %d activities", errDecode, len(results))
		}
		if err == nil {
			now = results[0]
		}
		return err
	}
	if entries[0].AtSeq == 0 {
		inner := write
		write = func(ctx context.Context, c *Client) error { return w.locked(ctx, c, entries, &now, inner) }
	}
	if err := w.on(ctx, write); err != nil {
		return err
	}
	end := entries[len(entries)-1].Status
	w.contended = w.contended && now.LastSeq != w.seq+len(entries)
	w.seq, w.began, w.ended = now.LastSeq, true, end
	if end == "" && w.run.note(now.Status, now.Attempt, now.CancelRequested, "") {
		return replaced(now.Status, now.Attempt)
	}
	return nil
}

// locked writes entries at the next seqs in a transaction. It commits nothing when another worker has the activity.
func (w *runWriter) locked(ctx context.Context, c *Client, entries []Entry, now *AppendResult, write func(context.Context, *Client) error) error {
	db, ok := c.db.(interface {
		Begin(ctx context.Context) (pgx.Tx, error)
	})
	if !ok {
		return invalid("not a connection")
	}
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := write(ctx, c.WithTx(tx)); err != nil {
			return err
		}
		end := entries[len(entries)-1].Status
		switch {
		case now.Attempt != w.run.attempt || now.Status == StatusQueued:
			return replaced(now.Status, now.Attempt)
		case end == StatusError && now.CancelRequested && w.run.end.byCancel:
			return errRequested
		}
		number(entries, now.LastSeq-len(entries)+1)
		return nil
	})
	if known := (*DBError)(nil); err != nil && !errors.As(err, &known) && !errors.Is(err, ErrReplaced) && !errors.Is(err, errRequested) {
		err = dbError("append_logs", err)
	}
	return err
}

// confirm returns an error when another worker has the activity, or when nothing more can be stored.
func (w *runWriter) confirm(ctx context.Context) error {
	retry := backoff.Growing{Least: minRetry, Most: maxSendRetry}
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
		if backoff.Wait(ctx, retry.Next()) != nil {
			return fmt.Errorf("%w (the last attempt: %w)", ctx.Err(), err)
		}
	}
}

// hopeless reports whether no retry can succeed.
func (w *runWriter) hopeless(err error) bool {
	if isAny(err, ErrNotFound, ErrInvalid, ErrReplaced, errDecode) {
		return true
	}
	state := sqlState(err)
	return !w.began && len(state) == 5 && slices.Contains([]string{"3D", "3F", "42"}, state[:2])
}

// isMoved reports whether err refuses a seq: another line has it, or it is not the next one.
func isMoved(err error) bool {
	return errors.Is(err, ErrFinished) && strings.Contains(err.Error(), " is at last_seq ")
}

// entryNum finds the entry that an error message of append_logs names.
var entryNum = regexp.MustCompile(`^entries\[(\d+)\]`)

// mend replaces data that Postgres rejects by the reason, in the entry that the error names, or in the only entry. Messages are
// valid already. mended marks the entries that were changed, and none is changed twice. It reports whether it changed one.
func mend(entries []Entry, mended []bool, problem error) (changed bool) {
	i := 0
	if found := entryNum.FindStringSubmatch(messageOf(problem)); found != nil {
		i, _ = strconv.Atoi(found[1])
	} else if len(entries) > 1 {
		return false
	}
	if i >= len(entries) || entries[i].Data == nil || mended[i] {
		return false
	}
	text := problem.Error()
	entries[i].Data, mended[i] = logline.Encode(map[string]any{"rejected": text[:min(len(text), 1000)]}), true
	return true
}

// messageOf returns the message of Postgres.
func messageOf(err error) string {
	if e := (*DBError)(nil); errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
