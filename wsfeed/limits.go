package wsfeed

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/memory"
	"github.com/agentexec/agentexec/wsfeed/internal/quota"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// The names of limits, as Config.Limited receives them.
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

func (c *Config) slots() *quota.Slots {
	return quota.NewSlots(quota.Limit{Name: LimitSockets, Max: c.MaxSockets}, quota.Limit{Name: LimitSocketsPerSubject, Max: c.MaxSocketsPerSubject},
		quota.Limit{Name: LimitSocketsPerAddress, Max: c.MaxSocketsPerAddress})
}

func (c *Config) filters() *quota.Filters {
	return quota.NewFilters(quota.Limit{Name: LimitListsPerSubject, Max: c.MaxListsPerSubject},
		quota.Limit{Name: LimitFilterBytesPerSubject, Max: c.MaxFilterBytesPerSubject})
}

// withSlot serves a request in a slot, or answers 429. It releases the slot afterwards unless a socket keeps it.
func (h *Hub) withSlot(w http.ResponseWriter, r *http.Request, access Access, serve func(quota.Slot) (kept bool)) {
	address := ""
	if h.cfg.Address != nil {
		address = h.cfg.Address(r)
	}
	slot, limit, advice := h.slots.Take(access.Subject, address)
	if limit != "" {
		h.limited(limit)
		// The delay is random, so that clients rejected together do not return together.
		w.Header().Set("Retry-After", strconv.Itoa(2+rand.IntN(8)))
		h.cfg.Problem(w, http.StatusTooManyRequests, "", advice)
		return
	}
	kept := false
	defer func() {
		if !kept {
			h.slots.Leave(slot)
		}
	}()
	kept = serve(slot)
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

// takeFilter counts a list's filter for the socket and its subject, or returns the limit that it would exceed, and advice.
// Only the reader calls it.
func (c *conn) takeFilter(filter *match.Filter) (bytes int, limit, advice string) {
	bytes = filter.Size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := c.hub.cfg.MaxFilterBytes; c.filterBytes+bytes > most {
		return 0, LimitFilterBytes, fmt.Sprintf("the lists of this socket have filters of %d bytes: unsubscribe from some, or open another socket", most)
	}
	if limit, advice = c.hub.filters.Take(c.access.Subject, bytes); limit == "" {
		c.filterBytes += bytes
	}
	return bytes, limit, advice
}

// leaveFilter subtracts a subscription's filter from the counts. Called with mu held.
func (c *conn) leaveFilter(s *connSub) {
	if s.filterBytes > 0 {
		c.filterBytes -= s.filterBytes
		c.hub.filters.Leave(c.access.Subject, s.filterBytes)
		s.filterBytes = 0
	}
}

func (h *Hub) limited(limit string) {
	if h.cfg.Limited != nil {
		h.cfg.Limited(limit)
	}
}

// newRateLimiter returns the rate limiter for the messages of one socket; nil where there is no limit. A burst may have ten
// messages for every subscription the socket may have. A page that replaces all its subscriptions needs two for each. A
// client that asks for far too many subscriptions gets an error for each, as the protocol says, and stays connected.
func (c *Config) newRateLimiter() *rate.Limiter {
	if c.MessagesPerSecond < 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(c.MessagesPerSecond), c.MessagesPerSecond+10*c.MaxSubscriptions)
}

// withinRate counts one message, or closes the socket with 4429.
func (c *conn) withinRate() bool {
	if c.limiter == nil || c.limiter.Allow() {
		return true
	}
	if !c.isClosing() {
		c.hub.limited(LimitMessages)
		c.close(CloseOverLimit, fmt.Sprintf("more than %d messages a second; send fewer", c.hub.cfg.MessagesPerSecond))
	}
	return false
}

// Stats are the feed's numbers at one moment; counters begin with the hub.
type Stats struct {
	Sockets       int // open connections, WebSocket and SSE
	Subscriptions int // of all of them, to activities and lists
	Activities    int // that have subscriptions
	Lists         int // that have subscriptions, equal filters once
	Behind        int // sockets with a subscription that is being served from Postgres
	WebSocket     Traffic
	SSE           Traffic
	Reads         Reads
}

// Traffic is the output through sockets of one kind.
type Traffic struct {
	Frames uint64 // messages or events
	Bytes  uint64 // of their content, without the headers of WebSocket or HTTP
}

// Reads are the feed's reads of Postgres, counted by Source method as they begin.
type Reads struct {
	Snapshots, Replays, Lists, Counts uint64
	InProgress                        int // at most Config.CatchUpReads
	Waiting                           int // for a place among these
}

// counters are the numbers of Stats that no other state shows.
type counters struct {
	subscriptions, behind              atomic.Int64
	snapshots, replays, lists, tallies atomic.Uint64
	webSocket, sse                     traffic
}

type traffic struct{ frames, bytes atomic.Uint64 }

func (t *traffic) stats() Traffic { return Traffic{Frames: t.frames.Load(), Bytes: t.bytes.Load()} }

// Stats returns the feed's numbers.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	c := &h.counters
	busy, waiting := h.places.Numbers()
	return Stats{
		Sockets: len(h.conns), Subscriptions: int(c.subscriptions.Load()), Activities: h.activities(), Lists: len(h.lists),
		Behind:    int(c.behind.Load()),
		WebSocket: c.webSocket.stats(), SSE: c.sse.stats(),
		Reads: Reads{
			Snapshots: c.snapshots.Load(), Replays: c.replays.Load(), Lists: c.lists.Load(), Counts: c.tallies.Load(),
			InProgress: busy, Waiting: waiting,
		},
	}
}

// begin counts a frame that a socket is about to write; false where there is no room for it. Most frames are small, and out.cut
// would be allocated for each.
func (h *Hub) begin(f *wire.Frame, out sink) bool {
	return len(f.Raw) <= memory.Small || h.budget.Begin(&f.Hold, len(f.Raw), out.socket(), out.cut)
}

// done is called once for each begin, when the socket is done with the frame.
func (h *Hub) done(f *wire.Frame, socket any) { h.budget.Written(&f.Hold, len(f.Raw), socket) }

// written counts a frame that a socket has taken. live: all lines before it had been sent when its lines came.
func (h *Hub) written(t *traffic, f *wire.Frame, bytes int, live bool) {
	t.frames.Add(1)
	t.bytes.Add(uint64(bytes))
	if live && f.CommittedAt != 0 && h.cfg.Delivered != nil {
		h.cfg.Delivered(max(0, time.Duration(time.Now().UnixNano()-f.CommittedAt)))
	}
}

// lag counts the subscriptions of one connection that are served from Postgres, and in sockets the connections that have any.
type lag struct {
	sockets *atomic.Int64 // the hub's
	subs    atomic.Int32
}

func (l *lag) note(behind bool) {
	switch {
	case behind && l.subs.Add(1) == 1:
		l.sockets.Add(1)
	case !behind && l.subs.Add(-1) == 0:
		l.sockets.Add(-1)
	}
}
