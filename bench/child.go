package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/agentexec/agentexec/sidecar"
	"github.com/agentexec/agentexec/wsfeed"
)

// A server under measure runs in a process of its own, so that its processor time and memory can be told from the
// load's. It is this program again, with the arguments: child NAME DATABASE_URL [ADDR].

var children = map[string]func(ctx context.Context, url, addr string, ready func(feed string)) error{
	"agentexec":  runAgentexec,
	"keeping":    runKeeping,
	"guarded":    runGuarded,
	"centrifuge": runCentrifuge,
	"worker":     runWorker,
}

// childMain runs a server until its standard input ends, which it does with its parent.
func childMain(args []string) error {
	raiseFileLimit()
	run := children[args[0]]
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	tidy := make(chan os.Signal, 1)
	signal.Notify(tidy, syscall.SIGUSR1)
	go func() {
		for range tidy {
			debug.FreeOSMemory() // what is left is in use
		}
	}()
	addr := "127.0.0.1:0"
	if len(args) > 2 {
		addr = args[2]
	}
	return run(ctx, args[1], addr, func(feed string) { fmt.Println(feed) })
}

// child is such a process.
type child struct {
	feed  string // ws://...
	cmd   *exec.Cmd
	stdin io.Closer
}

func startChild(ctx context.Context, name, url string, addr ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"child", name, url}, addr...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin}
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- strings.TrimSpace(text)
	}()
	select {
	case c.feed = <-line:
	case <-time.After(20 * time.Second):
	}
	if c.feed == "" {
		c.stop()
		return nil, errors.New(name + " did not start")
	}
	return c, nil
}

func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
}

// kill ends it as kill -9 does.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// cpu is the processor time it has used.
func (c *child) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is its resident memory in bytes, after it has given back what it does not use.
func (c *child) memory() int {
	_ = c.cmd.Process.Signal(syscall.SIGUSR1)
	time.Sleep(time.Second)
	return c.resident()
}

// resident is its resident memory in bytes as it is, with what the collector has still to find.
func (c *child) resident() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		return 0 // it has ended
	}
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kb << 10
}

func runAgentexec(ctx context.Context, url, addr string, ready func(string)) error {
	return runSidecar(ctx, sidecar.Config{DatabaseURL: url, Addr: addr}, ready)
}

// runKeeping is a sidecar that keeps sockets that take nothing, so that their cost can be measured.
func runKeeping(ctx context.Context, url, addr string, ready func(string)) error {
	const long = 30 * time.Minute
	return runSidecar(ctx, sidecar.Config{DatabaseURL: url, Addr: addr, Feed: wsfeed.Config{WriteTimeout: long, PongTimeout: long}}, ready)
}

func runSidecar(ctx context.Context, c sidecar.Config, ready func(string)) error {
	c.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c.OnReady = func(u string) { ready("ws" + strings.TrimPrefix(u, "http") + "/v1/feed") }
	s, err := sidecar.New(c)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
