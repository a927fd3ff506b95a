package tail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/wsfeed"
)

// RingLines is how many recent lines the feed keeps per watched activity. A read of the tail fetches at most as many lines of
// one activity.
const RingLines = 1024

// Bounds of one chunk for the hub; a read of any size passes in chunks.
const (
	chunkLines = 1000
	chunkBytes = 1 << 20
)

// tailBatch is the result of one read of the tail.
type tailBatch struct {
	position *position // where it ends
	lag                // of the lines of watched activities
	commits  int       // transactions that wrote lines of any activity
	took     time.Duration
}

// touched is an activity that has new lines, and the seqs of the first and the last of them.
type touched struct {
	wsfeed.Activity
	first, last int
}

// read hands the lines that became visible since pos to the hub. Its cost grows with the lines written, not with the
// activities watched. It queries first which activities have new lines, then the lines of those that are watched, and last the
// metadata of those that lists may hold, where it is not known. Each statement has its own snapshot. The first one's is the
// new position, and bounds the seqs that the others read.
//
// Rows stream: a backlog of any size passes in bounded chunks. After an error the caller's position stays, and lines
// already handed over are recognised by their seq.
func (t *tailer) read(ctx context.Context, conn *database.Direct, pos *position) (tailBatch, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stuck := time.AfterFunc(queryTimeout, cancel)
	defer stuck.Stop()
	r := &tailRead{tailer: t, conn: conn, moved: func() { stuck.Reset(queryTimeout) }}
	began := time.Now()
	if err := r.findTouched(ctx, pos); err != nil {
		return tailBatch{}, fmt.Errorf("reading the tail: %w", err)
	}
	if err := r.readLines(ctx); err != nil {
		return tailBatch{}, fmt.Errorf("reading the tail's lines: %w", err)
	}
	if err := r.touchLists(ctx); err != nil {
		return tailBatch{}, fmt.Errorf("reading metadata for lists: %w", err)
	}
	t.metrics.lagged(r.found.lag)
	t.metrics.linesIn.Add(float64(r.found.lines))
	r.found.took = time.Since(began)
	t.metrics.reads.Observe(r.found.took.Seconds())
	return r.found, nil
}

// maxListActivities is for how many activities a read looks up the lists. Above that, all lists are read again.
const maxListActivities = 10_000

// tailRead is one read of the tail.
type tailRead struct {
	*tailer
	conn  *database.Direct
	moved func() // called when a row has arrived
	found tailBatch

	watched []touched
	lists   bool              // a list is watched
	changed []wsfeed.Activity // where lists is true; at most one more than maxListActivities
}

func (r *tailRead) findTouched(ctx context.Context, pos *position) error {
	r.lists = r.hub.HasLists()
	rows, err := r.conn.Query(ctx, r.q.touched, pos.xmaxText(), pos.xip)
	if err != nil {
		return err
	}
	var (
		kind, first, last         int
		id, agentID, parent, root pgtype.UUID
		agentType, text           *string
	)
	_, err = pgx.ForEachRow(rows, []any{&kind, &id, &agentID, &agentType, &parent, &root, &first, &last, &text}, func() (err error) {
		r.moved()
		if kind == 0 {
			r.found.commits = first
			if r.found.position, err = parsePosition(*text); err == nil {
				r.found.position.foreign = pos.foreign
			}
			return err
		}
		a := wsfeed.Activity{ID: id.Bytes, AgentID: agentID.Bytes, AgentType: *agentType, ParentAgentID: parent.Bytes, RootAgentID: root.Bytes}
		if r.hub.Watches(a.AgentID) {
			r.watched = append(r.watched, touched{a, max(first, last-RingLines+1), last})
		}
		if r.lists && len(r.changed) <= maxListActivities {
			r.changed = append(r.changed, a)
		}
		return nil
	})
	if err == nil && r.found.position == nil {
		err = errors.New("no position came back")
	}
	return err
}

// readLines reads the new lines of the watched activities. Where some lines are missing, the activity is confirmed: it was
// deleted since, or some of its lines were.
func (r *tailRead) readLines(ctx context.Context) error {
	if len(r.watched) == 0 {
		return nil
	}
	ids, first, last := make(database.IDs, len(r.watched)), make([]int, len(r.watched)), make([]int, len(r.watched))
	for i, w := range r.watched {
		ids[i], first[i], last[i] = w.ID, w.first, w.last
	}
	rows, err := r.conn.Query(ctx, r.q.lines, ids, first, last)
	if err != nil {
		return err
	}
	var (
		chunk    = newChunk(r.hub)
		came     = make([]int, len(r.watched))
		ord, seq int
		status   *string
		body     []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&ord, &seq, &status, &body}, func() error {
		r.moved()
		agentID := r.watched[ord-1].AgentID
		if status != nil {
			chunk.states[agentID] = wsfeed.NewState(r.watched[ord-1].ID, seq, *status, body)
			return nil
		}
		line := wsfeed.Line{AgentID: agentID, Seq: seq, JSON: body}
		line.CommittedAt = r.clock.written(line.JSON)
		r.found.add(line.CommittedAt)
		came[ord-1]++
		chunk.add(line)
		return nil
	})
	if err != nil {
		return err
	}
	chunk.flush()
	missing := new(wsfeed.Watch)
	for i, w := range r.watched {
		if came[i] < w.last-w.first+1 {
			missing.Activities = append(missing.Activities, w.AgentID)
		}
	}
	return r.confirm(ctx, r.conn, missing)
}

// touchLists makes the hub read the lists again that may hold a touched activity.
func (r *tailRead) touchLists(ctx context.Context) error {
	if len(r.changed) > maxListActivities {
		r.hub.ListsChanged(r.hub.Watched())
		return nil
	}
	return r.hub.Touched(r.changed, metadataReader(ctx, r.conn, r.q.metadata, r.moved))
}

// metadataReader returns the function that reads metadata for Hub.Touched. It calls moved for each row.
func metadataReader(ctx context.Context, db pgurl.DB, query string, moved func()) func([]wsfeed.Activity, func(int, json.RawMessage)) error {
	return func(unknown []wsfeed.Activity, take func(int, json.RawMessage)) error {
		ids := make(database.IDs, len(unknown))
		for i, a := range unknown {
			ids[i] = a.ID
		}
		rows, err := db.Query(ctx, query, ids)
		if err != nil {
			return err
		}
		var ord int
		var metadata []byte
		_, err = pgx.ForEachRow(rows, []any{&ord, &metadata}, func() error {
			moved()
			take(ord-1, metadata)
			return nil
		})
		return err
	}
}

// chunk gathers lines per activity and hands them to the hub when it is full.
type chunk struct {
	hub    *wsfeed.Hub
	states map[uuid.UUID]wsfeed.State
	lines  map[uuid.UUID][]wsfeed.Line
	count  int
	bytes  int
}

func newChunk(hub *wsfeed.Hub) *chunk {
	return &chunk{hub: hub, states: make(map[uuid.UUID]wsfeed.State), lines: make(map[uuid.UUID][]wsfeed.Line)}
}

func (c *chunk) add(l wsfeed.Line) {
	c.lines[l.AgentID] = append(c.lines[l.AgentID], l)
	c.count++
	c.bytes += len(l.JSON)
	if c.count >= chunkLines || c.bytes >= chunkBytes {
		c.flush()
	}
}

func (c *chunk) flush() {
	for id, lines := range c.lines {
		c.hub.Publish(id, wsfeed.Batch{Lines: lines, State: c.states[id]})
	}
	clear(c.lines)
	c.count, c.bytes = 0, 0
}
