package process

import (
	"context"
	"fmt"
)

// Background is a long-lived task that runs beside the command. The caller that starts it stops it.
type Background struct {
	Done chan struct{} // closed when it has ended

	cancel context.CancelFunc
	err    error // the error of its end; set before Done is closed
}

// Start runs a task until Stop is called. It does not end with ctx, because tasks are stopped in a fixed order.
func Start(ctx context.Context, run func(ctx context.Context) error) *Background {
	b := &Background{Done: make(chan struct{})}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(b.Done)
		b.err = run(ctx)
	}()
	return b
}

// Stop stops the task and waits until it has ended.
func (b *Background) Stop() {
	b.cancel()
	<-b.Done
}

// Ended returns an error that says why the task ended by itself. Call it after Done.
func (b *Background) Ended(what string) error {
	if b.err == nil {
		return fmt.Errorf("%s ended unexpectedly", what)
	}
	return b.err
}
