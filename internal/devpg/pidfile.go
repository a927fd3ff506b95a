package devpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrRunning is returned by Start when another server runs on the data folder.
var ErrRunning = errors.New("PostgreSQL runs already")

// leaveLimit is how long Start waits for the shutdown of a server whose process has just died.
const leaveLimit = 15 * time.Second

// pidFile is the file that a running postgres writes into its data folder.
func pidFile(dataDir string) string { return filepath.Join(dataDir, "postmaster.pid") }

// readPidFile returns the process and port of the server on dataDir; ok is false if there is no complete pid file.
func readPidFile(dataDir string) (pid, port int, ok bool) {
	content, err := os.ReadFile(pidFile(dataDir))
	if err != nil {
		return 0, 0, false
	}
	lines := strings.Split(string(content), "\n")
	if len(lines) < 4 {
		return 0, 0, false
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(lines[0]))
	port, err2 := strconv.Atoi(strings.TrimSpace(lines[3]))
	return pid, port, err1 == nil && err2 == nil && pid > 0
}

// portOption matches this package's port option in postmaster.opts.
var portOption = regexp.MustCompile(`"port=([1-9][0-9]{0,4})"`)

// lastPort returns the port of the last start on dataDir, 0 where there was none. postgres keeps its command line in
// postmaster.opts, which stays after a shutdown.
func lastPort(dataDir string) int {
	content, err := os.ReadFile(filepath.Join(dataDir, "postmaster.opts"))
	found := portOption.FindSubmatch(content)
	if err != nil || found == nil {
		return 0
	}
	port, err := strconv.ParseUint(string(found[1]), 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// saysReady reports whether this server has written into its pid file that it accepts connections. This check avoids a log
// line for every early attempt. It also distinguishes this server from one that another process has started on the same folder
// and port in the meantime.
func (s *Server) saysReady() bool {
	pid, _, ok := readPidFile(s.DataDir)
	if !ok || !s.proc.owns(pid) {
		return false
	}
	content, err := os.ReadFile(pidFile(s.DataDir))
	lines := strings.Split(string(content), "\n")
	return err == nil && len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

// freeSharedMemory frees the segment of a server that was killed on dataDir, as its next start would do. It is small, but a
// system has room for few (macOS for 32), and nothing else frees it.
func freeSharedMemory(dataDir string) {
	content, err := os.ReadFile(pidFile(dataDir))
	lines := strings.Split(string(content), "\n")
	if err != nil || len(lines) < 7 {
		return // it was shut down, and freed its memory itself
	}
	if key := strings.Fields(lines[6]); len(key) == 2 { // the key and the id
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = exec.CommandContext(ctx, "ipcrm", "-m", key[1]).Run()
	}
}

// ensureFree returns ErrRunning if a server runs on the data folder. It waits for one that is shutting down. It clears the pid
// file of a killed server if another program has that process id by now: postgres would refuse to start. (Where no process has
// that id, postgres clears the file itself.)
func (s *Server) ensureFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	for {
		pid, port, ok := readPidFile(s.DataDir)
		if !ok || !alive(pid) {
			return nil
		}
		if !isPostgres(pid) {
			return os.Remove(pidFile(s.DataDir))
		}
		running := fmt.Errorf("%w on data folder %s (process %d, port %d): stop it, or choose another folder",
			ErrRunning, s.DataDir, pid, port)
		if s.answers(ctx, port) {
			return running
		}
		select {
		case <-ctx.Done():
			return running
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answers reports whether the server of an earlier start accepts connections at port.
func (s *Server) answers(ctx context.Context, port int) bool {
	password, err := os.ReadFile(filepath.Join(s.DataDir, passwordFile))
	if err != nil {
		return false
	}
	probe := &Server{password: strings.TrimSpace(string(password)), Port: port}
	return probe.ping(ctx) == nil
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isPostgres reports whether a process is a postgres; it is true where that is not known.
func isPostgres(pid int) bool {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // Linux; empty for a zombie
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		command, err = exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	}
	program, _, _ := strings.Cut(strings.ReplaceAll(string(command), "\x00", " "), " ")
	return err != nil || strings.HasPrefix(filepath.Base(program), "postgres")
}
