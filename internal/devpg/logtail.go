package devpg

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// logTailLines is how many lines an error quotes.
const logTailLines = 20

// logTail keeps the last lines written to it and passes all lines on.
type logTail struct {
	to io.Writer // nil = nowhere

	mu      sync.Mutex
	lines   []string
	partial []byte
}

// Write never fails: a log that cannot be written must not stop the program that writes it.
func (l *logTail) Write(b []byte) (int, error) {
	if l.to != nil {
		_, _ = l.to.Write(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, b...)
	for {
		line, rest, complete := bytes.Cut(l.partial, []byte("\n"))
		if !complete {
			return len(b), nil
		}
		l.lines = append(l.lines, string(line))
		l.partial = rest
		if len(l.lines) > logTailLines {
			l.lines = l.lines[1:]
		}
	}
}

// String returns the last lines, each indented by two spaces.
func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	if len(l.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(l.partial))
	}
	return "  " + strings.Join(lines, "\n  ")
}
