package wsfeed

import (
	"context"
	"errors"

	"github.com/agentexec/agentexec/wsfeed/internal/memory"
	"github.com/agentexec/agentexec/wsfeed/internal/wire"
)

// subscription is the source of a connection's frames. It wakes the connection when there may be something to send; the
// connection pulls until there is nothing. One goroutine at a time calls next. After an error the connection tries again
// (temporary errors), or the subscription is over (errOver).
type subscription interface {
	next(ctx context.Context) (*wire.Frame, error)
	// holding reports whether the next frame is in memory already, as the rest of a read.
	holding() bool
	// live reports whether all lines before the last frame had been sent when its lines came.
	live() bool
	leave()
}

// sink sends a subscription's frames. Its methods must not block and may be called from anywhere.
type sink interface {
	wake()
	// feedScope is the scope of the connection's grant.
	feedScope() *feedScope
	// socket identifies the connection. Connections take turns at reading Postgres.
	socket() any
	// holds counts bytes of list items that the connection's lists hold, or no longer hold; false where it may not hold so
	// many.
	holds(bytes int) bool
	// cut ends the connection at once, without a goodbye.
	cut()
	// behind is called when the subscription begins to be served from Postgres, and when that ends.
	behind(bool)
}

// errOver ends a subscription: the activity does not exist (any more).
var errOver = errors.New("subscription is over")

// activitySub follows one activity: snapshot, then lines after its cursor, from the ring or from Postgres behind it.
type activitySub struct {
	topic *topic
	out   sink
	name  string // "" on the one-activity URL

	opened bool
	verify bool        // the cursor is above the snapshot: ask Postgres before going on
	cursor int         // the last seq sent
	ended  int         // the last seq for which "end" was sent
	epoch  int         // how many of the topic's divergences are known here
	rest   Batch       // the unsent part of a read
	hold   memory.Hold // counts the read until its last frame is written
	stale  bool        // of the last frame with a state
	fresh  bool        // all earlier lines were sent, and the ring has had all later ones

	// Guarded by the topic's lock.
	lagging bool // served from Postgres
	left    bool
}

func (s *activitySub) leave() {
	s.topic.hub.leaveTopic(s)
	s.topic.hub.budget.End(&s.hold)
}

func (s *activitySub) holding() bool { return len(s.rest.Lines) > 0 }

func (s *activitySub) live() bool { return s.fresh }

// fromPostgres notes whether the subscription is served from Postgres. Called with the topic's lock held.
func (s *activitySub) fromPostgres(yes bool) {
	if yes != s.lagging && !s.left {
		s.lagging = yes
		s.out.behind(yes)
	}
}

func (s *activitySub) next(ctx context.Context) (*wire.Frame, error) {
	if !s.opened {
		return s.open(ctx)
	}
	if !s.holding() {
		s.topic.hub.budget.Drop(&s.hold) // the last frame of the read is written
	}
	for {
		_, drops := s.topic.hub.budget.State()
		f, todo, err := s.look(drops)
		if err == nil && f == nil && todo != nil {
			f, err = todo(ctx)
		}
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, errOver
		case errors.Is(err, errServed):
			s.topic.hub.budget.Drop(&s.hold)
		case err != nil || f != nil || todo == nil:
			return f, err
		}
	}
}

// open sends the snapshot. A cursor above the snapshot is checked next: the snapshot may be older than the client's lines.
func (s *activitySub) open(ctx context.Context) (*wire.Frame, error) {
	snapshot, err := s.topic.load(ctx, s.out.feedScope(), s.out.socket())
	if errors.Is(err, ErrNotFound) {
		return nil, errOver
	} else if err != nil {
		return nil, err
	}
	s.opened = true
	s.verify = s.cursor > snapshot.State.LastSeq
	s.stale = snapshot.State.Stale
	return wire.Snapshot(s.name, snapshot.Activity), nil
}

// step runs without the topic's lock. Where it returns no frame, look is called again.
type step func(context.Context) (*wire.Frame, error)

// look returns the next frame if the topic has it, or else the step that gets one, or nothing if everything was sent. drops
// is the number that budget.State returned before.
func (s *activitySub) look(drops int) (*wire.Frame, step, error) {
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil, nil, errOver
	}
	if s.epoch < len(t.divergences) {
		kept, known := t.keptSince(s.epoch)
		if !known {
			return nil, func(ctx context.Context) (*wire.Frame, error) { return nil, t.reconcile(ctx) }, nil
		}
		if v := s.out.feedScope(); !t.shows(v) { // it may be another activity, created under the same id
			return nil, func(ctx context.Context) (*wire.Frame, error) {
				_, err := t.load(ctx, v, s.out.socket())
				return nil, err
			}, nil
		}
		s.epoch, s.rest = len(t.divergences), Batch{}
		if s.cursor > kept {
			return s.reset(kept), nil, nil
		}
	}
	switch {
	case s.holding():
		return nil, s.sendRest, nil
	case s.verify:
	case s.cursor >= t.hi:
		s.fresh = true
		s.fromPostgres(false)
		if f := s.staleChange(t.state); f != nil {
			return f, nil, nil
		}
		return s.end(t.state), nil, nil
	default:
		f := s.fromRing()
		switch {
		case f == nil && t.follows(s.cursor):
			return nil, func(ctx context.Context) (*wire.Frame, error) { return s.awaitRoom(ctx, drops) }, nil
		case f != nil:
			s.cursor, s.stale = f.ID, f.Stale
			s.fromPostgres(false)
			return f, nil, nil
		}
	}
	s.fresh = false
	s.fromPostgres(true)
	known := t.known()
	return nil, func(ctx context.Context) (*wire.Frame, error) { return s.read(ctx, known) }, nil
}

