package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// TestStorm is the promise of the product: writers commit at random, some roll back, some hold their transaction
// open; the sidecar's connections are killed all the while and sockets come and go. Every subscriber ends with
// exactly the committed lines, in order, none twice.
func TestStorm(t *testing.T) {
	t.Parallel()
	const (
		activities  = 12
		writers     = 16
		rounds      = 60
		subscribers = 24
	)
	s := setup(t)
	pool := s.db.Pool(t, func(c *pgxpool.Config) { c.MaxConns = writers })
	ids := make([]uuid.UUID, activities)
	for i := range ids {
		ids[i] = s.create(t)
	}
	// One order for all transactions, so that they wait for each other and never in a circle. The functions lock by
	// the activity's id, which is not agent_id.
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var readers sync.WaitGroup
	for n := range subscribers {
		mine := []uuid.UUID{ids[n%activities], ids[rand.IntN(activities)]}
		readers.Go(func() { follow(ctx, t, s, mine) })
	}
	storm, calm := context.WithCancel(ctx)
	var killer sync.WaitGroup
	kills := 0
	killer.Go(func() { kills = killSidecar(storm, t, s) })

	var clients sync.WaitGroup
	for w := range writers {
		clients.Go(func() {
			for n := range rounds {
				write(ctx, t, pool, ids, fmt.Sprintf("w%d-%d", w, n))
			}
		})
	}
	clients.Wait()
	calm()
	killer.Wait()
	require.Positive(t, kills, "no connection of the sidecar was killed: the storm proves nothing")
	for _, id := range ids {
		_, err := s.c.Complete(ctx, id, "done")
		require.NoError(t, err)
	}
	readers.Wait()
	t.Logf("%d connections killed", kills)
}

// write does one transaction of some kind. The database tells afterwards whether it was committed.
func write(ctx context.Context, t *testing.T, pool *pgxpool.Pool, ids []uuid.UUID, name string) {
	c := client.New(pool)
	switch rand.IntN(10) {
	case 0, 1, 2, 3:
		_, err := c.Update(ctx, ids[rand.IntN(len(ids))], name)
		noError(ctx, t, err)
		return
	case 4:
		var entries []client.Entry
		for n := range 5 + rand.IntN(50) {
			entries = append(entries, client.Entry{AgentID: ids[0], Message: fmt.Sprint(name, " bulk ", n)})
		}
		_, err := c.AppendLogs(ctx, entries)
		noError(ctx, t, err)
		return
	}
	rolledBack := errors.New("rolled back on purpose")
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		first := rand.IntN(len(ids))
		for _, id := range ids[first:min(first+3, len(ids))] {
			if _, err := c.WithTx(tx).Update(ctx, id, name+" in a transaction", client.WithPercentage(rand.IntN(101))); err != nil {
				return err
			}
		}
		if rand.IntN(8) == 0 {
			if _, err := tx.Exec(ctx, "select pg_sleep(0.3)"); err != nil {
				return err
			}
		}
		if rand.IntN(3) == 0 {
			return rolledBack
		}
		return nil
	})
	if !errors.Is(err, rolledBack) {
		noError(ctx, t, err)
	}
}

func noError(ctx context.Context, t *testing.T, err error) {
	if err != nil && ctx.Err() == nil {
		t.Errorf("writing: %v", err)
	}
}

// killSidecar ends the sidecar's sessions again and again, and returns how many. Each time it lets the tail read once at
// least: on a slow machine nothing would ever arrive otherwise.
func killSidecar(ctx context.Context, t *testing.T, s *service) (kills int) {
	conn := s.db.Conn(t)
	reads := func() float64 { return s.metric(t, "agentexec_tail_read_seconds_count") }
	for ctx.Err() == nil {
		var n int
		before := reads()
		err := conn.QueryRow(ctx, `select count(pg_terminate_backend(a.pid)), pg_sleep(random() * 0.4)::text = '' from pg_stat_activity a
			where a.datname = current_database() and a.application_name like 'agentexec%'`).Scan(&n, nil)
		if err == nil {
			kills += n
		}
		for ctx.Err() == nil && reads() == before {
			_, _ = conn.Exec(ctx, "select pg_sleep(0.02)")
		}
	}
	return kills
}

// follow watches activities over sockets that it drops at random, until it has seen every one end; then it compares
// what it saw with the table.
func follow(ctx context.Context, t *testing.T, s *service, ids []uuid.UUID) {
	seen := make(map[uuid.UUID][]client.Log)
	over := make(map[uuid.UUID]bool)
	for _, id := range ids {
		over[id] = false
	}
	for ctx.Err() == nil && !allOver(over) {
		if err := session(s, seen, over); err != nil {
			t.Error(err)
			return
		}
	}
	for id := range over {
		var want []client.Log
		for l, err := range s.c.Logs(ctx, id, 0) {
			if err != nil {
				t.Error(err)
				return
			}
			want = append(want, l)
		}
		if len(want) != len(seen[id]) {
			t.Errorf("activity %s: %d lines committed, %d received", id, len(want), len(seen[id]))
			continue
		}
		for i := range want {
			if want[i].ID != seen[id][i].ID || want[i].Message != seen[id][i].Message {
				t.Errorf("activity %s: line %d is %q, received %q", id, i+1, want[i].Message, seen[id][i].Message)
			}
		}
	}
}

func allOver(over map[uuid.UUID]bool) bool {
	for _, o := range over {
		if !o {
			return false
		}
	}
	return true
}

// session is one socket's life: it subscribes behind what was seen, takes some frames, and hangs up without a word.
func session(s *service, seen map[uuid.UUID][]client.Log, over map[uuid.UUID]bool) error {
	ws, resp, err := dial(s.url, "/v1/feed", nil)
	if err != nil {
		return fmt.Errorf("dialling: %w", err)
	}
	defer ws.Close()
	_ = resp.Body.Close()
	so := &socket{ws}
	for id := range over {
		last := len(seen[id])
		if err := ws.WriteJSON(map[string]any{"type": "subscribe", "agent_id": id, "after_seq": last}); err != nil {
			return err
		}
	}
	for range 1 + rand.IntN(60) {
		m, err := so.read()
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		switch m.Type {
		case "welcome", "snapshot":
		case "logs":
			id := uuid.MustParse(*m.Sub)
			for _, l := range m.Logs {
				if l.Seq != len(seen[id])+1 {
					return fmt.Errorf("activity %s: seq %d follows %d", id, l.Seq, len(seen[id]))
				}
				seen[id] = append(seen[id], l)
			}
		case "end":
			over[uuid.MustParse(*m.Sub)] = true
			if allOver(over) {
				return nil
			}
		default:
			return fmt.Errorf("unexpected frame: %s", m.raw)
		}
	}
	return nil
}
