package wsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/pkg/client"
)

// script is a Source in memory, for what a real database does too rarely or too fast to be caught at it.
type script struct {
	mu         sync.Mutex
	activities map[uuid.UUID]*scripted
	lists      map[string][]ListItem // by the filter's JSON
	counts     json.RawMessage
	down       bool
	fail       map[string]error // what a read of a kind returns, where it is set
	reads      map[string]int   // how often each method was called
	listed     []uuid.UUID      // the items that reads of lists did not leave out

	// before, where set, runs before a read looks at the data, after runs before it returns what it saw: the delays
	// on the way to the database and back. kind is the method's name.
	before, after func(ctx context.Context, kind string)
	// replayLines bounds one Replay. Default 500.
	replayLines int
}

// scripted is one activity.
type scripted struct {
	id       uuid.UUID
	lines    []scriptedLine // those that were not pruned, in seq order
	last     int
	statuses []string // after each seq, from 0 on
	stale    bool
	at       int // grows with every line, a crash or not: a stand-in for updated_at
}

type scriptedLine struct {
	ID      int    `json:"id"` // tells a line from another one that had the same seq before a crash
	Seq     int    `json:"seq"`
	Message string `json:"message"`
}

var errDown = errors.New("the database is down")

func newScript() *script {
	return &script{
		activities: make(map[uuid.UUID]*scripted),
		lists:      make(map[string][]ListItem),
		counts:     json.RawMessage(`{"QUEUED":0}`),
		reads:      make(map[string]int),
	}
}

// create makes an activity with n lines.
func (s *script) create(n int) uuid.UUID {
	id := uuid.New()
	s.mu.Lock()
	s.activities[id] = &scripted{id: id, statuses: []string{"QUEUED"}}
	s.mu.Unlock()
	s.append(id, n)
	return id
}

// append writes n lines and returns them as the tail would read them.
func (s *script) append(id uuid.UUID, n int) Batch { return s.write(id, n, "RUNNING", "line") }

// write appends n lines, all with a message and a status.
func (s *script) write(id uuid.UUID, n int, status, message string) Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.activities[id]
	var lines []scriptedLine
	for range n {
		a.last++
		a.at++
		lines = append(lines, scriptedLine{ID: a.at, Seq: a.last, Message: message})
		a.statuses = append(a.statuses, status)
	}
	a.lines = append(a.lines, lines...)
	a.stale = false
	return Batch{Lines: encoded(id, lines), State: a.state()}
}

// prune deletes lines as the owner of the table may.
func (s *script) prune(id uuid.UUID, seqs ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.activities[id]
	a.lines = slices.DeleteFunc(slices.Clone(a.lines), func(l scriptedLine) bool { return slices.Contains(seqs, l.Seq) })
}

// crash loses every line after last, as a crash with asynchronous commit may.
func (s *script) crash(id uuid.UUID, last int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.activities[id]
	a.lines = slices.DeleteFunc(slices.Clone(a.lines), func(l scriptedLine) bool { return l.Seq > last })
	a.last = min(a.last, last)
	a.statuses = a.statuses[:a.last+1]
	a.stale = false
}

// setStale makes a RUNNING activity stale or fresh, without a line.
func (s *script) setStale(id uuid.UUID, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.activities[id]
	a.stale = stale && a.statuses[a.last] == "RUNNING"
}

// stale returns the activities that are stale.
func (s *script) stale() map[uuid.UUID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[uuid.UUID]bool)
	for id, a := range s.activities {
		all[id] = a.stale
	}
	return all
}

// lookStale reads the stale activities, as the tail does every second.
func (s *script) lookStale(hub *Hub) {
	stale := s.stale()
	for _, k := range hub.StaleDiffers(func(id uuid.UUID) bool { return stale[id] }) {
		hub.Refresh(k, s.state(k.AgentID))
	}
}

func (s *script) remove(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.activities, id)
}

func (s *script) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *script) state(id uuid.UUID) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.activities[id].state()
}

// line is what a tail reads to confirm a line it knows.
func (s *script) line(id uuid.UUID, seq int) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.activities[id].lines {
		if l.Seq == seq {
			b, _ := json.Marshal(scriptedLine{ID: l.ID})
			return b
		}
	}
	return nil
}

