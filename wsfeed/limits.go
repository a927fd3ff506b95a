package wsfeed

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/time/rate"
)

// The names of limits, as Config.Limited is told them.
const (
	LimitSockets               = "sockets"
	LimitSocketsPerSubject     = "sockets_per_subject"
	LimitSocketsPerAddress     = "sockets_per_address"
	LimitSubscriptions         = "subscriptions"
	LimitMessages              = "messages_per_second"
	LimitMessageBytes          = "message_bytes"
	LimitListItems             = "page_size"
	LimitCatchUpReads          = "catch_up_reads"
	LimitFilterBytes           = "filter_bytes"
	LimitListsPerSubject       = "lists_per_subject"
	LimitFilterBytesPerSubject = "filter_bytes_per_subject"
	LimitListBytes             = "list_bytes"
	LimitListBytesPerSocket    = "list_bytes_per_socket"
	LimitFrameBytes            = "frame_bytes"
)

// seats are the places for sockets and event streams: in all, and of each subject and address that has any.
type seats struct {
	mu         sync.Mutex
	taken      int
	bySubject  map[string]*tally
	byAddress  map[string]*tally
	subjectMax int
	addressMax int
	max        int
}

type tally struct {
	of string
	n  int
}

// seat is one place. Its zero value is none.
type seat struct{ subject, address *tally }

// addressOf is the address it is counted for, "" for none.
func (s seat) addressOf() string {
	if s.address == nil {
		return ""
	}
	return s.address.of
}

func newSeats(c *Config) *seats {
	return &seats{
		bySubject: make(map[string]*tally), byAddress: make(map[string]*tally),
		max: c.MaxSockets, subjectMax: c.MaxSocketsPerSubject, addressMax: c.MaxSocketsPerAddress,
	}
}

// take takes a place, or says which limit is in the way, and what to do.
func (s *seats) take(subject, address string) (_ seat, limit, advice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.max > 0 && s.taken >= s.max:
		return seat{}, LimitSockets, fmt.Sprintf("this server has %d sockets open and takes no more; come back later", s.max)
	case over(s.bySubject, subject, s.subjectMax):
		return seat{}, LimitSocketsPerSubject,
			fmt.Sprintf("this token's subject has %d sockets open: close some, or put more subscriptions on each", s.subjectMax)
	case over(s.byAddress, address, s.addressMax):
		return seat{}, LimitSocketsPerAddress,
			fmt.Sprintf("your address has %d sockets open: close some, or put more subscriptions on each", s.addressMax)
	}
	s.taken++
	return seat{count(s.bySubject, subject), count(s.byAddress, address)}, "", ""
}

func over(tallies map[string]*tally, of string, most int) bool {
	t := tallies[of]
	return most > 0 && t != nil && t.n >= most
}

// count counts one more; nil where nobody counts.
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

// leave gives a place back, once.
func (s *seats) leave(place seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	uncount(s.bySubject, place.subject)
	uncount(s.byAddress, place.address)
}

func uncount(tallies map[string]*tally, t *tally) {
	if t == nil {
		return
	}
	if t.n--; t.n == 0 {
		delete(tallies, t.of) // only who is here costs memory
	}
}

// seated serves a request that has a seat, or answers 429. The seat is given back afterwards unless a socket keeps it.
func (h *Hub) seated(w http.ResponseWriter, r *http.Request, access Access, serve func(seat) (kept bool)) {
	address := ""
	if h.cfg.Address != nil {
		address = h.cfg.Address(r)
	}
	place, limit, advice := h.seats.take(access.Subject, address)
	if limit != "" {
		h.limited(limit)
		// Spread, so that those who are refused together do not come back together.
		w.Header().Set("Retry-After", strconv.Itoa(2+rand.IntN(8)))
		h.cfg.Problem(w, http.StatusTooManyRequests, "", advice)
		return
	}
	kept := false
	defer func() {
		if !kept {
			h.seats.leave(place)
		}
	}()
	kept = serve(place)
}

func (h *Hub) limited(limit string) {
	if h.cfg.Limited != nil {
		h.cfg.Limited(limit)
	}
}

// newPace limits the messages of one socket; nil where there is no limit. Ten for every subscription it may have may come
// at once: a page that puts all of its own in the place of another's needs two, and who asks for far more subscriptions
// than there are is told so for each, as the protocol has it, and not cut off.
func (c *Config) newPace() *rate.Limiter {
	if c.MessagesPerSecond < 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(c.MessagesPerSecond), c.MessagesPerSecond+10*c.MaxSubscriptions)
}

// inPace counts one message, or closes the socket with 4429.
func (c *conn) inPace() bool {
	if c.pace == nil || c.pace.Allow() {
		return true
	}
	if !c.isClosing() {
		c.hub.limited(LimitMessages)
		c.close(CloseOverLimit, fmt.Sprintf("more than %d messages a second; send fewer", c.hub.cfg.MessagesPerSecond))
	}
	return false
}
