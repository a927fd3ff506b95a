// Package quota counts what each caller holds, and refuses what is over a limit: sockets (Slots), and lists with the bytes of their
// filters (Filters).
//
// May import: nothing of this module.
package quota

import (
	"fmt"
	"sync"
)

// Limit is a bound and its name. A bound of 0 is none.
type Limit struct {
	Name string
	Max  int
}

// Slots bounds the sockets and event streams: in all, and of each subject and address that has any.
type Slots struct {
	mu        sync.Mutex
	taken     int
	bySubject map[string]*tally
	byAddress map[string]*tally

	all, perSubject, perAddress Limit
}

type tally struct {
	of string
	n  int
}

// Slot is one slot of Slots. The zero value is no slot.
type Slot struct{ subject, address *tally }

// Address returns the address that the slot is counted for, "" for none.
func (s Slot) Address() string {
	if s.address == nil {
		return ""
	}
	return s.address.of
}

// NewSlots returns the slots within these limits.
func NewSlots(all, perSubject, perAddress Limit) *Slots {
	return &Slots{bySubject: make(map[string]*tally), byAddress: make(map[string]*tally), all: all, perSubject: perSubject, perAddress: perAddress}
}

// Take takes a slot, or returns the name of the limit that is reached, and advice.
func (s *Slots) Take(subject, address string) (_ Slot, limit, advice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.all.Max > 0 && s.taken >= s.all.Max:
		return Slot{}, s.all.Name, fmt.Sprintf("this server has %d sockets open and takes no more; come back later", s.all.Max)
	case over(s.bySubject, subject, s.perSubject.Max):
		return Slot{}, s.perSubject.Name,
			fmt.Sprintf("this token's subject has %d sockets open: close some, or put more subscriptions on each", s.perSubject.Max)
	case over(s.byAddress, address, s.perAddress.Max):
		return Slot{}, s.perAddress.Name,
			fmt.Sprintf("your address has %d sockets open: close some, or put more subscriptions on each", s.perAddress.Max)
	}
	s.taken++
	return Slot{count(s.bySubject, subject), count(s.byAddress, address)}, "", ""
}

func over(tallies map[string]*tally, of string, most int) bool {
	t := tallies[of]
	return most > 0 && t != nil && t.n >= most
}

// count adds one to a tally; nil where nothing is counted.
func count(tallies map[string]*tally, of string) *tally {
	if of == "" {
		return nil
	}
	t := tallies[of]
	if t == nil {
		t = &tally{of: of}
		tallies[of] = t
	}
	t.n++
	return t
}

// Leave gives a slot back, once.
func (s *Slots) Leave(slot Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	uncount(s.bySubject, slot.subject)
	uncount(s.byAddress, slot.address)
}

func uncount(tallies map[string]*tally, t *tally) {
	if t == nil {
		return
	}
	if t.n--; t.n == 0 {
		delete(tallies, t.of) // only present clients cost memory
	}
}
