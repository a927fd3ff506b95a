// Package memory bounds the bytes that the feed's sockets together hold for slow clients. Under pressure it ends sockets that hold
// bytes for too long.
//
// May import: nothing of this module. A socket is any comparable value, and bytes are counted by their number alone.
package memory

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Small is the size up to which bytes are not counted. So every socket can always send small frames, however much the others
// hold; only a single larger line waits for them.
const Small = 16 << 10

// holdTime is how long a socket may hold counted bytes while others wait for them.
const holdTime = 5 * time.Second

// Budget bounds the bytes that all sockets together hold for slow clients: of frames, and of reads of Postgres that are not
// sent yet. Up to Small bytes are not counted. A read may be larger than requested, because it returns at least one
// line. Then the budget is overdrawn, by as many reads as there are at once, and gives nothing more until enough bytes come
// back.
type Budget struct {
	mu      sync.Mutex
	max     int
	used    int
	drops   int        // how often bytes were given back
	held    *list.List // of *Hold, the oldest first
	waiting *list.List // of chan struct{}, in the order of their turns
	timer   *time.Timer
}

// Hold counts the bytes of one socket, or of a frame that several sockets write.
type Hold struct {
	bytes int
	since time.Time
	cuts  map[any]func() // by socket; each ends a socket that holds the bytes
	ended bool           // its socket has left: nothing is counted any more
	at    *list.Element
}

// HoldOf returns a new hold for one socket. cut ends that socket at once.
func HoldOf(socket any, cut func()) Hold { return Hold{cuts: map[any]func(){socket: cut}} }

// NewBudget returns a budget of so many bytes.
func NewBudget(most int) *Budget { return &Budget{max: most, held: list.New(), waiting: list.New()} }

// Take takes bytes if there is room for them.
func (b *Budget) Take(h *Hold, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > Small && b.used > 0 && b.used+bytes > b.max {
		return false
	}
	b.add(h, bytes)
	return true
}

// Set makes h count bytes, the amount in memory now, whatever it counted before.
func (b *Budget) Set(h *Hold, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch more := bytes - h.bytes; {
	case bytes <= Small:
		b.dropLocked(h)
	case more > 0:
		b.add(h, more)
	case more < 0:
		h.bytes, b.used = bytes, b.used+more
		b.gaveBack()
	}
}

func (b *Budget) add(h *Hold, bytes int) {
	if h.ended {
		return
	}
	if h.at == nil {
		h.since = time.Now()
		h.at = b.held.PushBack(h)
	}
	h.bytes += bytes
	b.used += bytes
}

// Drop gives all bytes of h back.
func (b *Budget) Drop(h *Hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked(h)
}

// End gives all bytes of h back for good: a read that is still under way for a closed socket counts nothing.
func (b *Budget) End(h *Hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked(h)
	h.ended = true
}

func (b *Budget) dropLocked(h *Hold) {
	if h.at == nil {
		return
	}
	b.held.Remove(h.at)
	b.used -= h.bytes
	h.at, h.bytes = nil, 0
	b.gaveBack()
}

// gaveBack wakes the waiting reads that may find room now. Called with mu held.
func (b *Budget) gaveBack() {
	b.drops++
	for b.waiting.Len() > 0 && b.used < b.max {
		if turn, ok := b.waiting.Remove(b.waiting.Front()).(chan struct{}); ok {
			close(turn)
		}
	}
	if b.waiting.Len() == 0 && b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// State reports whether the budget is used up, and returns a number for Wait. A caller calls it before it looks for room.
func (b *Budget) State() (full bool, drops int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used >= b.max, b.drops
}

// Wait returns once bytes have been given back since State returned drops. While a caller waits, the budget ends sockets that
// hold bytes for longer than holdTime.
func (b *Budget) Wait(ctx context.Context, drops int) error {
	b.mu.Lock()
	if b.drops != drops {
		b.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	at := b.waiting.PushBack(turn)
	b.press()
	b.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting.Remove(at)
		return ctx.Err()
	}
}

// press ends the holders that are too old, and sets a timer for the next one. Called with mu held.
func (b *Budget) press() {
	if b.timer != nil {
		return
	}
	next := holdTime
	for e := b.held.Front(); e != nil; e = e.Next() {
		h, _ := e.Value.(*Hold)
		if age := time.Since(h.since); age < holdTime {
			next = holdTime - age
			break
		}
		for _, cut := range h.cuts {
			go cut()
		}
	}
	b.timer = time.AfterFunc(next, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.timer = nil
		if b.waiting.Len() > 0 {
			b.press()
		}
	})
}

// Begin counts a frame of so many bytes that a socket is about to write; false where there is no room for it. A frame that several
// sockets write is counted once, in its own hold, until the last of them has written it.
func (b *Budget) Begin(h *Hold, bytes int, socket any, cut func()) bool {
	if bytes <= Small {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(h.cuts) == 0 {
		if b.used > 0 && b.used+bytes > b.max {
			return false
		}
		h.cuts = make(map[any]func())
		b.add(h, bytes)
	}
	h.cuts[socket] = cut
	return true
}

// Written is called once for each Begin, when the socket is done with the frame.
func (b *Budget) Written(h *Hold, bytes int, socket any) {
	if bytes <= Small {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if delete(h.cuts, socket); len(h.cuts) == 0 {
		b.dropLocked(h)
	}
}
