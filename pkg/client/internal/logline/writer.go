package client

import (
	"bytes"
	"context"
	"io"
	"strings"
	"unicode/utf8"
)

// maxMessage is the largest message of a line, in bytes.
const maxMessage = 1 << 20

// Writer returns a writer that stores every line of text as a line of the activity, without its line break (LF or CR LF). An
// unfinished last line is stored by Flush, or when the work ends. A line over 1 MiB is stored as several lines. NUL and
// invalid UTF-8 become U+FFFD. Every call returns the same writer, so that it may be both the Stdout and the Stderr of an
// exec.Cmd.
//
// Write returns when the lines are in the buffer of the run, and blocks while the buffer is full. It returns an error when
// lines cannot be stored any more; see Client.Run.
func (r *Run) Writer() io.Writer { return r.text }

// textWriter splits text into lines.
type textWriter struct {
	run  *Run
	lock chan struct{} // holds one token, so that it can be taken with a context
	rest []byte        // the unfinished line
}

func newTextWriter(r *Run) *textWriter {
	w := &textWriter{run: r, lock: make(chan struct{}, 1)}
	w.lock <- struct{}{}
	return w
}

// Write implements io.Writer.
func (w *textWriter) Write(p []byte) (n int, err error) {
	<-w.lock // its holder waits at most until the context of work ends
	defer func() { w.lock <- struct{}{} }()
	for n < len(p) {
		part := p[n:]
		end, ended := bytes.IndexByte(part, '\n'), true
		if end < 0 {
			end, ended = len(part), false
		}
		room := maxMessage - len(w.rest)
		if room == 0 && end > 0 {
			if err := w.emit(w.run.ctx, false, w.run.writer.add); err != nil {
				return n, err
			}
			continue
		}
		if end > room {
			end, ended = room, false
		}
		w.rest = append(w.rest, part[:end]...)
		n += end
		if ended {
			if err := w.emit(w.run.ctx, true, w.run.writer.add); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// emit stores the unfinished line; ended tells that its line break was read. If the line is cut within a rune, the bytes of
// that rune stay for the next line.
func (w *textWriter) emit(ctx context.Context, ended bool, add func(context.Context, runLine) error) error {
	text := w.rest
	if ended {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	size := len(text)
	if !ended && size == maxMessage {
		size = wholeRunes(text)
	}
	rest := w.rest[len(w.rest):]
	if size < len(text) {
		rest = bytes.Clone(text[size:])
	}
	var err error
	for message := clean(string(text[:size])); err == nil; {
		piece := firstPiece(message)
		err = add(ctx, runLine{message: piece})
		if message = message[len(piece):]; message == "" {
			break
		}
	}
	if w.rest = w.rest[:0]; cap(w.rest) > 64<<10 {
		w.rest = nil
	}
	w.rest = append(w.rest, rest...)
	return err
}

// flush stores the unfinished line, if there is one.
func (w *textWriter) flush(ctx context.Context, add func(context.Context, runLine) error) error {
	select {
	case <-w.lock:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { w.lock <- struct{}{} }()
	if len(w.rest) == 0 {
		return nil
	}
	return w.emit(ctx, false, add)
}

// wholeRunes returns the length of text without an incomplete rune at its end.
func wholeRunes(text []byte) int {
	for n := 1; n < utf8.UTFMax && n < len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return len(text) - n
			}
			break
		}
	}
	return len(text)
}

// clean returns text that Postgres can store: NUL and invalid UTF-8 become U+FFFD.
func clean(text string) string {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\ufffd")
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// firstPiece returns as much of the valid text as one message holds.
func firstPiece(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	size := maxMessage
	for !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}
