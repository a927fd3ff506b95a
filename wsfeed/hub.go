package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/agentexec/agentexec/wsfeed/internal/match"
	"github.com/agentexec/agentexec/wsfeed/internal/memory"
	"github.com/agentexec/agentexec/wsfeed/internal/quota"
	"github.com/agentexec/agentexec/wsfeed/internal/turns"
)

// Hub holds the topics and lists that clients watch. The tail feeds it (Publish, Confirm, Gone, Refresh, ListsChanged), and
// connections subscribe to it.
type Hub struct {
	cfg      Config
	src      Source
	places   *turns.Places  // for reads of Postgres
	budget   *memory.Budget // of the bytes that sockets hold
	filters  *quota.Filters
	items    *items                     // of all lists
	parents  *match.Parents[*listTopic] // of the activities that were touched
	children turns.Coalescer            // of the reads of lists because of them
	refusals *rate.Limiter              // how often a refused read is logged
	slots    *quota.Slots
	ctx      context.Context
	stop     context.CancelFunc
	added    chan struct{}
	asked    singleflight.Group // checks whether an activity exists
	counters
	index
	watch   atomic.Pointer[Watch] // the last answer of Watched, valid until something changes
	matcher *match.Lists[*listTopic]

	mu      sync.RWMutex
	lists   map[string]*listTopic
	conns   map[peer]struct{}
	closing bool
	running sync.WaitGroup // connections
}

// peer is an open connection, WebSocket or SSE.
type peer interface {
	// goAway sends pending frames, says goodbye and ends the connection; it returns at once.
	goAway()
	// cut ends the connection at once, without a goodbye.
	cut()
}

// Watch is the set of activities and lists that are watched at one moment.
type Watch struct {
	Gen        uint64 // everything registered up to this generation is in it
	Activities []uuid.UUID
	lists      []*listTopic
	changes    uint64 // the index's, from before the lookup
}

// New returns a hub that reads from src. Nothing runs until the first subscription.
func New(src Source, cfg Config) *Hub {
	cfg = cfg.withDefaults()
	h := &Hub{
		cfg:      cfg,
		src:      src,
		slots:    cfg.slots(),
		places:   turns.New(cfg.CatchUpReads),
		budget:   memory.NewBudget(cfg.MaxFrameBytes),
		filters:  cfg.filters(),
		items:    newItems(),
		parents:  match.NewParents[*listTopic](),
		refusals: rate.NewLimiter(1, 20),
		added:    make(chan struct{}, 1),
		matcher:  match.NewLists[*listTopic](),
		lists:    make(map[string]*listTopic),
		conns:    make(map[peer]struct{}),
	}
	h.init()
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// Added is signalled after something new is watched.
func (h *Hub) Added() <-chan struct{} { return h.added }

// Watched returns everything that is watched. A read of the tail that begins now covers it. Registrations during the read
// must be confirmed after it (WatchedSince).
func (h *Hub) Watched() *Watch {
	changes := h.changes.Load() // before the lookup
	if known := h.watch.Load(); known != nil && known.changes == changes {
		return known
	}
	w := h.watched(0)
	w.changes = changes
	h.watch.Store(w)
	return w
}

// WatchedSince returns everything that was registered after gen and is still watched.
func (h *Hub) WatchedSince(gen uint64) *Watch {
	if gen == h.gen.Load() {
		return &Watch{Gen: gen}
	}
	return h.watched(gen)
}

func (h *Hub) watched(since uint64) *Watch {
	w := &Watch{Gen: h.gen.Load()} // before the lookup, which finds all registrations up to it
	w.Activities = h.between(since, w.Gen)
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, l := range h.lists {
		if l.gen > since && l.gen <= w.Gen {
			w.lists = append(w.lists, l)
		}
	}
	return w
}

// Empty reports whether nothing is watched.
func (w *Watch) Empty() bool { return len(w.Activities) == 0 && len(w.lists) == 0 }

// Empty reports whether nothing is watched.
func (h *Hub) Empty() bool { return !h.HasLists() && h.activities() == 0 }

// HasLists reports whether a list is watched.
func (h *Hub) HasLists() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.lists) > 0
}

// Watches reports whether an activity is watched.
func (h *Hub) Watches(agentID uuid.UUID) bool { return h.topic(agentID) != nil }

// Gen returns the generation of the newest registration. A read of the tail that begins now covers all up to it.
// Registrations during the read must be confirmed after it (WatchedSince).
func (h *Hub) Gen() uint64 { return h.gen.Load() }

