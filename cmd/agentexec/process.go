package main

import (
	"bytes"
	"context"
	"fmt"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// repeatedSignal is the time within which a second signal counts as the first one: a terminal, a shell and a wrapper may each send theirs.
const repeatedSignal = 500 * time.Millisecond

// untilStopped returns a context that ends with the first SIGINT, SIGTERM or, unless it has another meaning (others), SIGHUP.
// After that, another SIGINT or SIGTERM ends the process at once. Call stop when nothing remains to be stopped.
func untilStopped(ctx context.Context, stderr io.Writer, others ...os.Signal) (_ context.Context, stop context.CancelFunc) {
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

// parentPoll is how often the parent process is checked. Not every system has a signal for its death.
const parentPoll = 500 * time.Millisecond

// whileParentLives returns a context that ends when the parent process dies, so that nothing runs on when the parent is
// killed. Under go run, the parent's parent counts as well: when that dies, go run itself goes on.
func whileParentLives(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	parent := os.Getppid()
	grandparent := 0
	if underGoRun() {
		grandparent = parentOf(ctx, parent)
	}
	go func() {
		ticker := time.NewTicker(parentPoll)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if os.Getppid() != parent || grandparent > 1 && !isParent(ctx, grandparent, parent) {
				stop()
				return
			}
		}
	}()
	return ctx, stop
}

// underGoRun reports whether go run built this program for this run.
func underGoRun() bool {
	executable, err := os.Executable()
	return err == nil && strings.Contains(filepath.ToSlash(executable), "/go-build")
}

// isParent reports whether child has that parent; it is true where that is not known.
func isParent(ctx context.Context, parent, child int) bool {
	now := parentOf(ctx, child)
	return now == parent || now == 0
}

// parentOf returns the parent of a process, 0 where that is not known.
func parentOf(ctx context.Context, pid int) int {
	// The fields after the name, which is in parentheses and may hold anything: state, parent.
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(string(fields[1]))
			return parent
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "ppid=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	parent, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	return parent
}

// background is a long-lived task that runs beside the command. The caller that starts it stops it.
type background struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // the error of its end; set before done is closed
}

// start runs a task until stop is called. It does not end with ctx, because tasks are stopped in a fixed order.
func start(ctx context.Context, run func(ctx context.Context) error) *background {
	b := &background{done: make(chan struct{})}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(b.done)
		b.err = run(ctx)
	}()
	return b
}

// stop stops the task and waits until it has ended.
func (b *background) stop() {
	b.cancel()
	<-b.done
}

// ended returns an error that says why the task ended by itself. Call it after done.
func (b *background) ended(what string) error {
	if b.err == nil {
		return fmt.Errorf("%s ended unexpectedly", what)
	}
	return b.err
}
