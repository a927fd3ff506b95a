package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/agentexec/agentexec/internal/logline"
)

// Logger returns a logger that stores every record as a line of the activity: its message, and its attributes in data. Groups
// are objects in data, data.level is the record's level ("INFO"; an attribute of that name is replaced). Durations are text
// ("1.5s"), errors their text. A message over 1 MiB is cut, and data over 1 MiB is replaced by its size. Records below
// RunParams.LogLevel are dropped. The time of a line is that of the server.
//
// A record is stored within moments, or when the buffer is flushed; see Client.Run.
func (r *Run) Logger() *slog.Logger {
	return slog.New(logline.NewHandler(r.params.LogLevel, r.writer.Add))
}

// Writer returns a writer that stores every line of text as a line of the activity, without its line break (LF or CR LF). An
// unfinished last line is stored by Flush, or when the work ends. A line over 1 MiB is stored as several lines. NUL and
// invalid UTF-8 become U+FFFD. Every call returns the same writer, so that it may be both the Stdout and the Stderr of an
// exec.Cmd.
//
// Write returns when the lines are in the buffer of the run, and blocks while the buffer is full. It returns an error when
// lines cannot be stored any more; see Client.Run.
func (r *Run) Writer() io.Writer { return r.text }

// Log stores a line. It takes the options WithPercentage and WithData. It returns when the line is in the buffer of the
// run; ctx bounds the wait for room. Returns ErrInvalid for another option or data that cannot be written as JSON, and the
// errors of Flush when lines cannot be stored any more.
func (r *Run) Log(ctx context.Context, message string, opts ...UpdateOption) error {
	o := applyUpdate(opts)
	l := logline.Line{Message: logline.Message(message)}
	switch {
	case o.status != nil:
		return invalid("WithStatus does not go with Run.Log: the status follows from how the work ends")
	case o.atSeq != nil:
		return invalid("WithAtSeq does not go with Run.Log: the run numbers its lines")
	case o.percentage != nil && !(*o.percentage >= 0 && *o.percentage <= 100):
		return invalid(fmt.Sprintf("percentage must be between 0 and 100, got %v", *o.percentage))
	case o.percentage != nil:
		l.Percentage = new(int(*o.percentage))
	}
	if o.data != nil {
		data, err := json.Marshal(o.data)
		if err != nil {
			return invalid(fmt.Sprintf("data cannot be written as JSON: %v", err))
		}
		if len(data) > logline.MaxData {
			return invalid(fmt.Sprintf("data must be at most %d bytes, got %d", logline.MaxData, len(data)))
		}
		l.Data = logline.CleanJSON(data)
	}
	return r.writer.Add(ctx, l)
}

// Progress stores a line "12 of 40" with the percentage, rounded down; it is 100 where done is more than total. Returns
// ErrInvalid when total is not positive or done is negative, and otherwise the errors of Log.
func (r *Run) Progress(ctx context.Context, done, total int) error {
	if total <= 0 || done < 0 {
		return invalid(fmt.Sprintf("progress must be at least 0 of at least 1, got %d of %d", done, total))
	}
	percentage := 100
	if done < total {
		percentage = int(float64(done) / float64(total) * 100)
	}
	return r.writer.Add(ctx, logline.Line{Message: fmt.Sprintf("%d of %d", done, total), Percentage: &percentage})
}

// Flush returns when all lines so far are stored, including an unfinished last line of Writer. Returns the cause of ctx when
// ctx ends before, and ErrReplaced, ErrNotFound or an error of Postgres when lines cannot be stored any more.
func (r *Run) Flush(ctx context.Context) error {
	return errors.Join(r.text.Flush(ctx, r.writer.Add), r.writer.Flush(ctx))
}
