package client

import (
	"context"
	"fmt"
	"time"

	"github.com/agentexec/agentexec/pkg/client/internal/linequeue"
	"github.com/agentexec/agentexec/pkg/client/internal/poolconn"
)

// tryTimeout bounds one try, so that a silently dead connection is detected.
const tryTimeout = 30 * time.Second

// runWriter stores the lines of one run, in order. One goroutine sends them (run_send.go).
type runWriter struct {
	*linequeue.Queue
	run    *Run
	cancel context.CancelFunc // of the sender
	done   chan struct{}      // closed when the sender has ended

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
	w := &runWriter{Queue: linequeue.New(r.ctx), run: r, seq: seq, conns: poolconn.Source{Pool: r.pool}, cancel: cancel, done: make(chan struct{})}
	go w.loop(ctx)
	return w
}

// finish stores the lines that are left, and the end with them, until ctx ends. It returns the status of the end that was
// stored, "" where none was. No goroutine is left.
func (w *runWriter) finish(ctx context.Context) (ended Status, err error) {
	w.Close()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	w.cancel()
	<-w.done
	switch left, failed := w.Failed(); {
	case failed == nil:
		return w.ended, w.refused
	case left > 1:
		return "", fmt.Errorf("%d lines were not stored: %w", left-1, failed)
	default:
		return "", failed
	}
}

// fail makes the writer refuse all lines, and ends the sender.
func (w *runWriter) fail(err error) {
	w.Fail(err)
	w.cancel()
}

// loop sends batches until the last one is stored, no line can be stored any more, or ctx ends.
func (w *runWriter) loop(ctx context.Context) {
	defer close(w.done)
	for {
		batch, err := w.Next(ctx)
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
		w.Remove(len(batch))
	}
}

// on calls f with a client on a connection.
func (w *runWriter) on(ctx context.Context, f func(context.Context, *Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	conn, free, err := w.conns.Acquire(ctx)
	if err != nil {
		return dbError("acquire a connection", err)
	}
	defer free()
	in := *w.run.c
	in.db = conn
	return f(ctx, &in)
}
