package main

import (
	"context"
	"fmt"
)

// background is something long-lived that runs beside the command. The caller that starts it stops it.
type background struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // why; set before done is closed
}

// start runs something until stop is called. It does not end with ctx: things are stopped in their order.
func start(ctx context.Context, run func(ctx context.Context) error) *background {
	b := &background{done: make(chan struct{})}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(b.done)
		b.err = run(ctx)
	}()
	return b
}

// stop returns when it has ended.
func (b *background) stop() {
	b.cancel()
	<-b.done
}

// ended says why it ended by itself. Call it after done.
func (b *background) ended(what string) error {
	if b.err == nil {
		return fmt.Errorf("%s ended unexpectedly", what)
	}
	return b.err
}
