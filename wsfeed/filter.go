package wsfeed

import (
	"fmt"
	"sync"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
)

// filters counts the lists, and the bytes of their filters, of each subject that has any.
type filters struct {
	mu                 sync.Mutex
	bySubject          map[string]*filterTally
	maxLists, maxBytes int
}

type filterTally struct{ lists, bytes int }

func newFilters(c *Config) *filters {
	return &filters{bySubject: make(map[string]*filterTally), maxLists: c.MaxListsPerSubject, maxBytes: c.MaxFilterBytesPerSubject}
}

// take counts one more list, or returns the limit that it would exceed, and advice.
func (f *filters) take(subject string, bytes int) (limit, advice string) {
	if subject == "" {
		return "", ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.bySubject[subject]
	if t == nil {
		t = new(filterTally)
	}
	switch {
	case f.maxLists > 0 && t.lists >= f.maxLists:
		return LimitListsPerSubject, fmt.Sprintf("this token's subject watches %d lists: unsubscribe from some", f.maxLists)
	case f.maxBytes > 0 && t.bytes+bytes > f.maxBytes:
		return LimitFilterBytesPerSubject, fmt.Sprintf("the lists of this token's subject have filters of %d bytes: unsubscribe from some", f.maxBytes)
	}
	t.lists++
	t.bytes += bytes
	f.bySubject[subject] = t
	return "", ""
}

func (f *filters) leave(subject string, bytes int) {
	if subject == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.bySubject[subject]
	t.lists--
	t.bytes -= bytes
	if t.lists == 0 {
		delete(f.bySubject, subject)
	}
}

// takeFilter counts a list's filter for the socket and its subject, or returns the limit that it would exceed, and advice.
// Only the reader calls it.
func (c *conn) takeFilter(filter *match.Filter) (bytes int, limit, advice string) {
	bytes = filter.Size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := c.hub.cfg.MaxFilterBytes; c.filterBytes+bytes > most {
		return 0, LimitFilterBytes, fmt.Sprintf("the lists of this socket have filters of %d bytes: unsubscribe from some, or open another socket", most)
	}
	if limit, advice = c.hub.filters.take(c.access.Subject, bytes); limit == "" {
		c.filterBytes += bytes
	}
	return bytes, limit, advice
}

// leaveFilter subtracts a subscription's filter from the counts. Called with mu held.
func (c *conn) leaveFilter(s *connSub) {
	if s.filterBytes > 0 {
		c.filterBytes -= s.filterBytes
		c.hub.filters.leave(c.access.Subject, s.filterBytes)
		s.filterBytes = 0
	}
}
