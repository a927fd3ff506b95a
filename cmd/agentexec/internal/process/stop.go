// Package process is about the life of the program's own process: signals that stop it, the death of its parent, and tasks that run
// beside a command and are stopped in a fixed order.
//
// May import: internal/exit of this program, for the exit code of an interrupt.
package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
)

// repeatedSignal is the time within which a second signal counts as the first one: a terminal, a shell and a wrapper may each send theirs.
const repeatedSignal = 500 * time.Millisecond

// UntilStopped returns a context that ends with the first SIGINT, SIGTERM or, unless it has another meaning (others), SIGHUP.
// After that, another SIGINT or SIGTERM ends the process at once. Call stop when nothing remains to be stopped.
func UntilStopped(ctx context.Context, stderr io.Writer, others ...os.Signal) (_ context.Context, stop context.CancelFunc) {
	wanted := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) && !slices.Contains(others, os.Signal(syscall.SIGHUP)) { // nohup
		wanted = append(wanted, syscall.SIGHUP)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, wanted...)
	// A last log line to a closed pipe must not kill the process during the shutdown.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				switch {
				case first.IsZero():
					first = time.Now()
					cancel()
				case sig != syscall.SIGHUP && time.Since(first) > repeatedSignal:
					_, _ = fmt.Fprintln(stderr, "agentexec: stopped at once, as asked")
					os.Exit(exit.CodeInterrupted)
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