// read makes one read of Postgres for owner, usually a socket. It takes a place first, so that a thousand catch-ups do not
// become a thousand queries. ReadTimeout frees the place: a database that silently vanished must not keep it for ever.
func read[T any](ctx context.Context, h *Hub, l turns.Lane, owner any, ask func(context.Context) (T, error)) (answer T, err error) {
	if err := h.place(ctx, l, owner); err != nil {
		return answer, err
	}
	defer h.places.Done(l)
	ctx, cancel := context.WithTimeout(ctx, h.cfg.ReadTimeout)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	return ask(ctx)
}

// place waits for a place among the reads.
func (h *Hub) place(ctx context.Context, l turns.Lane, owner any) error {
	if err := h.ctx.Err(); err != nil {
		return err
	}
	if h.places.TryTake(l) {
		return nil
	}
	h.limited(LimitCatchUpReads)
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	err := h.places.Take(waiting, l, owner)
	if err != nil && ctx.Err() == nil {
		err = h.ctx.Err()
	}
	return err
}

func (h *Hub) readSnapshot(ctx context.Context, agentID uuid.UUID, v *feedScope, owner any) (Snapshot, error) {
	return read(ctx, h, turns.Subscriber, owner, func(ctx context.Context) (Snapshot, error) {
		h.snapshots.Add(1)
		return h.src.Snapshot(ctx, agentID, v.of())
	})
}

// exists returns ErrNotFound where there is no such activity. Concurrent requests share one read, because a hundred clients
// of one activity may reconnect at once.
func (h *Hub) exists(ctx context.Context, agentID uuid.UUID, v *feedScope, owner any) error {
	answer := h.asked.DoChan(agentID.String()+v.key(), func() (any, error) {
		// Not the first caller's context, because others wait for the read too; but no caller waits for longer than this.
		ctx, cancel := context.WithTimeout(h.ctx, h.cfg.ReadTimeout)
		defer cancel()
		_, err := h.readSnapshot(ctx, agentID, v, owner)
		return nil, err
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-answer:
		if a.Shared && errors.Is(a.Err, ErrNotFound) { // the activity may have been created since that read began
			_, a.Err = h.readSnapshot(ctx, agentID, v, owner)
		}
		return a.Err
	}
}

// errServed is the answer of a read that was no longer needed when it got its place.
var errServed = errors.New("what was to be read is there")

// replay reads the lines after afterSeq. If there returns true when a place is free, replay does not read: errServed.
func (h *Hub) replay(ctx context.Context, agentID uuid.UUID, afterSeq, bytes int, v *feedScope, owner any, there func() bool) (Batch, error) {
	return read(ctx, h, turns.Subscriber, owner, func(ctx context.Context) (Batch, error) {
		if there != nil && there() {
			return Batch{}, errServed
		}
		h.replays.Add(1)
		return h.src.Replay(ctx, agentID, afterSeq, bytes, v.of())
	})
}

// readList reads a list, and returns the duration of the read without the wait for a place. It calls held when it has its place.
func (h *Hub) readList(l turns.Lane, owner any, filter ListFilter, v *feedScope, held func() []uuid.UUID) (items []ListItem, took time.Duration, err error) {
	items, err = read(h.ctx, h, l, owner, func(ctx context.Context) ([]ListItem, error) {
		h.counters.lists.Add(1)
		began := time.Now()
		defer func() { took = time.Since(began) }()
		return h.src.List(ctx, filter, v.of(), held())
	})
	return items, took, err
}

// readCounts does the same for a list's counts.
func (h *Hub) readCounts(owner any, filter ListFilter, v *feedScope) (counts json.RawMessage, took time.Duration, err error) {
	counts, err = read(h.ctx, h, turns.List, owner, func(ctx context.Context) (json.RawMessage, error) {
		h.tallies.Add(1)
		began := time.Now()
		defer func() { took = time.Since(began) }()
		return h.src.Counts(ctx, filter, v.of())
	})
	return counts, took, err
}

// admit registers a connection; false when the hub is closing.
func (h *Hub) admit(p peer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	h.conns[p] = struct{}{}
	h.running.Add(1)
	return true
}

// dismiss is called once by a connection when all its goroutines but the caller have ended.
func (h *Hub) dismiss(p peer) {
	h.mu.Lock()
	delete(h.conns, p)
	h.mu.Unlock()
	h.running.Done()
}

// Shutdown ends the feed. It admits no new connections, and every open one sends its pending frames and closes with 1001.
// After Config.DrainTimeout, or when ctx ends, it cuts the rest. It returns when no goroutine of the feed is left.
func (h *Hub) Shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.DrainTimeout)
	defer cancel()
	for _, p := range h.close() {
		p.goAway()
	}
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	h.stop()
	for _, p := range h.close() {
		p.cut()
	}
	<-done
	h.places.Await() // for reads that no caller waits for any more
}

func (h *Hub) close() []peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	peers := make([]peer, 0, len(h.conns))
	for p := range h.conns {
		peers = append(peers, p)
	}
	return peers
}
