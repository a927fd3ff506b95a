package wsfeed

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// smallFrame is the size up to which a frame is not counted. So every socket can always send small frames, however much the
// others hold; only a single larger line waits for them.
const smallFrame = 16 << 10

// maxFrame is the largest frame the server sends, unless a single line is larger. WebSocket libraries refuse messages over
// 1 MiB unless told otherwise.
const maxFrame = 1 << 20

// holdTime is how long a socket may hold counted bytes while others wait for them.
const holdTime = 5 * time.Second

// budget bounds the bytes that all sockets together hold for slow clients: of frames, and of reads of Postgres that are not
// sent yet. Up to smallFrame bytes are not counted. A read may be larger than requested, because it returns at least one
// line. Then the budget is overdrawn, by as many reads as there are at once, and gives nothing more until enough bytes come
// back.
type budget struct {
	mu      sync.Mutex
	max     int
	used    int
	drops   int        // how often bytes were given back
	held    *list.List // of *hold, the oldest first
	waiting *list.List // of chan struct{}, in the order of their turns
	timer   *time.Timer
}

// hold counts the bytes of one socket, or of a frame that several sockets write.
type hold struct {
	bytes int
	since time.Time
	cuts  map[any]func() // by socket; each ends a socket that holds the bytes
	ended bool           // its socket has left: nothing is counted any more
	at    *list.Element
}

// holdOf returns a new hold for one socket.
func holdOf(out sink) hold { return hold{cuts: map[any]func(){out.socket(): out.cut}} }

func newBudget(most int) *budget { return &budget{max: most, held: list.New(), waiting: list.New()} }

// take takes bytes if there is room for them.
func (b *budget) take(h *hold, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > smallFrame && b.used > 0 && b.used+bytes > b.max {
		return false
	}
	b.add(h, bytes)
	return true
}

// set makes h count bytes, the amount in memory now, whatever it counted before.
func (b *budget) set(h *hold, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch more := bytes - h.bytes; {
	case bytes <= smallFrame:
		b.dropLocked(h)
	case more > 0:
		b.add(h, more)
	case more < 0:
		h.bytes, b.used = bytes, b.used+more
		b.gaveBack()
	}
}

func (b *budget) add(h *hold, bytes int) {
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

// drop gives all bytes of h back.
func (b *budget) drop(h *hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked(h)
}

// end gives all bytes of h back for good: a read that is still under way for a closed socket counts nothing.
func (b *budget) end(h *hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropLocked(h)
	h.ended = true
}

func (b *budget) dropLocked(h *hold) {
	if h.at == nil {
		return
	}
	b.held.Remove(h.at)
	b.used -= h.bytes
	h.at, h.bytes = nil, 0
	b.gaveBack()
}

// gaveBack wakes the waiting reads that may find room now. Called with mu held.
func (b *budget) gaveBack() {
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

// state reports whether the budget is used up, and returns a number for wait. A caller calls it before it looks for room.
func (b *budget) state() (full bool, drops int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used >= b.max, b.drops
}

// wait returns once bytes have been given back since state returned drops. While a caller waits, the budget ends sockets that
// hold bytes for longer than holdTime.
func (b *budget) wait(ctx context.Context, drops int) error {
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
func (b *budget) press() {
	if b.timer != nil {
		return
	}
	next := holdTime
	for e := b.held.Front(); e != nil; e = e.Next() {
		h, _ := e.Value.(*hold)
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

// begin counts a frame that a socket is about to write; false where there is no room for it. A frame that several sockets
// write is counted once, until the last of them has written it.
func (b *budget) begin(f *frame, out sink) bool {
	if len(f.wire) <= smallFrame {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(f.hold.cuts) == 0 {
		if b.used > 0 && b.used+len(f.wire) > b.max {
			return false
		}
		f.hold.cuts = make(map[any]func())
		b.add(&f.hold, len(f.wire))
	}
	f.hold.cuts[out.socket()] = out.cut
	return true
}

// written is called once for each begin, when the socket is done with the frame.
func (b *budget) written(f *frame, socket any) {
	if len(f.wire) <= smallFrame {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if delete(f.hold.cuts, socket); len(f.hold.cuts) == 0 {
		b.dropLocked(&f.hold)
	}
}

// Config.InFlightBytes bounds the bytes that a socket holds, in two halves.
//
// The first half, in this process, is for one read of Postgres: its unsent lines, and the frame being written, which replaces
// the lines it was made of. All subscriptions at the same position share a frame made of the ring; that frame is no larger
// than this half either. Only a single line, snapshot or list that is larger passes, alone. (The ring belongs to the activity
// and has bounds of its own.)
//
// The second half is the connection's send buffer in the kernel. Without a bound it grows to megabytes, and a slow socket
// would have that much queued where the feed does not see it.

// share returns the bytes that a socket may hold in this process.
func (c *Config) share() int { return c.InFlightBytes / 2 }

// keep returns the lines that a subscription holds of a read: as many as a socket may hold, at least one.
func (c *Config) keep(lines []Line) []Line {
	n := fitting(lines, c.share())
	clear(lines[n:])
	return lines[:n]
}
