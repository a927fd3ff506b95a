package devpg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stop stops Postgres and keeps the data: first with a fast shutdown (open transactions are rolled back), after 10 s with an
// immediate one. It returns when no process of the server runs, and may be called more than once.
//
// It returns an error if the server had to be killed.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop()
}

func (s *Server) stop() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.stop()
}

// Restart starts Postgres again on the same port and data; it stops a running one first. ctx bounds the start.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stop(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.StartTimeout)
	defer cancel()
	return s.run(ctx)
}

// Kill ends Postgres and all its backends at once with SIGKILL, as a crash of the machine would: data that was not flushed is
// lost. It returns when no process of the server runs; Restart recovers the server. It does nothing on a stopped server.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	select {
	case <-s.proc.done:
		return nil
	default:
	}
	pid, _, ok := readPidFile(s.DataDir)
	if !ok || !s.proc.owns(pid) {
		return fmt.Errorf("kill PostgreSQL: no process id of ours in %s", pidFile(s.DataDir))
	}
	// Stopped first, so that it starts no further backend and does not react to the end of those killed here.
	err := syscall.Kill(pid, syscall.SIGSTOP)
	for _, child := range children(pid) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	<-s.proc.done
	return err
}

// children lists the processes started by pid, and none where there is no ps: backends then end by themselves, a moment after
// their server.
func children(pid int) []int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=", "-o", "ppid=").Output()
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(fields[0]); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// errPortTaken is in the error of a start that failed because another program listens on the port.
var errPortTaken = errors.New("the port is taken")

// startFailure describes how postgres ended before it accepted connections.
func (p *process) startFailure() error {
	err, log := p.failure(), p.log.String()
	switch {
	case strings.Contains(log, "could not create any TCP/IP sockets"):
		return fmt.Errorf("%w: %w", errPortTaken, err)
	case strings.Contains(log, `lock file "postmaster.pid" already exists`):
		return fmt.Errorf("%w: %w", ErrRunning, err) // another process was first, by a moment
	}
	return err
}

// freePort returns a port without a listener, below the range of ports for outgoing connections. From that range, a client
// that retries while the server is down could get the server's port, or even connect to itself on it.
func freePort() (port int) {
	for range 100 {
		if port = 20000 + rand.IntN(12000); isFree(port) {
			break
		}
	}
	return port // if none was free, postgres reports why
}

// isFree reports whether a port has no listener now. Port 0 is not free.
func isFree(port int) bool {
	if port == 0 {
		return false
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}
