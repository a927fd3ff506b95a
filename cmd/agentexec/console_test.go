package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// console is a command that runs in a pseudo-terminal, and what the terminal shows.
type console struct {
	cmd  *exec.Cmd
	file *os.File
	done chan struct{} // closed when the output has ended

	mu     sync.Mutex
	term   *vt.Emulator
	output bytes.Buffer // everything written
}

// console starts a command in a terminal of so many columns and rows.
func (c *cli) console(t *testing.T, columns, rows int, args ...string) *console {
	t.Helper()
	k := &console{cmd: c.with("TERM=xterm-256color").command(t, args...), term: vt.NewEmulator(columns, rows), done: make(chan struct{})}
	file, err := pty.StartWithSize(k.cmd, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)})
	require.NoError(t, err)
	k.file = file
	t.Cleanup(func() {
		if k.cmd.ProcessState == nil {
			_ = k.cmd.Process.Kill()
			_ = k.cmd.Wait()
		}
		_ = file.Close()
		_ = k.term.Close()
	})
	go func() { // the answers of the terminal to questions of the program
		buf := make([]byte, 1024)
		for {
			n, err := k.term.Read(buf)
			if err != nil {
				return
			}
			_, _ = file.Write(buf[:n])
		}
	}()
	go func() {
		defer close(k.done)
		buf := make([]byte, 1<<16)
		for {
			n, err := file.Read(buf)
			k.mu.Lock()
			_, _ = k.term.Write(buf[:n])
			_, _ = k.output.Write(buf[:n])
			k.mu.Unlock()
			if err != nil { // EIO when the program has ended
				return
			}
		}
	}()
	return k
}

// screen returns what the terminal shows.
func (k *console) screen() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	lines := strings.Split(k.term.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// written returns everything that the program has written.
func (k *console) written() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.output.String()
}

// await waits until the terminal shows a text that matches, and returns the matches.
func (k *console) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	deadline := time.Now().Add(patience)
	for found = re.FindStringSubmatch(k.screen()); found == nil; found = re.FindStringSubmatch(k.screen()) {
		if time.Now().After(deadline) {
			require.Fail(t, "the terminal does not show it", "%s\n%s", pattern, k.screen())
		}
		<-time.After(10 * time.Millisecond)
	}
	return found
}

func (k *console) send(t *testing.T, keys string) {
	t.Helper()
	_, err := k.file.WriteString(keys)
	require.NoError(t, err)
}

func (k *console) resize(t *testing.T, columns, rows int) {
	t.Helper()
	k.mu.Lock()
	k.term.Resize(columns, rows)
	k.mu.Unlock()
	require.NoError(t, pty.Setsize(k.file, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}))
}

// end waits for the end of the command and returns its exit code.
func (k *console) end(t *testing.T) int {
	t.Helper()
	select {
	case <-k.done:
	case <-time.After(patience):
		require.Fail(t, "the command does not end", k.screen())
	}
	_ = k.cmd.Wait()
	return k.cmd.ProcessState.ExitCode()
}
