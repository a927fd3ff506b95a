package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentexec/agentexec/wsfeed"
)

// ringLines is how many recent lines the feed keeps per watched activity, and so how many of one activity a read of the
// tail fetches at most.
const ringLines = 1024

// Bounds of what is handed to the hub at once; a read of any size passes in pieces.
const (
	pieceLines = 1000
	pieceBytes = 1 << 20
)

// news is what a read found.
type news struct {
	position *position // where it ends
	lag                // of the lines of watched activities
	commits  int       // transactions that wrote lines of any activity
	took     time.Duration
}

// read hands what became visible since pos to the hub. Rows stream: a backlog of any size passes in bounded pieces.
// After an error the caller's position stays, and lines already handed over are recognised by their seq.
func (t *tailer) read(ctx context.Context, conn *tailConn, pos *position, w *wsfeed.Watch) (news, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stuck := time.AfterFunc(queryTimeout, cancel)
	defer stuck.Stop()
	began := time.Now()
	types, metadata, scopes := filterArrays(w.Lists)
	rows, err := conn.Query(ctx, t.q.tail, pos.xmaxText(), pos.xip, idArray(w.Activities), types, metadata, ringLines, scopes)
	if err != nil {
		return news{}, err
	}
	var (
		found     news
		states    = make(map[uuid.UUID]wsfeed.State)
		piece     = newPiece(t.hub, states)
		kind, seq int
		rowID     int64
		agentID   pgtype.UUID
		status    *string
		body      []byte
		lists     []int
	)
	_, err = pgx.ForEachRow(rows, []any{&kind, &rowID, &agentID, &seq, &status, &body, &lists}, func() (err error) {
		stuck.Reset(queryTimeout)
		switch kind {
		case 0:
			for i := range lists {
				lists[i]-- // ordinals count from one
			}
			if len(lists) > 0 {
				t.hub.ListsChanged(w, lists...)
			}
			found.commits = seq
			found.position, err = parsePosition(string(body))
		case 1:
			states[agentID.Bytes] = newState(seq, *status, body)
		default:
			line := wsfeed.Line{AgentID: agentID.Bytes, Seq: seq, JSON: body}
			line.CommittedAt = t.clock.written(line.JSON)
			found.add(line.CommittedAt)
			piece.add(line)
		}
		return err
	})
	if err != nil {
		return news{}, fmt.Errorf("reading the tail: %w", err)
	}
	if found.position == nil {
		return news{}, errors.New("reading the tail: no position came back")
	}
	found.position.foreign = pos.foreign
	piece.flush()
	t.metrics.lagged(found.lag)
	t.metrics.linesIn.Add(float64(found.lines))
	found.took = time.Since(began)
	t.metrics.reads.Observe(found.took.Seconds())
	return found, nil
}

// filterArrays is what the tail query needs of the lists: type, metadata and scope never change for an activity, so they
// alone decide whether a change touches a list.
func filterArrays(lists []wsfeed.WatchedList) (types, metadata, scopes []*string) {
	for _, f := range lists {
		types = append(types, nullable(f.AgentType))
		metadata = append(metadata, nullable(string(f.Metadata)))
		scopes = append(scopes, nullable(f.Scope))
	}
	return types, metadata, scopes
}

// piece gathers lines per activity and hands them to the hub when it is full.
type piece struct {
	hub    *wsfeed.Hub
	states map[uuid.UUID]wsfeed.State
	lines  map[uuid.UUID][]wsfeed.Line
	count  int
	bytes  int
}

func newPiece(hub *wsfeed.Hub, states map[uuid.UUID]wsfeed.State) *piece {
	return &piece{hub: hub, states: states, lines: make(map[uuid.UUID][]wsfeed.Line)}
}

func (p *piece) add(l wsfeed.Line) {
	p.lines[l.AgentID] = append(p.lines[l.AgentID], l)
	p.count++
	p.bytes += len(l.JSON)
	if p.count >= pieceLines || p.bytes >= pieceBytes {
		p.flush()
	}
}

func (p *piece) flush() {
	for id, lines := range p.lines {
		p.hub.Publish(id, wsfeed.Batch{Lines: lines, State: p.states[id]})
	}
	clear(p.lines)
	p.count, p.bytes = 0, 0
}
