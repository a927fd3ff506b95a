package process

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

// parentPoll is how often the parent process is checked. Not every system has a signal for its death.
const parentPoll = 500 * time.Millisecond

// WhileParentLives returns a context that ends when the parent process dies, so that nothing runs on when the parent is
// killed. Under go run, the parent's parent counts as well: when that dies, go run itself goes on.
func WhileParentLives(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	parent := os.Getppid()
	grandparent := 0
	if UnderGoRun() {
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

// UnderGoRun reports whether go run built this program for this run.
func UnderGoRun() bool {
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
