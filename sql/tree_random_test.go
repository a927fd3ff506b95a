package sql_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// Writers create children, end, fail, retry and ask, cancel trees and prune at the same time. No call ends with a deadlock or another
// error than the rules give, and the counts of children are those of a recount.
func TestRandomTrees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const writers, duration = 16, 15 * time.Second
	pool := b.db.Pool(t)
	ids := &treeIDs{}
	for range 8 {
		ids.add(b.create("plan"))
	}
	var calls atomic.Int64
	var group errgroup.Group
	until := time.Now().Add(duration)
	for n := range writers {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(n), 14))
			for time.Now().Before(until) {
				sql, args := randomTreeCall(random, ids)
				var created *uuid.UUID
				err := pool.QueryRow(t.Context(), sql, args...).Scan(&created)
				switch code(err) {
				case "TA404", "TA409", "TA422":
				case "":
					if err != nil {
						return err
					}
					if created != nil {
						ids.add(*created)
					}
				default:
					return err
				}
				calls.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	t.Log(calls.Load(), "calls")

	require.Empty(t, all[string](t, b.pool, `
		with k as materialized (select agentexec._children_json(array_agg(x.agent_id), null, null, null) as children from agentexec.activity x)
		select a.agent_id || ': ' || (k.children -> a.agent_id::text)::text
		from k
		cross join agentexec.activity a
		cross join lateral (select count(*) as total, count(*) filter (where c.finished_at is not null) as over from agentexec.activity c where c.parent_agent_id = a.agent_id) c
		where coalesce((k.children -> a.agent_id::text ->> 'total')::int, 0) <> c.total`))
	_, err := b.pool.Exec(context.WithoutCancel(t.Context()), "select agentexec.prune(now() + interval '1 day', max_rows => 100000)")
	require.NoError(t, err)
	require.Empty(t, all[uuid.UUID](t, b.pool, `select a.agent_id from agentexec.activity a
		where a.finished_at is not null and a.parent_agent_id is null
			and not exists (select from agentexec.activity m where m.root_agent_id = a.agent_id and m.finished_at is null)`))
}

// randomTreeCall returns one call. Its result is the agent_id of a new activity, or null.
func randomTreeCall(random *rand.Rand, ids *treeIDs) (sql string, args []any) {
	id := ids.pick(random)
	switch n := random.IntN(100); {
	case n < 3:
		return "select agentexec.create_activity('plan')", nil
	case n < 30:
		return "select agentexec.create_activity('part', parent_agent_id => $1)", []any{id}
	case n < 55:
		return "select null::uuid from agentexec.append_log($1, 'x', $2::int, 'RUNNING')", []any{id, random.IntN(101)}
	case n < 65:
		return "select null::uuid from agentexec.complete($1)", []any{id}
	case n < 72:
		return "select null::uuid from agentexec.error($1)", []any{id}
	case n < 76:
		return "select null::uuid from agentexec.ask($1, $2::text, 'Go on?')", []any{id, string(rune('a' + random.IntN(3)))}
	case n < 79:
		return "select null::uuid from agentexec.answer($1, $2::text, '1')", []any{id, string(rune('a' + random.IntN(3)))}
	case n < 82:
		return "select null::uuid from agentexec.activity_detail($1)", []any{id}
	case n < 86:
		return "select null::uuid from agentexec.cancel($1, grace => $2::int * interval '10 ms', tree => true)", []any{id, random.IntN(3)}
	case n < 90:
		return "select null::uuid from agentexec.sweep()", nil
	case n < 95:
		return "select null::uuid from agentexec.prune(now() - interval '200 ms', max_rows => 200)", nil
	default:
		return `select null::uuid from agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x'),
			jsonb_build_object('agent_id', $2::uuid, 'message', 'y', 'status', 'COMPLETE')))`, []any{id, ids.pick(random)}
	}
}

// treeIDs are the activities that were created last.
type treeIDs struct {
	mu  sync.Mutex
	ids []uuid.UUID
}

func (t *treeIDs) add(id uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids = append(t.ids, id)
	if len(t.ids) > 200 {
		t.ids = t.ids[100:]
	}
}

func (t *treeIDs) pick(random *rand.Rand) uuid.UUID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ids[random.IntN(len(t.ids))]
}
