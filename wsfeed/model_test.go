package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// modelRuns is how many worlds TestModel looks at. A thousand take minutes, and are worth it after a change.
const modelRuns = 60

// TestModel runs the feed against a database in memory in which everything takes a random time, in every order: lines
// are written and pruned, activities become stale, the tail reads, confirms and loses its session, subscribers come, stall, go
// and come back, and now and then the database loses its last lines. Each subscriber checks every frame; at the end it must have
// exactly what the database has, save what was announced as missing.
//
// A new client brings a seq and no line. Once another line has that seq, the feed cannot detect that the client's line was
// lost. So in every other world the writers pause after a divergence. In the others they go on at once, and subscribers stay.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(modelRuns) {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newWorld(t, seed).run() })
		})
	}
}

// world is one run. Time is the bubble's: a delay costs nothing, and orders events.
type world struct {
	t    *testing.T
	src  *script
	hub  *Hub
	ids  []uuid.UUID
	over context.Context

	mu       sync.Mutex
	rand     *rand.Rand
	journal  []journalLine // every line in the order of its commit: what a tail's position is a place in
	writesOn bool
	crashes  int       // sessions begun before the last one are dead
	quiet    time.Time // after a crash, until then: see TestModel
	pruned   map[uuid.UUID]map[int]bool
}

type journalLine struct {
	id   uuid.UUID
	line Line
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, src: newScript(), rand: rand.New(rand.NewPCG(seed, 0)), writesOn: seed%2 == 0,
		pruned: make(map[uuid.UUID]map[int]bool),
	}
	cfg := Config{
		RingLines:  1 + w.n(50),
		RingBytes:  100 + w.n(2000),
		FrameBytes: 50 + w.n(1000),
	}
	w.src.replayLines = 1 + w.n(10)
	w.src.before = func(ctx context.Context, _ string) { w.delay(ctx, 30) }
	w.src.after = w.src.before
	w.hub = New(w.src, cfg)
	for range 1 + w.n(3) {
		id := w.src.create(0)
		w.ids, w.pruned[id] = append(w.ids, id), make(map[int]bool)
		w.write(id, 1+w.n(20))
	}
	return w
}

func (w *world) run() {
	writing, stop := context.WithCancel(w.t.Context())
	watching, end := context.WithCancel(w.t.Context())
	w.over = watching
	var tail, others, watchers sync.WaitGroup
	tail.Go(w.tail)
	others.Go(func() { w.writer(writing) })
	if !w.writesOn { // a line that was deleted cannot be compared with the one that was sent
		others.Go(func() { w.pruner(writing) })
	}
	others.Go(func() { w.crasher(writing) })
	others.Go(func() { w.silencer(writing) })
	tail.Go(w.look)
	var all []*watcher
	for range 1 + w.n(8) {
		v := &watcher{w: w, id: w.ids[w.n(len(w.ids))], wakes: make(chan struct{}, 1)}
		all = append(all, v)
		watchers.Go(v.run)
	}
	w.sleep(context.Background(), time.Duration(500+w.n(2500))*time.Millisecond)
	stop()
	others.Wait()
	w.mu.Lock()
	w.quiet = time.Now().Add(time.Hour)
	w.mu.Unlock()
	w.awaitAll(all)
	for _, v := range all {
		v.check()
	}
	end()
	watchers.Wait()
	tail.Wait()
	topics := w.hub.Stats().Activities
	require.Zero(w.t, topics, "something is still watched")
	w.hub.Shutdown(context.Background())
}

// awaitAll waits until every watcher has come to the end, or for a few minutes of the bubble's time.
func (w *world) awaitAll(all []*watcher) {
	for range 60 {
		w.sleep(context.Background(), 5*time.Second)
		if !slices.ContainsFunc(all, func(v *watcher) bool { return int(v.seen.Load()) != w.src.state(v.id).LastSeq }) {
			return
		}
	}
}

func (w *world) n(limit int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(limit)
}

// delay lets up to limit milliseconds pass, or no time at all.
func (w *world) delay(ctx context.Context, limit int) {
	if w.n(3) > 0 {
		w.sleep(ctx, time.Duration(w.n(limit*1000))*time.Microsecond)
	}
}

func (w *world) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (w *world) write(id uuid.UUID, n int) {
	status := []string{"RUNNING", "RUNNING", "ERROR", "QUEUED", "COMPLETE"}[w.n(5)]
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.src.write(id, n, status, "line").Lines {
		w.journal = append(w.journal, journalLine{id, l})
	}
}

func (w *world) writer(ctx context.Context) {
	for ctx.Err() == nil {
		w.delay(ctx, 20)
		if w.calm() && !w.writesOn {
			w.sleep(ctx, time.Second)
			continue
		}
		n := 1
		if w.n(10) == 0 {
			n = 1 + w.n(40)
		}
		w.write(w.ids[w.n(len(w.ids))], n)
	}
}

