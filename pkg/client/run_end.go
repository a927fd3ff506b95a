package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"

	"github.com/agentexec/agentexec/internal/logline"
	"github.com/agentexec/agentexec/pkg/client/internal/linequeue"
)

// maxStack bounds the stack of a panic in data.
const maxStack = 64 << 10

// ending is how the work ended.
type ending struct {
	status   Status
	message  string
	data     map[string]any
	byCancel bool   // the status is CANCELED if a cancel was requested before the end is stored
	reason   string // data.error of CANCELED
}

// endOf returns the ending of work that returned.
func (r *Run) endOf(err error) ending {
	if err == nil {
		return ending{status: StatusComplete, message: "Agent completed"}
	}
	e := ending{status: StatusError, message: logline.Message(err.Error()), byCancel: true, data: map[string]any{}}
	if e.message == "" {
		e.message = "Agent failed"
	}
	if r.parent.Err() != nil {
		e.data["interrupted"] = true
	}
	if !errors.Is(err, context.Canceled) && !errors.Is(err, ErrCanceled) {
		e.reason = e.message
	}
	return e
}

// endOfReturn is endOf, and the ending of a panic where a method of the error panics, as with a nil pointer in it.
func (r *Run) endOfReturn(err error) (e ending, thrown any) {
	defer func() {
		if thrown = recover(); thrown != nil {
			e = endOfPanic(thrown, debug.Stack())
		}
	}()
	return r.endOf(err), nil
}

// endOfPanic returns the ending of work that panicked; nil stands for runtime.Goexit.
func endOfPanic(thrown any, stack []byte) ending {
	message := "the work called runtime.Goexit"
	if thrown != nil {
		message = fmt.Sprintf("panic: %v", thrown)
	}
	return ending{status: StatusError, message: logline.Message(message), data: map[string]any{"stack": logline.Clean(string(stack[:min(len(stack), maxStack)]))}}
}

// endEntry returns the last line of the run. An error becomes CANCELED if the run knows of a request to cancel.
func (r *Run) endEntry(dropped int) Entry {
	e := r.end
	l := Entry{Message: e.message, Status: e.status}
	data := maps.Clone(e.data)
	if e.byCancel && r.canceled.Load() {
		l.Message, l.Status = "Canceled", StatusCanceled
		data = map[string]any{}
		if e.reason != "" {
			data["error"] = e.reason
		}
	}
	if dropped > 0 {
		if data == nil {
			data = map[string]any{}
		}
		data["dropped_lines"] = dropped
	}
	if l.Status == StatusComplete {
		l.Percentage = new(100)
	}
	if len(data) > 0 {
		l.Data = logline.Encode(data)
	}
	return l
}

// finish stores the last lines and the end, stops the writer and the heartbeats, and returns the error of Client.Run.
func (r *Run) finish(err error) error {
	r.stop(linequeue.ErrEnded)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.parent), r.params.EndTimeout)
	defer cancel()
	_ = r.text.Flush(ctx, r.writer.AddLast)
	stored, failed := r.writer.finish(ctx)
	r.leave()
	if stored == StatusCanceled && !errors.Is(err, ErrCanceled) {
		err = fmt.Errorf("%w: %w", ErrCanceled, err)
	}
	if failed != nil {
		failed = fmt.Errorf("agentexec: the end of activity %s: %w", r.id, failed)
	}
	if r.canceled.Load() && failed != nil && !errors.Is(failed, ErrCanceled) && !errors.Is(err, ErrCanceled) {
		failed = fmt.Errorf("%w: %w", ErrCanceled, failed)
	}
	if err != nil && failed != nil {
		return errors.Join(err, failed)
	}
	if err == nil {
		return failed
	}
	return err
}
