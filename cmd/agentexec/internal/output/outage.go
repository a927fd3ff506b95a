package output

import (
	"fmt"
	"sync"
	"time"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/internal/source"
)

// Outage turns failures and successes of reads into notes.
type Outage struct{ since time.Time }

const (
	connectionLost = "connection lost, trying again"
	connectedAgain = "connected again"
)

// Lost returns the note for a failure: "" unless it is the first one.
func (o *Outage) Lost(reason error) string {
	if !o.since.IsZero() {
		return ""
	}
	o.since = time.Now()
	return connectionLost + ": " + exit.Describe(reason)
}

// Again returns the note for a success: "" unless there was a failure.
func (o *Outage) Again() string {
	if o.since.IsZero() {
		return ""
	}
	took := time.Since(o.since).Round(time.Second)
	o.since = time.Time{}
	return fmt.Sprintf("%s after %d s", connectedAgain, int(took.Seconds()))
}

// Link collects the notes about the connection of a source, for the goroutine that prints.
type Link struct {
	Changed chan struct{} // has a value while there are notes

	mu     sync.Mutex
	outage Outage
	notes  []string
}

// NewLink returns a Link without notes.
func NewLink() *Link { return &Link{Changed: make(chan struct{}, 1)} }

// Outages returns what a source reports to.
func (l *Link) Outages() *source.Outages {
	return &source.Outages{
		Lost:  func(reason error) { l.add(func() string { return l.outage.Lost(reason) }) },
		Again: func() { l.add(l.outage.Again) },
	}
}

func (l *Link) add(note func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, note())
	select {
	case l.Changed <- struct{}{}:
	default:
	}
}

// Take returns the notes since the last call.
func (l *Link) Take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	notes := l.notes
	l.notes = nil
	return notes
}