func (w *world) pruner(ctx context.Context) {
	for ctx.Err() == nil {
		w.delay(ctx, 400)
		id := w.ids[w.n(len(w.ids))]
		last := w.src.state(id).LastSeq
		if last == 0 {
			continue
		}
		var seqs []int
		for seq, n := 1+w.n(last), 1+w.n(8); n > 0; n-- {
			seqs = append(seqs, seq)
			seq++
		}
		w.mu.Lock()
		for _, seq := range seqs {
			if seq <= w.src.state(id).LastSeq {
				w.pruned[id][seq] = true
				w.src.prune(id, seq)
			}
		}
		w.mu.Unlock()
	}
}

// crasher has the database lose its last lines, and with them the tail's session.
func (w *world) crasher(ctx context.Context) {
	for ctx.Err() == nil {
		lost := 1 + w.n(10)
		if w.writesOn {
			w.sleep(ctx, time.Duration(200+w.n(1000))*time.Millisecond)
			lost = 1 + w.n(2) // few, so that there are as many again before the next read
		} else if w.sleep(ctx, time.Duration(500+w.n(3000))*time.Millisecond); w.n(3) > 0 {
			continue
		}
		w.mu.Lock()
		id := w.ids[w.rand.IntN(len(w.ids))]
		keep := max(1, w.src.state(id).LastSeq-lost)
		w.src.crash(id, keep)
		w.journal = slices.DeleteFunc(w.journal, func(j journalLine) bool { return j.id == id && j.line.Seq > keep })
		for seq := range w.pruned[id] {
			if seq > keep {
				delete(w.pruned[id], seq)
			}
		}
		w.crashes++
		w.quiet = time.Now().Add(5 * time.Second)
		w.mu.Unlock()
	}
}

// silencer makes activities stale, and ends that by a heartbeat.
func (w *world) silencer(ctx context.Context) {
	for ctx.Err() == nil {
		w.delay(ctx, 1000)
		w.src.setStale(w.ids[w.n(len(w.ids))], w.n(2) == 0)
	}
}

// look reads the stale activities on its own connection, as the tail does.
func (w *world) look() {
	for w.over.Err() == nil {
		w.sleep(w.over, 300*time.Millisecond)
		stale := w.src.stale()
		w.delay(w.over, 30)
		for _, k := range w.hub.StaleDiffers(func(id uuid.UUID) bool { return stale[id] }) {
			w.delay(w.over, 30)
			s := w.src.state(k.AgentID)
			w.delay(w.over, 30)
			w.hub.Refresh(k, s)
		}
	}
}

var errSession = errors.New("the session is over")

// tail does what the sidecar's does, session after session.
func (w *world) tail() {
	for w.over.Err() == nil {
		if err := w.session(); err != nil {
			w.delay(w.over, 200)
		}
	}
}

func (w *world) session() error {
	w.mu.Lock()
	crashes := w.crashes
	w.mu.Unlock()
	// look is one statement: it sees one moment, and fails when the server went down before it.
	look := func(see func()) error {
		w.delay(w.over, 30)
		w.mu.Lock()
		alive := w.crashes == crashes && w.over.Err() == nil && w.rand.IntN(60) > 0
		if alive {
			see()
		}
		w.mu.Unlock()
		w.delay(w.over, 30)
		if !alive {
			return errSession
		}
		return nil
	}
	confirm := func(watch *Watch) error {
		known := w.hub.Known(watch)
		states, lines := make([]State, len(known)), make([]json.RawMessage, len(known))
		if err := look(func() {
			for i, k := range known {
				states[i], lines[i] = w.src.state(k.AgentID), w.src.line(k.AgentID, k.LineSeq)
			}
		}); err != nil {
			return err
		}
		for i, k := range known {
			w.hub.Confirm(k, states[i], lines[i])
			w.delay(w.over, 5)
		}
		return nil
	}
	var pos int
	if err := look(func() { pos = len(w.journal) }); err != nil {
		return err
	}
	if err := confirm(w.hub.Watched()); err != nil {
		return err
	}
	for {
		watch := w.hub.Watched()
		batches := make(map[uuid.UUID]Batch)
		if err := look(func() {
			for _, j := range w.journal[pos:] {
				if slices.Contains(watch.Activities, j.id) {
					b := batches[j.id]
					b.Lines = append(b.Lines, j.line)
					b.State = w.src.state(j.id)
					batches[j.id] = b
				}
			}
			pos = len(w.journal)
		}); err != nil {
			return err
		}
		for id, b := range batches {
			for len(b.Lines) > 0 { // in pieces
				n := 1 + w.n(len(b.Lines))
				w.hub.Publish(id, Batch{Lines: b.Lines[:n], State: b.State})
				b.Lines = b.Lines[n:]
				w.delay(w.over, 5)
			}
		}
		if late := w.hub.WatchedSince(watch.Gen); !late.Empty() {
			if err := confirm(late); err != nil {
				return err
			}
		}
		w.delay(w.over, w.pace())
	}
}

// pace is the milliseconds between two reads of the tail, longer when there is nothing to be late for.
func (w *world) pace() int {
	if w.calm() {
		return 1000
	}
	return 50
}