// confirm does what the tail does when it has a new position.
func (s *script) confirm(hub *Hub, id uuid.UUID) {
	for _, k := range hub.Known(hub.Watched()) {
		if k.AgentID == id {
			hub.Confirm(k, s.state(id), s.line(id, k.LineSeq))
		}
	}
}

// deleted does what the tail does when it finds an activity gone.
func (s *script) deleted(hub *Hub, id uuid.UUID) {
	for _, k := range hub.Known(hub.Watched()) {
		if k.AgentID == id {
			hub.Gone(k)
		}
	}
}

func (s *script) calls(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[kind]
}

func (a *scripted) state() State {
	status := a.statuses[a.last]
	return State{
		LastSeq: a.last,
		Status:  status,
		Final:   status == "COMPLETE" || status == "ERROR" || status == "CANCELED",
		Stale:   a.stale,
		JSON:    json.RawMessage(fmt.Sprintf(`{"stale":%t,"status":%q,"last_seq":%d,"updated_at":%d}`, a.stale, status, a.last, a.at)),
	}
}

func encoded(id uuid.UUID, lines []scriptedLine) []Line {
	var out []Line
	for _, l := range lines {
		b, _ := json.Marshal(l)
		out = append(out, Line{AgentID: id, Seq: l.Seq, JSON: b})
	}
	return out
}

// read does what all methods share: the delays around a look at the data.
func (s *script) read(ctx context.Context, kind string, look func() error) error {
	s.mu.Lock()
	s.reads[kind]++
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		before(ctx, kind)
	}
	s.mu.Lock()
	err := ctx.Err()
	if s.down && err == nil {
		err = errDown
	}
	if err == nil {
		err = s.fail[kind]
	}
	if err == nil {
		err = look()
	}
	s.mu.Unlock()
	if after != nil {
		after(ctx, kind)
	}
	return err
}

// within knows the ids of a scope, and nothing else of it.
func within(id uuid.UUID, scope client.Scope) bool {
	return scope.AgentIDs == nil || slices.Contains(scope.AgentIDs, id)
}

func (s *script) Snapshot(ctx context.Context, id uuid.UUID, scope client.Scope) (out Snapshot, err error) {
	err = s.read(ctx, "Snapshot", func() error {
		a := s.activities[id]
		if a == nil || !within(id, scope) {
			return ErrNotFound
		}
		out.State = a.state()
		out.Activity = json.RawMessage(fmt.Sprintf(`{"agent_id":%q,"stale":%t,"status":%q,"last_seq":%d}`, id, a.stale, a.statuses[a.last], a.last))
		return nil
	})
	return out, err
}

func (s *script) Replay(ctx context.Context, id uuid.UUID, afterSeq, bytes int, scope client.Scope) (out Batch, err error) {
	err = s.read(ctx, "Replay", func() error {
		a := s.activities[id]
		if a == nil || !within(id, scope) {
			return ErrNotFound
		}
		first, _ := slices.BinarySearchFunc(a.lines, afterSeq+1, func(l scriptedLine, seq int) int { return l.Seq - seq })
		limit := s.replayLines
		if limit == 0 {
			limit = 500
		}
		out.Lines = encoded(id, a.lines[first:min(first+limit, len(a.lines))])
		out.Lines = out.Lines[:fitting(out.Lines, bytes)]
		out.State = a.state()
		return nil
	})
	return out, err
}

func (s *script) List(ctx context.Context, filter ListFilter, scope client.Scope, held []uuid.UUID) (out []ListItem, err error) {
	key, _ := json.Marshal(filter)
	err = s.read(ctx, "List", func() error {
		for _, item := range s.lists[string(key)] {
			if !within(item.AgentID, scope) {
				continue
			}
			if slices.Contains(held, item.AgentID) {
				item.JSON = nil
			} else {
				s.listed = append(s.listed, item.AgentID)
			}
			out = append(out, item)
		}
		return nil
	})
	return out, err
}

func (s *script) Counts(ctx context.Context, _ ListFilter, _ client.Scope) (out json.RawMessage, err error) {
	err = s.read(ctx, "Counts", func() error {
		out = s.counts
		return nil
	})
	if err != nil {
		out = json.RawMessage{} // whatever comes with an error must not be used
	}
	return out, err
}