// fromRing returns the ring's next frame: a small one while others use up the budget, and nil if even one line is too large
// for it. Called with the topic's lock held.
func (s *activitySub) fromRing() *wire.Frame {
	t := s.topic
	for _, limit := range []int{t.hub.cfg.FrameBytes, memory.Small / 2} {
		f := t.logs(s.name, s.cursor, limit)
		if f == nil || t.hub.begin(f, s.out) {
			return f
		}
	}
	return nil
}

// awaitRoom waits until other sockets hold fewer bytes.
func (s *activitySub) awaitRoom(ctx context.Context, drops int) (*wire.Frame, error) {
	s.topic.hub.limited(LimitFrameBytes)
	return nil, s.topic.hub.budget.Wait(ctx, drops)
}

// read reads the lines after the cursor from Postgres. Where the ring ends at the cursor, it reads the ring's last line too.
// That line proves that the new lines follow the ring, and shows a divergence in between.
func (s *activitySub) read(ctx context.Context, known Known) (*wire.Frame, error) {
	t := s.topic
	bytes := t.hub.cfg.share()
	full, drops := t.hub.budget.State()
	if full || !t.hub.budget.Take(&s.hold, bytes) {
		bytes = memory.Small
	}
	if s.cursor > 0 && s.cursor == known.LineSeq {
		batch, err := t.hub.replay(ctx, t.agentID, s.cursor-1, bytes, s.out.feedScope(), s.out.socket(), s.served)
		if err != nil {
			return nil, err
		}
		if n := len(batch.Lines); n != 1 || batch.Lines[0].Seq != s.cursor || batch.State.LastSeq == s.cursor {
			return s.takeOrWait(ctx, known, batch, drops)
		}
		// Only that line fitted into the read: the next ones need another read.
		t.mu.Lock()
		same := t.accept(known, batch)
		t.mu.Unlock()
		if !same {
			return nil, nil
		}
	}
	batch, err := t.hub.replay(ctx, t.agentID, s.cursor, bytes, s.out.feedScope(), s.out.socket(), s.served)
	if err != nil {
		return nil, err
	}
	return s.takeOrWait(ctx, known, batch, drops)
}

// takeOrWait takes the batch. While the budget is used up, it drops a batch with a large line and waits; the line is then
// read again.
func (s *activitySub) takeOrWait(ctx context.Context, known Known, batch Batch, drops int) (*wire.Frame, error) {
	if full, _ := s.topic.hub.budget.State(); full && bytesOf(batch.Lines) > 2*memory.Small {
		s.topic.hub.budget.Drop(&s.hold)
		return s.awaitRoom(ctx, drops)
	}
	return s.take(known, batch), nil
}

// served reports whether another subscription's read has brought the next line. When a hundred clients reconnect at once, all
// of them lack it, and wait for a place to read it.
func (s *activitySub) served() bool {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	return !s.verify && s.topic.follows(s.cursor)
}

// take takes a batch that was read after known.
func (s *activitySub) take(known Known, batch Batch) *wire.Frame {
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.accept(known, batch) {
		return nil
	}
	t.takeRead(batch.Lines)
	if len(batch.Lines) > 0 && batch.Lines[0].Seq == s.cursor {
		batch.Lines = batch.Lines[1:]
	}
	s.verify = false
	last := batch.State.LastSeq
	switch {
	case last < s.cursor:
		return s.reset(last)
	case len(batch.Lines) == 0 && last > s.cursor:
		t.advance(batch.State)
		return s.gap(last + 1)
	}
	batch.Lines = t.hub.cfg.keep(batch.Lines)
	s.rest = batch
	t.hub.budget.Set(&s.hold, bytesOf(s.rest.Lines))
	return nil
}

// sendRest sends the next part of a read from Postgres. It announces deleted lines as a gap.
func (s *activitySub) sendRest(context.Context) (*wire.Frame, error) {
	lines := s.rest.Lines
	if next := lines[0].Seq; next > s.cursor+1 {
		return s.gap(next), nil
	}
	n := fitting(lines, s.topic.hub.cfg.FrameBytes)
	for i := 1; i < n; i++ {
		if lines[i].Seq != lines[i-1].Seq+1 {
			n = i
		}
	}
	f := logsFrame(s.name, s.rest.State, lines[:n])
	clear(lines[:n]) // the frame has them now
	s.cursor, s.stale, s.rest.Lines = f.ID, f.Stale, lines[n:]
	if !s.holding() {
		s.rest = Batch{} // let the read's bytes go
	}
	return f, nil
}

// gap announces that the lines before next are not in the database any more.
func (s *activitySub) gap(next int) *wire.Frame {
	f := wire.Gap(s.name, s.cursor, next, "pruned")
	s.cursor = next - 1
	return f
}

// reset announces that the client's lines after kept are void.
func (s *activitySub) reset(kept int) *wire.Frame {
	f := wire.Gap(s.name, s.cursor, kept+1, "reset")
	s.cursor, s.ended, s.verify = kept, unknown, false
	return f
}

// staleChange announces that the activity became stale or is no longer stale. If lines are still to be sent, they bring the
// state.
func (s *activitySub) staleChange(state State) *wire.Frame {
	if state.Stale == s.stale || state.LastSeq != s.cursor {
		return nil
	}
	s.stale = state.Stale
	f := wire.State(s.name, state.JSON)
	f.Stale = state.Stale
	return f
}

// end announces, once for each last seq, that all lines were sent and the activity is finished.
func (s *activitySub) end(state State) *wire.Frame {
	if !state.Final || state.LastSeq != s.cursor || s.ended == s.cursor {
		return nil
	}
	s.ended = s.cursor
	return wire.End(s.name, state.Status, state.LastSeq)
}
