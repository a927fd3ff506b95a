// Package loginput writes the lines of an input into the log of an activity, many at once where many have arrived: the command
// log with - as its message.
//
// May import: pkg/client, internal/logline, internal/terminal, and internal/exit of this program.
package loginput

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/internal/logline"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// batchLines and batchBytes are the sizes at which lines are written at once; batchTime is how long fewer lines wait.
	batchLines, batchBytes = 500, 1 << 20
	batchTime              = 100 * time.Millisecond
	// lastWords is how long input is still read after Ctrl-C, which a program before this one in a pipe receives as well.
	lastWords = 300 * time.Millisecond
)

// Writer writes the lines of an input into an activity's log, in order. It writes many at once where many have arrived.
type Writer struct {
	Client    *client.Client
	Each      client.Entry // the fields of each line but its message; AtSeq is that of the next line, 0 for any
	Canceling func()       // called once, when a cancel is requested
	Written   int          // how many lines the log has of the input

	waiting []client.Entry
	bytes   int
}

// Copy reads until the input ends, or ctx does. Then it still writes the input read so far. A line of the input that is too long for
// one message becomes several.
func (l *Writer) Copy(ctx context.Context, in io.Reader) error {
	pieces, failed := readPieces(in)
	var (
		lines = logline.NewWriter(context.WithoutCancel(ctx), l.add)
		due   <-chan time.Time // for the waiting lines
		over  <-chan time.Time // after ctx has ended
	)
	done := ctx.Done()
	for {
		select {
		case piece, more := <-pieces:
			if !more {
				return errors.Join(l.finish(ctx, lines), <-failed)
			}
			_, _ = lines.Write(piece) // add does not fail
			if len(l.waiting) >= batchLines || l.bytes >= batchBytes {
				if err := l.flush(ctx); err != nil {
					return err
				}
			}
			if due == nil && len(l.waiting) > 0 {
				due = time.After(batchTime)
			}
		case <-due:
			due = nil
			if err := l.flush(ctx); err != nil {
				return err
			}
		case <-done:
			done, over = nil, time.After(lastWords)
		case <-over:
			return l.finish(ctx, lines)
		}
	}
}

// readPieces reads in the background, because a read may block for ever. At the end it closes pieces; failed then has the
// error, nil at the end of the input.
func readPieces(in io.Reader) (pieces <-chan []byte, failed <-chan error) {
	out, ended := make(chan []byte), make(chan error, 1)
	go func() {
		defer close(out)
		for {
			piece := make([]byte, 64<<10)
			n, err := in.Read(piece)
			if n > 0 {
				out <- piece[:n]
			}
			if errors.Is(err, io.EOF) {
				err = nil
			} else if err == nil {
				continue
			}
			ended <- err
			return
		}
	}()
	return out, ended
}

// add adds a line to those that wait.
func (l *Writer) add(_ context.Context, line logline.Line) error {
	entry := l.Each
	entry.Message = line.Message
	if l.Each.AtSeq > 0 {
		l.Each.AtSeq++
	}
	l.waiting = append(l.waiting, entry)
	l.bytes += len(line.Message)
	return nil
}

// finish writes the remaining lines.
func (l *Writer) finish(ctx context.Context, lines *logline.Writer) error {
	_ = lines.Flush(context.WithoutCancel(ctx), l.add) // add does not fail
	return l.flush(ctx)
}

// flush writes all waiting lines or none, also after ctx has ended. It sends each batch once: after an error, nothing is sent
// again, so no line is written twice.
func (l *Writer) flush(ctx context.Context) error {
	for len(l.waiting) > 0 {
		n, size := 0, 0
		for n < len(l.waiting) && (n == 0 || size+len(l.waiting[n].Message) <= batchBytes) {
			size += len(l.waiting[n].Message)
			n++
		}
		states, err := l.Client.AppendLogs(context.WithoutCancel(ctx), l.waiting[:n])
		if err != nil {
			return &exit.Error{Code: exit.Code(err), Err: fmt.Errorf("after %s: %s",
				terminal.Counted(l.Written, "line", "lines"), entryNumber.ReplaceAllString(exit.Explain(err), ""))}
		}
		if states[0].CancelRequested && l.Canceling != nil && !states[0].Status.IsFinished() {
			l.Canceling()
			l.Canceling = nil
		}
		l.Written += n
		l.waiting = l.waiting[n:]
	}
	l.waiting, l.bytes = l.waiting[:0], 0
	return nil
}

// entryNumber matches the beginning of append_logs's errors. The number means nothing to a caller that sent single lines.
var entryNumber = regexp.MustCompile(`entries\[\d+\](: |\.)?`)
