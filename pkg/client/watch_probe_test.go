package client_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// readCounter counts the statements that read lines.
type readCounter struct{ n atomic.Int64 }

func (r *readCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "activity_detail") {
		r.n.Add(1)
	}
	return ctx
}

func (r *readCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestWatchIgnoresProbes: sidecars probe their listeners through the same channel, every one of them every few seconds.
// A probe carries a payload, and no Watch reads because of it.
func TestWatchIgnoresProbes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reads := new(readCounter)
	pool := b.db.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = reads })
	pooled, err := pool.Acquire(b.ctx)
	require.NoError(t, err)
	t.Cleanup(pooled.Release)
	sender := b.db.Conn(t)
	notify := func(payload string) {
		t.Helper()
		_, err := sender.Exec(b.ctx, "select pg_notify('agentexec', $1)", payload)
		require.NoError(t, err)
	}
	for name, c := range map[string]*client.Client{"Pool": client.New(pool, wakeupsOnly), "PooledConn": client.New(pooled, wakeupsOnly)} {
		t.Run(name, func(t *testing.T) {
			id := b.create(t)
			next, stop := pull(b.ctx, c, id, 0)
			defer stop()
			_, err := next()
			require.NoError(t, err)
			got := make(chan client.Log)
			go func() {
				line, err := next()
				if err == nil {
					got <- line
				}
				close(got)
			}()
			b.awaitWakeupLock(t, true)
			notify("") // the read that this causes is the last before the probes
			before := reads.n.Load()
			for range 100 {
				notify(uuid.NewString())
			}
			line := must[client.Log](t)(b.c.Update(b.ctx, id, "a line"))
			require.Equal(t, line, <-got)
			require.LessOrEqual(t, reads.n.Load()-before, int64(3), "reads for 100 probes, two wake-ups and a start")
		})
	}
}
