// Package loginput writes the lines of an input into the log of an activity, many at once where many have arrived: the command
// log with - as its message.
//
// May import: pkg/client, internal/terminal, and internal/exit of this program.
package loginput

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

const (
	// maxMessage is SQL's limit for a message, in bytes; a longer line of the input becomes several.
	maxMessage = 1 << 20
	// batchLines and batchBytes are the sizes at which lines are written at once; batchTime is how long fewer lines wait.
	batchLines, batchBytes = 500, 1 << 20
	batchTime              = 100 * time.Millisecond
	// lastWords is how long input is still read after Ctrl-C, which a program before this one in a pipe receives as well.
	lastWords = 300 * time.Millisecond
)

// splitter splits pieces of a text into lines, without their line ends. A character that Postgres cannot store becomes U+FFFD,
// and a line over maxMessage is cut between characters.
type splitter struct{ begun []byte }

func (s *splitter) push(piece []byte) (lines []string) {
	for {
		line, next, isWhole := bytes.Cut(piece, []byte("\n"))
		s.begun = append(s.begun, line...)
		for len(s.begun) > maxMessage+len("\r") {
			at := maxMessage
			for at > maxMessage-utf8.UTFMax && !utf8.RuneStart(s.begun[at]) {
				at--
			}
			lines = append(lines, messages(string(s.begun[:at]))...)
			s.begun = append(s.begun[:0], s.begun[at:]...)
		}
		if !isWhole {
			return lines
		}
		lines = append(lines, messages(string(bytes.TrimSuffix(s.begun, []byte("\r"))))...)
		s.begun, piece = s.begun[:0], next
	}
}

// rest returns the last line, where it has no line end.
func (s *splitter) rest() []string {
	if len(s.begun) == 0 {
		return nil
	}
	defer func() { s.begun = nil }()
	return messages(string(s.begun))
}

// messages returns the messages of a line: one, unless it is too long.
func messages(line string) (all []string) {
	line = strings.ReplaceAll(strings.ToValidUTF8(line, "\uFFFD"), "\x00", "\uFFFD")
	for len(line) > maxMessage {
		at := maxMessage
		for !utf8.RuneStart(line[at]) {
			at--
		}
		all, line = append(all, line[:at]), line[at:]
	}
	return append(all, line)
}

// Writer writes the lines of an input into an activity's log, in order. It writes many at once where many have arrived.
type Writer struct {
	Client    *client.Client
	Each      client.Entry // the fields of each line but its message; AtSeq is that of the next line, 0 for any
	Canceling func()       // called once, when a cancel is requested
	Written   int          // how many lines the log has of the input

	waiting []client.Entry
	bytes   int
}

// Copy reads until the input ends, or ctx does. Then it still writes the input read so far.
func (l *Writer) Copy(ctx context.Context, in io.Reader) error {
	pieces, failed := readPieces(in)
	var (
		lines splitter
		due   <-chan time.Time // for the waiting lines
		over  <-chan time.Time // after ctx has ended
	)
	done := ctx.Done()
	for {
		select {
		case piece, more := <-pieces:
			if !more {
				return errors.Join(l.finish(ctx, &lines), <-failed)
			}
			l.add(lines.push(piece))
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
			return l.finish(ctx, &lines)
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

func (l *Writer) add(lines []string) {
	for _, line := range lines {
		entry := l.Each
		entry.Message = line
		if l.Each.AtSeq > 0 {
			l.Each.AtSeq++
		}
		l.waiting = append(l.waiting, entry)
		l.bytes += len(line)
	}
}

// finish writes the remaining lines.
func (l *Writer) finish(ctx context.Context, lines *splitter) error {
	l.add(lines.rest())
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
