package wsfeed

import (
	"context"
	"errors"
	"time"
)

// flight is a read that several subscriptions wait for.
type flight struct {
	done     chan struct{}
	err      error
	snapshot *Snapshot // nil where it is out of date already
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exists reports whether the activity is known to exist in the scope.
func (t *topic) exists(v *feedScope) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hi != unknown && !t.gone && t.shows(v)
}

// shows reports whether a scope is known to contain the activity. Called with mu held.
func (t *topic) shows(v *feedScope) bool {
	_, known := t.shown[v.key()]
	return v == nil || known
}

// maxShown bounds the remembered scopes that contain one activity. A forgotten one costs one read.
const maxShown = 1000

// show notes that a scope contains the activity. A scope that does not contain it is not noted: each request from it takes a
// read, as for an activity that does not exist. Called with mu held.
func (t *topic) show(v *feedScope) {
	if v == nil {
		return
	}
	if t.shown == nil || len(t.shown) >= maxShown {
		t.shown = make(map[string]struct{})
	}
	t.shown[v.key()] = struct{}{}
}

// snapshotLife is how long a snapshot of an unfinished activity serves new subscribers. It is short, because heartbeats change
// last_seen_at.
const snapshotLife = time.Second

// held returns the snapshot, and whether it is recent. It returns nil where a line follows the snapshot, the scope is not known to contain
// the activity, or the snapshot depends on another scope. Called with mu held.
func (t *topic) held(v *feedScope) (s *Snapshot, recent bool) {
	if t.snapshot == nil || t.snapshot.State.LastSeq < t.hi || !t.shows(v) || t.snapshot.InTree && t.snapshotIn != v.key() {
		return nil, false
	}
	return t.snapshot, t.snapshot.State.Final && !t.snapshot.InTree || time.Since(t.snapshotAt) < snapshotLife
}

// load returns a snapshot read after the topic was registered. Concurrent subscribers with the same scope share one read. A
// snapshot serves all of them until a line follows it or it is no longer recent. An old one is used when the read fails.
// ErrNotFound where there is no such activity in the scope, whatever others watch.
func (t *topic) load(ctx context.Context, v *feedScope, owner any) (Snapshot, error) {
	for {
		t.mu.Lock()
		old, recent := t.held(v)
		if recent {
			t.mu.Unlock()
			return *old, nil
		}
		f, known := t.loading[v.key()], t.known()
		if mine := f == nil; mine {
			f = newFlight()
			if t.loading == nil {
				t.loading = make(map[string]*flight)
			}
			t.loading[v.key()] = f
			t.mu.Unlock()
			t.readSnapshot(f, known, v, owner)
		} else {
			t.mu.Unlock()
		}
		if err := f.wait(ctx); err != nil {
			if old != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
				return *old, nil // the database cannot be reached
			}
			return Snapshot{}, err
		}
		if f.snapshot != nil {
			return *f.snapshot, nil
		}
	}
}

// readSnapshot uses the hub's context, not the caller's, because others wait for the read too.
func (t *topic) readSnapshot(f *flight, known Known, v *feedScope, owner any) {
	snapshot, err := t.hub.readSnapshot(t.hub.ctx, t.agentID, v, owner)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.loading, v.key())
	if len(t.loading) == 0 {
		t.loading = nil
	}
	f.err = err
	defer close(f.done)
	if err != nil || !t.accept(known, Batch{State: snapshot.State}) {
		return
	}
	t.show(v)
	if t.hi == unknown {
		t.hi = snapshot.State.LastSeq
	}
	t.snapshot, f.snapshot, t.snapshotAt, t.snapshotIn = &snapshot, &snapshot, time.Now(), v.key()
}
