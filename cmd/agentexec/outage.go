package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/internal/source"
)

// outage turns failures and successes of reads into notes.
type outage struct{ since time.Time }

const (
	connectionLost = "connection lost, trying again"
	connectedAgain = "connected again"
)

// lost returns the note for a failure: "" unless it is the first one.
func (o *outage) lost(reason error) string {
	if !o.since.IsZero() {
		return ""
	}
	o.since = time.Now()
	return connectionLost + ": " + exit.Describe(reason)
}

// again returns the note for a success: "" unless there was a failure.
func (o *outage) again() string {
	if o.since.IsZero() {
		return ""
	}
	took := time.Since(o.since).Round(time.Second)
	o.since = time.Time{}
	return fmt.Sprintf("%s after %d s", connectedAgain, int(took.Seconds()))
}

// link collects the notes about the connection of a source, for the goroutine that prints.
type link struct {
	changed chan struct{} // has a value while there are notes

	mu     sync.Mutex
	outage outage
	notes  []string
}

func newLink() *link { return &link{changed: make(chan struct{}, 1)} }

// outages returns what a source reports to.
func (l *link) outages() *source.Outages {
	return &source.Outages{
		Lost:  func(reason error) { l.add(func() string { return l.outage.lost(reason) }) },
		Again: func() { l.add(l.outage.again) },
	}
}

func (l *link) add(note func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, note())
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// take returns the notes since the last call.
func (l *link) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	notes := l.notes
	l.notes = nil
	return notes
}
