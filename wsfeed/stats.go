package wsfeed

import (
	"sync/atomic"
	"time"
)

// Stats are the feed's numbers at one moment; what is counted is counted from the hub's beginning.
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

// Traffic is what has left through sockets of one kind.
type Traffic struct {
	Frames uint64 // messages or events
	Bytes  uint64 // of their content, without the headers of WebSocket or HTTP
}

// Reads are the feed's reads of Postgres, counted by Source's methods as they begin.
type Reads struct {
	Snapshots, Replays, Lists, Counts uint64
	InProgress                        int // at most Config.CatchUpReads
	Waiting                           int // for a place among these
}

// counters are what Stats does not find by looking.
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
	busy, waiting := h.turns.numbers()
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

// written counts a frame that a socket has taken. live says that all before it had been sent when its lines came.
func (h *Hub) written(t *traffic, f *frame, bytes int, live bool) {
	t.frames.Add(1)
	t.bytes.Add(uint64(bytes))
	if live && f.committedAt != 0 && h.cfg.Delivered != nil {
		h.cfg.Delivered(max(0, time.Duration(time.Now().UnixNano()-f.committedAt)))
	}
}

// lag counts the subscriptions of one connection that are served from Postgres, and so the connections that have any.
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
