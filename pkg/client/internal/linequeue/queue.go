package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/agentexec/agentexec/internal/notify"
	"github.com/agentexec/agentexec/pkg/client/internal/logline"
	"github.com/agentexec/agentexec/pkg/client/internal/poolconn"
)

const (
	// sendAfter is how long a line waits at most for more lines, while Postgres keeps up.
	sendAfter = 50 * time.Millisecond
	// sendLines and sendBytes start a batch before sendAfter.
	sendLines, sendBytes = 256, 256 << 10
	// maxBatchLines and sendBytes bound a batch. It has more than sendLines if they came while the batch before was sent.
	maxBatchLines = 1024
	// maxBuffered bounds the lines of a run that are not stored yet.
	maxBuffered = 3 << 20
	// lineOverhead is the memory of a line beside its text.
	lineOverhead = 128
)

// size returns the memory of a line.
func size(l logline.Line) int { return len(l.Message) + len(l.Data) + lineOverhead }

// runWriter stores the lines of one run, in order. One goroutine sends them (run_send.go). A batch stays at the head of the
// queue until it is stored.
type runWriter struct {
	run    *Run
	cancel context.CancelFunc // of the sender
	done   chan struct{}      // closed when the sender has ended
	wake   notify.Signal      // of the sender: there is more to do

	mu      sync.Mutex
	queue   []logline.Line
	bytes   int           // of the queue
	since   time.Time     // when the first line of the queue came, or the last batch was stored
	added   int64         // lines that were ever in the queue
	stored  int64         // lines that left the queue
	urgent  int64         // lines up to this one are sent at once
	closed  bool          // no more lines
	dropped int           // lines that found no room
	failed  error         // no line can be stored any more
	changed chan struct{} // closed, and replaced, when lines were stored or cannot be

	// Of the sender.
	seq       int // of the last line of the activity
	conns     poolconn.Source
	contended bool   // others write to the activity
	began     bool   // a batch is stored
	refused   error  // of the end
	ended     Status // of the end, as stored
}

func newRunWriter(r *Run, seq int) *runWriter {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.parent))
	w := &runWriter{run: r, seq: seq, conns: poolconn.Source{Pool: r.pool}, cancel: cancel, done: make(chan struct{}), wake: notify.NewSignal(), changed: make(chan struct{})}
	go w.loop(ctx)
	return w
}

// add puts a line into the queue. It waits for room, until ctx or the context of work ends.
func (w *runWriter) add(ctx context.Context, l logline.Line) error {
	for {
		room, err := w.tryAdd(l)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-w.run.ctx.Done():
			return w.drop(context.Cause(w.run.ctx))
		case <-ctx.Done():
			return w.drop(context.Cause(ctx))
		}
	}
}

// tryAdd puts a line into the queue, or returns the channel that is closed when there may be room.
func (w *runWriter) tryAdd(l logline.Line) (room <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failed != nil:
		return nil, w.failed
	case w.closed:
		return nil, errRunEnded
	case w.dropped > 0 && w.run.ctx.Err() != nil:
		w.dropped++ // the lines before it were dropped, and it must not be stored without them
		return nil, context.Cause(w.run.ctx)
	case w.bytes > 0 && w.bytes+size(l) > maxBuffered:
		return w.changed, nil
	}
	w.push(l)
	return nil, nil
}

// addLast puts the last lines of the text into the queue, also when it is full.
func (w *runWriter) addLast(_ context.Context, l logline.Line) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped > 0 {
		w.dropped++
		return nil
	}
	w.push(l)
	return nil
}

// push appends a line, and wakes the sender if it must wait less long with this line.
func (w *runWriter) push(l logline.Line) {
	if len(w.queue) == 0 {
		w.since = time.Now()
	}
	w.queue = append(w.queue, l)
	w.bytes += size(l)
	w.added++
	if len(w.queue) == 1 || len(w.queue) == sendLines || w.bytes >= sendBytes {
		w.wake.Set()
	}
}

// drop counts a line that found no room.
func (w *runWriter) drop(cause error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped++
	return fmt.Errorf("agentexec: no room for the line: %w", cause)
}

// flush returns when all lines that are in the queue now are stored.
func (w *runWriter) flush(ctx context.Context) error {
	w.mu.Lock()
	goal := w.added
	w.urgent = goal
	w.mu.Unlock()
	w.wake.Set()
	for {
		w.mu.Lock()
		stored, failed, changed := w.stored, w.failed, w.changed
		w.mu.Unlock()
		switch {
		case stored >= goal:
			return nil
		case failed != nil:
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// finish stores the lines that are left, and the end with them, until ctx ends. It returns the status of the end that was
// stored, "" where none was. No goroutine is left.
func (w *runWriter) finish(ctx context.Context) (ended Status, err error) {
	w.mu.Lock()
	w.closed = true
	w.push(logline.Line{End: true})
	w.mu.Unlock()
	w.wake.Set()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	w.cancel()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failed == nil:
		return w.ended, w.refused
	case len(w.queue) > 1:
		return "", fmt.Errorf("%d lines were not stored: %w", len(w.queue)-1, w.failed)
	}
	return "", w.failed
}

// fail makes the writer refuse all lines.
func (w *runWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
	close(w.changed)
	w.changed = make(chan struct{})
	w.cancel()
}

// remove takes stored lines from the queue.
func (w *runWriter) remove(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.queue[:n] {
		w.bytes -= size(l)
	}
	clear(w.queue[:n])
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	w.stored += int64(n)
	w.since = time.Now()
	close(w.changed)
	w.changed = make(chan struct{})
}

// next waits for the next batch. It returns none when there are no more, or when ctx ends.
func (w *runWriter) next(ctx context.Context) ([]logline.Line, error) {
	for {
		batch, wait, over := w.batch()
		if batch != nil || over {
			return batch, nil
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if wait > 0 {
			limited, cancel = context.WithTimeout(ctx, wait)
		}
		select {
		case <-w.wake:
		case <-limited.Done():
		}
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// batch returns the lines to send now. Without any, it returns how long to wait (0: until a wake-up), and whether no more come.
func (w *runWriter) batch() (batch []logline.Line, wait time.Duration, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil, 0, w.closed
	}
	wait = sendAfter - time.Since(w.since)
	if len(w.queue) < sendLines && w.bytes < sendBytes && w.urgent <= w.stored && !w.closed && wait > 0 {
		return nil, wait, false
	}
	n, bytes := 0, 0
	for n < len(w.queue) && n < maxBatchLines && (n == 0 || bytes+size(w.queue[n]) <= sendBytes) {
		bytes += size(w.queue[n])
		n++
	}
	if n < len(w.queue) && w.queue[n].End {
		n++ // the end goes with the lines before it
	}
	return w.queue[:n:n], 0, false
}
