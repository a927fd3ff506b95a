package sql_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/internal/pgtest"
)

const writerCount = 64

func setupWriters(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{T: t, db: pgtest.New(t)}
	b.pool = b.db.Pool(t, func(c *pgxpool.Config) { c.MaxConns = writerCount + 4 })
	t.Cleanup(func() { requireInvariants(t, b.db) })
	return b
}

// committed are the messages of committed lines per activity, those of one writer in the order it wrote them.
type committed struct {
	sync.Mutex
	lines map[uuid.UUID]map[int][]string
}

func (c *committed) add(agent uuid.UUID, writer int, messages ...string) {
	c.Lock()
	defer c.Unlock()
	if c.lines == nil {
		c.lines = map[uuid.UUID]map[int][]string{}
	}
	if c.lines[agent] == nil {
		c.lines[agent] = map[int][]string{}
	}
	c.lines[agent][writer] = append(c.lines[agent][writer], messages...)
}

// requireWritten checks that an activity has line 1, exactly the committed lines, each writer's in order, and others
// more (those of cancel_pending).
func (c *committed) requireWritten(b *bundle, agent uuid.UUID, others int) {
	b.Helper()
	got, count := map[int][]string{}, 0
	for _, message := range all[string](b.T, b.pool, `select l.message from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id where a.agent_id = $1 and l.seq > 1 order by l.seq`, agent) {
		var writer, n int
		if _, err := fmt.Sscanf(message, "writer %d line %d", &writer, &n); err == nil {
			got[writer] = append(got[writer], message)
			count++
		}
	}
	if want := c.lines[agent]; want != nil {
		require.Equal(b, want, got)
	} else {
		require.Empty(b, got)
	}
	require.Equal(b, count+1+others, readActivity(b.T, b.pool, agent).LastSeq)
}

var errRollback = errors.New("roll back")

// inTx runs f in a transaction, and rolls back where f returns an error.
func (b *bundle) inTx(ctx context.Context, f func(q querier) error) error {
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	return tx.Commit(ctx)
}

func Test64WritersOnOneActivity(t *testing.T) {
	t.Parallel()
	b := setupWriters(t)
	agent, statuses := b.in("RUNNING"), []*string{nil, nil, nil, ptr("RUNNING"), ptr("QUEUED"), ptr("RUNNING")}
	var c committed
	g, ctx := errgroup.WithContext(t.Context())
	for writer := range writerCount {
		g.Go(func() error {
			for i := 0; i < 4; {
				var wrote []string
				err := b.inTx(ctx, func(q querier) error {
					for range 1 + rand.IntN(3) {
						message := fmt.Sprintf("writer %d line %d", writer, i)
						i++
						l := line{agent: agent, message: message, status: statuses[rand.IntN(len(statuses))], percentage: ptr(i % 101)}
						if err := doors[rand.IntN(len(doors))].write(ctx, q, l); err != nil {
							return err
						}
						wrote = append(wrote, message)
					}
					if rand.IntN(4) == 0 {
						return errRollback
					}
					return nil
				})
				if err == nil {
					c.add(agent, writer, wrote...)
				} else if !errors.Is(err, errRollback) {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	c.requireWritten(b, agent, 1)
}

// 64 writers on 64 activities, many in one append_logs in any order, some rolled back, while cancel_pending and retries
// go on: no deadlock, no line lost, none twice.
func Test64WritersOn64Activities(t *testing.T) {
	t.Parallel()
	b := setupWriters(t)
	agents := make([]uuid.UUID, 64)
	for i := range agents {
		agents[i] = b.create(fmt.Sprint("type ", i%4))
	}
	var c committed
	g, ctx := errgroup.WithContext(t.Context())
	for writer := range writerCount {
		g.Go(func() error {
			for i := 0; i < 24; {
				wrote := map[uuid.UUID][]string{}
				next := func(agent uuid.UUID) line {
					l := line{agent: agent, message: fmt.Sprintf("writer %d line %d", writer, i)}
					i++
					wrote[agent] = append(wrote[agent], l.message)
					return l
				}
				err := b.inTx(ctx, func(q querier) error {
					if rand.IntN(2) == 0 {
						if err := doors[rand.IntN(len(doors))].write(ctx, q, next(agents[rand.IntN(len(agents))])); err != nil {
							return err
						}
					} else {
						var entries []entry
						for _, n := range rand.Perm(len(agents))[:1+rand.IntN(12)] {
							entries = append(entries, next(agents[n]).entry())
						}
						if _, err := q.Exec(ctx, "select agentexec.append_logs($1)", entries); err != nil {
							return err
						}
					}
					if rand.IntN(5) == 0 {
						return errRollback
					}
					return nil
				})
				if err == nil {
					for agent, messages := range wrote {
						c.add(agent, writer, messages...)
					}
				} else if !errors.Is(err, errRollback) {
					return err
				}
			}
			return nil
		})
	}
	cancels := 0
	g.Go(func() error {
		for i := range 12 {
			var n int
			if err := b.pool.QueryRow(ctx, "select agentexec.cancel_pending(agent_type => $1)", fmt.Sprint("type ", i%3)).Scan(&n); err != nil {
				return err
			}
			cancels += n
		}
		return nil
	})
	require.NoError(t, g.Wait())
	for i := range 3 { // those that were locked each time were skipped
		cancels += one[int](t, b.pool, "select agentexec.cancel_pending(agent_type => $1)", fmt.Sprint("type ", i))
	}
	require.Equal(t, 48, cancels, "each of three types once")
	for i, agent := range agents {
		others := 1
		if i%4 == 3 {
			others = 0 // never canceled
		}
		c.requireWritten(b, agent, others)
	}
}

// Two append_logs with the same activities in opposite orders, and cancel_pending with them, take the locks in one order.
func TestOppositeOrdersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	b := setupWriters(t)
	entries := make([]entry, 200)
	for i := range entries {
		entries[i] = line{agent: b.create("research"), message: "x"}.entry()
	}
	backwards := make([]entry, len(entries))
	for i, e := range entries {
		backwards[len(entries)-1-i] = e
	}
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 8 {
		g.Go(func() error {
			for range 10 {
				var err error
				switch i % 3 {
				case 0:
					_, err = b.pool.Exec(ctx, "select agentexec.append_logs($1)", entries)
				case 1:
					_, err = b.pool.Exec(ctx, "select agentexec.append_logs($1)", backwards)
				default:
					// Canceled for the others to wait for, and then not: they stay pending for the next round.
					err = b.inTx(ctx, func(q querier) error {
						if _, err := q.Exec(ctx, "select agentexec.cancel_pending()"); err != nil {
							return err
						}
						return errRollback
					})
					if errors.Is(err, errRollback) {
						err = nil
					}
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
}
