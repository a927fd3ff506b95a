package feedsource

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/wsfeed"
)

// source reads from Postgres for the feed: snapshots, replays and lists, through the pool.
type source struct {
	pool pgurl.DB
	q    feedQueries
}

var _ wsfeed.Source = (*source)(nil)

// New returns the source of one schema, which reads through pool.
func New(pool pgurl.DB, schema string) wsfeed.Source {
	return &source{pool: pool, q: newFeedQueries(schema)}
}

// Snapshot implements wsfeed.Source.
func (s *source) Snapshot(ctx context.Context, agentID uuid.UUID, scope client.Scope) (wsfeed.Snapshot, error) {
	var activity, state []byte
	var status string
	var id uuid.UUID
	var lastSeq int
	var inTree bool
	err := refused(s.pool.QueryRow(ctx, s.q.snapshot, agentID, scopeText(scope)).Scan(&activity, &id, &lastSeq, &status, &state, &inTree))
	if errors.Is(err, pgx.ErrNoRows) {
		return wsfeed.Snapshot{}, wsfeed.ErrNotFound
	} else if err != nil {
		return wsfeed.Snapshot{}, err
	}
	return wsfeed.Snapshot{Activity: activity, InTree: inTree, State: wsfeed.NewState(id, lastSeq, status, state)}, nil
}

// Replay implements wsfeed.Source.
func (s *source) Replay(ctx context.Context, agentID uuid.UUID, afterSeq, bytes int, scope client.Scope) (wsfeed.Batch, error) {
	rows, err := s.pool.Query(ctx, s.q.replay, agentID, afterSeq, replayLines, bytes, scopeText(scope))
	if err != nil {
		return wsfeed.Batch{}, refused(err)
	}
	var (
		b           wsfeed.Batch
		id          uuid.UUID
		lastSeq     int
		status      string
		state, line []byte // each scan makes new ones
		seq         *int
	)
	tag, err := pgx.ForEachRow(rows, []any{&id, &lastSeq, &status, &state, &seq, &line}, func() error {
		if seq != nil {
			b.Lines = append(b.Lines, wsfeed.Line{AgentID: agentID, Seq: *seq, JSON: line})
		}
		return nil
	})
	if err != nil {
		return wsfeed.Batch{}, refused(err)
	}
	if tag.RowsAffected() == 0 {
		return wsfeed.Batch{}, wsfeed.ErrNotFound
	}
	b.State = wsfeed.NewState(id, lastSeq, status, state)
	return b, nil
}

// List implements wsfeed.Source.
func (s *source) List(ctx context.Context, f wsfeed.ListFilter, scope client.Scope, held []uuid.UUID) ([]wsfeed.ListItem, error) {
	since, until := moments(f)
	var text []byte
	err := s.pool.QueryRow(ctx, s.q.list, f.Limit, f.Statuses, nullable(f.AgentType), nullable(string(f.Metadata)), scopeText(scope), f.Stale,
		f.IncludeMetadata, nullable(f.Sort), nullable(f.Order), since.Time(), since.Before(), until.Time(), until.Before(),
		nullable(f.ParentAgentID), nullable(f.RootAgentID), f.RootsOnly, f.Waiting, f.Stopping, held).Scan(&text)
	if err != nil {
		return nil, refused(err)
	}
	return listItems(text)
}

// listItems returns the items of a page of activities. In the place of a held one is its agent_id.
func listItems(page []byte) ([]wsfeed.ListItem, error) {
	var raw struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(page, &raw); err != nil {
		return nil, err
	}
	items := make([]wsfeed.ListItem, len(raw.Items))
	for i, item := range raw.Items {
		if item[0] == '"' {
			if err := json.Unmarshal(item, &items[i].AgentID); err != nil {
				return nil, err
			}
			continue
		}
		var key struct {
			AgentID uuid.UUID `json:"agent_id"`
		}
		if err := json.Unmarshal(item, &key); err != nil {
			return nil, err
		}
		items[i] = wsfeed.ListItem{AgentID: key.AgentID, JSON: item}
	}
	return items, nil
}

// Counts implements wsfeed.Source.
func (s *source) Counts(ctx context.Context, f wsfeed.ListFilter, scope client.Scope) (json.RawMessage, error) {
	since, until := moments(f)
	var counts string
	err := s.pool.QueryRow(ctx, s.q.counts, nullable(f.AgentType), nullable(string(f.Metadata)), scopeText(scope),
		since.Time(), since.Before(), until.Time(), until.Before(),
		nullable(f.ParentAgentID), nullable(f.RootAgentID), f.RootsOnly, f.Waiting, f.Stopping).Scan(&counts)
	if err != nil {
		return nil, refused(err)
	}
	return json.RawMessage(counts), nil
}

// moments returns the range of a filter. wsfeed has checked it.
func moments(f wsfeed.ListFilter) (since, until client.When) {
	_ = since.UnmarshalText([]byte(f.Since))
	_ = until.UnmarshalText([]byte(f.Until))
	return since, until
}

// scopeText returns a scope as the queries take it: null keeps the session's scope.
func scopeText(scope client.Scope) *string { return nullable(scope.String()) }

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
