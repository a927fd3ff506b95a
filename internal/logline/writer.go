package logline

import (
	"bytes"
	"context"
	"unicode/utf8"
)

// Writer splits text into lines, as documented by Run.Writer.
type Writer struct {
	ctx  context.Context // bounds Write
	add  Add
	lock chan struct{} // holds one token, so that it can be taken with a context
	rest []byte        // the unfinished line
}

// NewWriter returns a writer that adds lines until ctx ends.
func NewWriter(ctx context.Context, add Add) *Writer {
	w := &Writer{ctx: ctx, add: add, lock: make(chan struct{}, 1)}
	w.lock <- struct{}{}
	return w
}

// maxRest is the size at which an unfinished line is cut. A line as long as a message may end in CR LF.
const maxRest = maxMessage + len("\r")

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (n int, err error) {
	<-w.lock // its holder waits at most until w.ctx ends
	defer func() { w.lock <- struct{}{} }()
	for n < len(p) {
		part := p[n:]
		end, ended := bytes.IndexByte(part, '\n'), true
		if end < 0 {
			end, ended = len(part), false
		}
		room := maxRest - len(w.rest)
		if room == 0 && end > 0 {
			if err := w.cut(); err != nil {
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
			if err := w.emit(w.ctx, bytes.TrimSuffix(w.rest, []byte("\r")), nil, w.add); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// cut adds as much of the unfinished line as a message holds, without half a rune at its end.
func (w *Writer) cut() error {
	n := wholeRunes(w.rest[:maxMessage])
	return w.emit(w.ctx, w.rest[:n], bytes.Clone(w.rest[n:]), w.add)
}

// emit adds text as a line, or as several if it is too long once it is clean. The unfinished line is then rest.
func (w *Writer) emit(ctx context.Context, text, rest []byte, add Add) error {
	var err error
	for message := Clean(string(text)); err == nil; {
		piece := firstPiece(message)
		err = add(ctx, Line{Message: piece})
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

// Flush adds the unfinished line, if there is one.
func (w *Writer) Flush(ctx context.Context, add Add) error {
	select {
	case <-w.lock:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { w.lock <- struct{}{} }()
	if len(w.rest) == 0 {
		return nil
	}
	return w.emit(ctx, w.rest, nil, add)
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
