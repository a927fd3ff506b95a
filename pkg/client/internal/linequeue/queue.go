// Package linequeue holds the lines of a run that are not stored yet: in order, within a bound of memory, and in batches of a size that
// Postgres takes well. One goroutine takes the batches (Next) and stores them; the queue knows no database.
//
// May import: internal/logline, internal/notify for its signals.
package linequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/agentexec/agentexec/internal/logline"
	"github.com/agentexec/agentexec/internal/notify"
)

const (
	// sendAfter is how long a line waits at most for more lines, while Postgres keeps up.
	sendAfter = 50 * time.Millisecond
	// sendLines and sendBytes start a batch before sendAfter.
	sendLines, sendBytes = 256, 256 << 10
	// maxBatchLines and sendBytes bound a batch. It has more than sendLines if they came while the batch before was sent.
	maxBatchLines = 1024
	// maxBuffered bounds the bytes of a queue.
	maxBuffered = 3 << 20
	// lineOverhead is the memory of a line beside its text.
	lineOverhead = 128
)

// size returns the memory of a line.
func size(l logline.Line) int { return len(l.Message) + len(l.Data) + lineOverhead }

// ErrEnded is the error of a line that comes after the end of its run.
var ErrEnded = errors.New("agentexec: the run has ended")

// Queue holds lines. Its methods may be called from any goroutine, Next and Remove only from the one that stores the lines.
type Queue struct {
	work context.Context // while it lasts, lines wait for room
	wake notify.Signal   // of Next: there is more to do

	mu      sync.Mutex
	lines   []logline.Line
	bytes   int              // of the lines
	since   time.Time        // when the first line came, or the last batch was stored
	added   int64            // lines that were ever in the queue
	stored  int64            // lines that left the queue
	urgent  int64            // lines up to this one are sent at once
	closed  bool             // no more lines
	dropped int              // lines that found no room
	failed  error            // no line can be stored any more
	changed notify.Broadcast // lines were stored, or cannot be
}

// New returns an empty queue. Once the context of work has ended, lines without room are dropped.
func New(work context.Context) *Queue {
	return &Queue{work: work, wake: notify.NewSignal()}
}

// Add puts a line into the queue. It waits for room, until ctx or the context of work ends; then it drops the line.
func (q *Queue) Add(ctx context.Context, l logline.Line) error {
	for {
		room, err := q.tryAdd(l)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-q.work.Done():
			return q.drop(context.Cause(q.work))
		case <-ctx.Done():
			return q.drop(context.Cause(ctx))
		}
	}
}

// tryAdd puts a line into the queue, or returns the channel that is closed when there may be room.
func (q *Queue) tryAdd(l logline.Line) (room <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.failed != nil:
		return nil, q.failed
	case q.closed:
		return nil, ErrEnded
	case q.dropped > 0 && q.work.Err() != nil:
		q.dropped++ // the lines before it were dropped, and it must not be stored without them
		return nil, context.Cause(q.work)
	case q.bytes > 0 && q.bytes+size(l) > maxBuffered:
		return q.changed.Next(), nil
	}
	q.push(l)
	return nil, nil
}

// AddLast puts the last lines of the text into the queue, also when it is full.
func (q *Queue) AddLast(_ context.Context, l logline.Line) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped > 0 {
		q.dropped++
		return nil
	}
	q.push(l)
	return nil
}

// push appends a line, and wakes the sender if it must wait less long with this line.
func (q *Queue) push(l logline.Line) {
	if len(q.lines) == 0 {
		q.since = time.Now()
	}
	q.lines = append(q.lines, l)
	q.bytes += size(l)
	q.added++
	if len(q.lines) == 1 || len(q.lines) == sendLines || q.bytes >= sendBytes {
		q.wake.Set()
	}
}

// drop counts a line that found no room.
func (q *Queue) drop(cause error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
	return fmt.Errorf("agentexec: no room for the line: %w", cause)
}

// Flush returns when all lines that are in the queue now are stored.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	goal := q.added
	q.urgent = goal
	q.mu.Unlock()
	q.wake.Set()
	for {
		q.mu.Lock()
		stored, failed, changed := q.stored, q.failed, q.changed.Next()
		q.mu.Unlock()
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

// Close puts the end of the run into the queue. No line comes after it.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.push(logline.Line{End: true})
	q.mu.Unlock()
	q.wake.Set()
}

// Fail makes the queue refuse all lines, with the first error given.
func (q *Queue) Fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed == nil {
		q.failed = err
	}
	q.changed.Send()
}

// Failed returns the error of Fail, and the number of lines that are left, with the end.
func (q *Queue) Failed() (left int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines), q.failed
}

// Dropped returns the number of lines that found no room.
func (q *Queue) Dropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Remove takes the first lines, which are stored now, from the queue.
func (q *Queue) Remove(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lines[:n] {
		q.bytes -= size(l)
	}
	clear(q.lines[:n])
	if q.lines = q.lines[n:]; len(q.lines) == 0 {
		q.lines = nil
	}
	q.stored += int64(n)
	q.since = time.Now()
	q.changed.Send()
}

// Next waits for the next batch, which stays at the head of the queue until Remove. It returns none when there are no more, or when
// ctx ends.
func (q *Queue) Next(ctx context.Context) ([]logline.Line, error) {
	for {
		batch, wait, over := q.batch()
		if batch != nil || over {
			return batch, nil
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if wait > 0 {
			limited, cancel = context.WithTimeout(ctx, wait)
		}
		select {
		case <-q.wake:
		case <-limited.Done():
		}
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// batch returns the lines to send now. Without any, it returns how long to wait (0: until a wake-up), and whether no more come.
func (q *Queue) batch() (batch []logline.Line, wait time.Duration, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) == 0 {
		return nil, 0, q.closed
	}
	wait = sendAfter - time.Since(q.since)
	if len(q.lines) < sendLines && q.bytes < sendBytes && q.urgent <= q.stored && !q.closed && wait > 0 {
		return nil, wait, false
	}
	n, bytes := 0, 0
	for n < len(q.lines) && n < maxBatchLines && (n == 0 || bytes+size(q.lines[n]) <= sendBytes) {
		bytes += size(q.lines[n])
		n++
	}
	if n < len(q.lines) && q.lines[n].End {
		n++ // the end goes with the lines before it
	}
	return q.lines[:n:n], 0, false
}
