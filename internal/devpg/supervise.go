package devpg

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

//go:embed supervise.sh
var superviseScript string

// stopLimit is how long a stop may take before everything is killed. The script uses an immediate shutdown after 10 s and
// SIGKILL after 6 s more; postgres itself kills backends that ignore an immediate shutdown for 5 s.
const stopLimit = 20 * time.Second

// process is a program run under supervise.sh: it ends when stop is called, or when this process ends.
type process struct {
	cmd   *exec.Cmd
	stdin *os.File      // the script holds the other end
	log   *logTail      // what the program printed
	done  chan struct{} // closed when the program has ended and its output is read
	err   error         // how it ended; set before done is closed
}

// supervise starts argv as the account. If this process dies before stop, the script deletes the folder remove, unless that is
// "", after the program ended. The output of the program is copied to log.
func supervise(as *account, remove string, log io.Writer, argv ...string) (*process, error) {
	stdin, ourStdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdin.Close() }()
	ourOutput, output, err := os.Pipe()
	if err != nil {
		_ = ourStdin.Close()
		return nil, err
	}
	defer func() { _ = output.Close() }()

	cmd := exec.Command("/bin/sh", append([]string{"-c", superviseScript, "sh"}, argv...)...)
	// A group of its own: Ctrl-C in a terminal reaches only this process, which stops its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	as.apply(cmd)
	cmd.Env = append(cmd.Env, "REMOVE="+remove)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, output, output
	if err := cmd.Start(); err != nil {
		_ = ourStdin.Close()
		_ = ourOutput.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := &process{cmd: cmd, stdin: ourStdin, log: &logTail{to: log}, done: make(chan struct{})}
	read := make(chan struct{})
	go p.copyOutput(ourOutput, read)
	go p.wait(ourOutput, read)
	return p, nil
}

func (p *process) copyOutput(output *os.File, read chan struct{}) {
	defer close(read)
	_, _ = io.Copy(p.log, output)
}

func (p *process) wait(output *os.File, read chan struct{}) {
	p.err = p.cmd.Wait()
	// If the script alone was killed, nothing supervises the program any more.
	_ = p.signalGroup(syscall.SIGQUIT)
	_ = output.SetReadDeadline(time.Now().Add(stopLimit)) // do not wait forever for a process that still holds the pipe
	<-read
	_ = output.Close()
	_ = p.stdin.Close()
	close(p.done)
}

// stop ends the program with SIGINT, after 10 s with SIGQUIT, after 16 s with SIGKILL, and returns when it has ended. It
// returns an error if the program still runs after stopLimit.
func (p *process) stop() error {
	_, _ = p.stdin.WriteString("stop\n") // fails if it has ended already
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
	}
	err := p.signalGroup(syscall.SIGKILL)
	<-p.done
	return errors.Join(fmt.Errorf("%s did not stop within %s and was killed", p.program(), stopLimit), err)
}

// owns reports whether pid is the program: postgres stays in the group of the script, unlike its children.
func (p *process) owns(pid int) bool {
	group, err := syscall.Getpgid(pid)
	return err == nil && group == p.cmd.Process.Pid
}

func (p *process) signalGroup(sig syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, sig) }

// program returns the program's name: the first argument after those for sh.
func (p *process) program() string { return p.cmd.Args[4] }

// failure describes how the program ended, with its last lines. Call it after done.
func (p *process) failure() error {
	how := "without an error"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended: %s; its last lines:\n%s", p.program(), how, p.log.String())
}
