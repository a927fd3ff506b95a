package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// parentPoll is how often we look whether our parent is still there. No signal tells of its death on all systems.
const parentPoll = 500 * time.Millisecond

// whileParentLives returns a context that ends when our parent process dies, so that nothing is left running when it is
// killed and cannot stop us. Under go run the parent's parent counts as well: go run then has no parent itself, but lives.
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

// underGoRun reports whether go run built this program for this one run.
func underGoRun() bool {
	executable, err := os.Executable()
	return err == nil && strings.Contains(filepath.ToSlash(executable), "/go-build")
}

// isParent reports whether child has that parent, or true where that cannot be known.
func isParent(ctx context.Context, parent, child int) bool {
	now := parentOf(ctx, child)
	return now == parent || now == 0
}

// parentOf returns the parent of a process, 0 where that cannot be found out.
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
