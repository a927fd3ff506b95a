package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/backoff"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/sidecar/internal/database"
	"github.com/agentexec/agentexec/wsfeed"
)

const (
	// staleInterval is the pause between two looks at the stale activities. After a slow look, it is staleCooldown times its
	// duration: activities of workers that died stay stale until they are ended, and may become many.
	staleInterval = time.Second
	staleCooldown = 20
	// deniedPause is the pause after a look that the sidecar's role may not make, or that the schema does not have.
	deniedPause = time.Minute
)

// staleLook finds the activities that have become stale, or are not any more, and tells the hub. Nothing is written then, so it
// reads the heartbeats about every second while anything is watched. It uses the pool, so that neither waits for the other: it
// and the tail.
type staleLook struct {
	hub     *wsfeed.Hub
	db      pgurl.DB
	q       queries
	log     *slog.Logger
	metrics *tailMetrics

	// stale is the set that the lists have been told of, by the id of the row; nil before the first look. mark identifies it.
	stale map[uuid.UUID]wsfeed.Activity
	mark  string
}

// run looks until ctx ends.
func (l *staleLook) run(ctx context.Context) {
	told := false
	for {
		began := time.Now()
		err := l.once(ctx)
		pause := max(staleInterval, staleCooldown*time.Since(began))
		switch {
		case err == nil:
			told = false
		case ctx.Err() != nil:
			return
		default:
			if !told {
				l.log.Warn("cannot look for stale activities; trying again", "error", err)
			}
			told, pause = true, staleInterval
			if database.IsHopeless(err) {
				pause = deniedPause
			}
		}
		if backoff.Wait(ctx, pause) != nil {
			return
		}
	}
}

// once makes one look. After an error, the next look finds the same differences again.
func (l *staleLook) once(ctx context.Context) error {
	if l.hub.Empty() {
		l.stale, l.mark = nil, ""
		l.metrics.stale.Set(unknownStale)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	began := time.Now()
	found, mark, err := l.read(ctx)
	if err != nil {
		return fmt.Errorf("reading the stale activities: %w", err)
	}
	l.metrics.staleReads.Observe(time.Since(began).Seconds())
	l.metrics.stale.Set(float64(len(found)))
	if err := l.refresh(ctx, found); err != nil {
		return fmt.Errorf("reading the states of activities: %w", err)
	}
	if err := l.touchLists(ctx, found); err != nil {
		return fmt.Errorf("reading metadata for lists: %w", err)
	}
	l.stale, l.mark = found, mark
	return nil
}

// read returns the stale activities, and the mark of that set. Where it has the mark of the last look, only the mark is read.
func (l *staleLook) read(ctx context.Context) (found map[uuid.UUID]wsfeed.Activity, mark string, err error) {
	rows, err := l.db.Query(ctx, l.q.stale, l.mark)
	if err != nil {
		return nil, "", err
	}
	found = make(map[uuid.UUID]wsfeed.Activity)
	var (
		id, agentID *uuid.UUID
		agentType   *string
	)
	_, err = pgx.ForEachRow(rows, []any{&mark, &id, &agentID, &agentType}, func() error {
		if id != nil {
			found[*id] = wsfeed.Activity{ID: *id, AgentID: *agentID, AgentType: *agentType}
		}
		return nil
	})
	if err == nil && mark == l.mark {
		found = l.stale
	}
	return found, mark, err
}

// refresh reads the states of the watched activities that the hub knows otherwise.
func (l *staleLook) refresh(ctx context.Context, found map[uuid.UUID]wsfeed.Activity) error {
	stale := make(map[uuid.UUID]struct{}, len(found))
	for _, a := range found {
		stale[a.AgentID] = struct{}{}
	}
	differ := l.hub.StaleDiffers(func(agentID uuid.UUID) bool {
		_, is := stale[agentID]
		return is
	})
	for chunk := range slices.Chunk(differ, statesChunk) {
		err := readStates(ctx, l.db, l.q.states, chunk, func(k wsfeed.Known, s wsfeed.State, _ json.RawMessage) { l.hub.Refresh(k, s) })
		if err != nil {
			return err
		}
	}
	return nil
}

// touchLists makes the hub read the lists again that may hold an activity which is in one of the two sets alone. At the first
// look it cannot know which these are.
func (l *staleLook) touchLists(ctx context.Context, found map[uuid.UUID]wsfeed.Activity) error {
	if !l.hub.HasLists() {
		return nil
	}
	crossed := maps.Clone(found)
	for id, a := range l.stale {
		if _, still := found[id]; still {
			delete(crossed, id)
		} else {
			crossed[id] = a
		}
	}
	if l.stale == nil || len(crossed) > maxListActivities {
		l.hub.ListsChanged(l.hub.Watched())
		return nil
	}
	return l.hub.Touched(slices.Collect(maps.Values(crossed)), metadataReader(ctx, l.db, l.q.metadata, func() {}))
}
