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
	// staleInterval is the pause between two reads of the stale activities. After a slow read, the pause is staleCooldown times
	// its duration: activities of workers that died stay stale until they are ended, so there may be many.
	staleInterval = time.Second
	staleCooldown = 20
	// deniedPause is the pause after a read that the sidecar's role may not make, or for which the schema has no function.
	deniedPause = time.Minute
)

// staleWatcher finds the activities that became stale or are no longer stale, and tells the hub. No line is written then, so it
// reads the heartbeats about every second while anything is watched. It uses the pool, not the connection of the tail, so that
// neither delays the other.
type staleWatcher struct {
	hub     *wsfeed.Hub
	db      pgurl.DB
	q       queries
	log     *slog.Logger
	metrics *tailMetrics

	// stale is the set that the hub was told of, by the id of the row; nil before the first read. mark identifies it.
	stale map[uuid.UUID]wsfeed.Activity
	mark  string
}

// run reads until ctx ends. It logs the first of several failures in a row.
func (w *staleWatcher) run(ctx context.Context) {
	logged := false
	for {
		began := time.Now()
		err := w.once(ctx)
		pause := max(staleInterval, staleCooldown*time.Since(began))
		switch {
		case err == nil:
			logged = false
		case ctx.Err() != nil:
			return
		default:
			if !logged {
				w.log.Warn("cannot read the stale activities; trying again", "error", err)
			}
			logged, pause = true, staleInterval
			if database.IsHopeless(err) {
				pause = deniedPause
			}
		}
		if backoff.Wait(ctx, pause) != nil {
			return
		}
	}
}

// once makes one read, and tells the hub what changed. After an error, the next read finds the same differences again.
func (w *staleWatcher) once(ctx context.Context) error {
	if w.hub.Empty() {
		w.stale, w.mark = nil, ""
		w.metrics.stale.Set(unknownStale)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	began := time.Now()
	found, mark, err := w.read(ctx)
	if err != nil {
		return fmt.Errorf("reading the stale activities: %w", err)
	}
	w.metrics.staleReads.Observe(time.Since(began).Seconds())
	w.metrics.stale.Set(float64(len(found)))
	if err := w.refresh(ctx, found); err != nil {
		return fmt.Errorf("reading the states of activities: %w", err)
	}
	if err := w.touchLists(ctx, found); err != nil {
		return fmt.Errorf("reading metadata for lists: %w", err)
	}
	w.stale, w.mark = found, mark
	return nil
}

// read returns the stale activities, and the mark of that set. If the mark is that of the last read, only the mark is read.
func (w *staleWatcher) read(ctx context.Context) (found map[uuid.UUID]wsfeed.Activity, mark string, err error) {
	rows, err := w.db.Query(ctx, w.q.stale, w.mark)
	if err != nil {
		return nil, "", err
	}
	found = make(map[uuid.UUID]wsfeed.Activity)
	var (
		id, agentID  *uuid.UUID
		parent, root uuid.NullUUID
		agentType    *string
	)
	_, err = pgx.ForEachRow(rows, []any{&mark, &id, &agentID, &agentType, &parent, &root}, func() error {
		if id != nil {
			found[*id] = wsfeed.Activity{ID: *id, AgentID: *agentID, AgentType: *agentType, ParentAgentID: parent.UUID, RootAgentID: root.UUID}
		}
		return nil
	})
	if err == nil && mark == w.mark {
		found = w.stale
	}
	return found, mark, err
}

// refresh reads the states of the watched activities for which the hub has another value of stale.
func (w *staleWatcher) refresh(ctx context.Context, found map[uuid.UUID]wsfeed.Activity) error {
	stale := make(map[uuid.UUID]struct{}, len(found))
	for _, a := range found {
		stale[a.AgentID] = struct{}{}
	}
	differ := w.hub.StaleDiffers(func(agentID uuid.UUID) bool {
		_, is := stale[agentID]
		return is
	})
	for chunk := range slices.Chunk(differ, statesChunk) {
		err := readStates(ctx, w.db, w.q.states, chunk, func(k wsfeed.Known, s wsfeed.State, _ json.RawMessage) { w.hub.Refresh(k, s) })
		if err != nil {
			return err
		}
	}
	return nil
}

// touchLists makes the hub read the lists again that may hold an activity which is in only one of the two sets. On the first
// read there is no earlier set, so it makes the hub read all lists.
func (w *staleWatcher) touchLists(ctx context.Context, found map[uuid.UUID]wsfeed.Activity) error {
	if !w.hub.HasLists() {
		return nil
	}
	changed := maps.Clone(found)
	for id, a := range w.stale {
		if _, still := found[id]; still {
			delete(changed, id)
		} else {
			changed[id] = a
		}
	}
	if w.stale == nil || len(changed) > maxListActivities {
		w.hub.ListsChanged(w.hub.Watched())
		return nil
	}
	return w.hub.Touched(slices.Collect(maps.Values(changed)), metadataReader(ctx, w.db, w.q.metadata, func() {}))
}
