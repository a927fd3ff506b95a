package quota

import (
	"fmt"
	"sync"
)

// Filters counts the lists, and the bytes of their filters, of each subject that has any.
type Filters struct {
	mu           sync.Mutex
	bySubject    map[string]*filterTally
	lists, bytes Limit
}

type filterTally struct{ lists, bytes int }

// NewFilters returns the counts of subjects that may each have so many lists, and filters of so many bytes.
func NewFilters(lists, bytes Limit) *Filters {
	return &Filters{bySubject: make(map[string]*filterTally), lists: lists, bytes: bytes}
}

// Take counts one more list, or returns the name of the limit that it would exceed, and advice.
func (f *Filters) Take(subject string, bytes int) (limit, advice string) {
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
	case f.lists.Max > 0 && t.lists >= f.lists.Max:
		return f.lists.Name, fmt.Sprintf("this token's subject watches %d lists: unsubscribe from some", f.lists.Max)
	case f.bytes.Max > 0 && t.bytes+bytes > f.bytes.Max:
		return f.bytes.Name, fmt.Sprintf("the lists of this token's subject have filters of %d bytes: unsubscribe from some", f.bytes.Max)
	}
	t.lists++
	t.bytes += bytes
	f.bySubject[subject] = t
	return "", ""
}

// Leave subtracts a list that was counted.
func (f *Filters) Leave(subject string, bytes int) {
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
