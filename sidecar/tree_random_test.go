package sidecar_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// envSeconds asks for a longer run of TestRandomTreesAreFollowed, such as 60.
const envSeconds = "AGENTEXEC_TEST_SECONDS"

// Writers create children, end, fail, retry, cancel trees, ask, answer and prune at the same time. No call ends with a deadlock or another
// error than the rules give. At the end each live list is what Postgres has, and each subscriber of an activity has its lines.
func TestRandomTreesAreFollowed(t *testing.T) {
	t.Parallel()
	duration := 6 * time.Second
	if text := os.Getenv(envSeconds); text != "" {
		seconds, err := strconv.Atoi(text)
		require.NoError(t, err)
		duration = time.Duration(seconds) * time.Second
	}
	const writers = 16
	s := setup(t, func(c *sidecar.Config) { c.Feed.ListRefresh = time.Second }) // a prune writes no line
	pool := s.db.Pool(t, func(c *pgxpool.Config) { c.MaxConns = writers })
	trees := &randomTrees{root: s.create(t)}
	var followers []*follower
	for range 6 {
		plan := s.create(t)
		part := s.child(t, plan)
		trees.add(plan)
		trees.add(part)
		followers = append(followers, s.follower(t, plan), s.follower(t, part))
	}
	followers = append(followers, s.follower(t, trees.root))
	lists := map[string]*liveList{
		`page_size => 200`: s.pumped(t, `{"limit":200}`),
		fmt.Sprintf(`page_size => 100, root_agent_id => '%s'`, trees.root):   s.pumped(t, fmt.Sprintf(`{"limit":100,"root_agent_id":%q}`, trees.root)),
		fmt.Sprintf(`page_size => 100, parent_agent_id => '%s'`, trees.root): s.pumped(t, fmt.Sprintf(`{"limit":100,"parent_agent_id":%q}`, trees.root)),
		`page_size => 100, roots_only => true`:                               s.pumped(t, `{"limit":100,"roots_only":true}`),
		`page_size => 100, waiting => true`:                                  s.pumped(t, `{"limit":100,"waiting":true}`),
	}
	var group errgroup.Group
	began := time.Now()
	more := func() bool { // on a busy machine, until there is something to compare
		took := time.Since(began)
		return took < duration || trees.count() < 500 && took < patience
	}
	for n := range writers {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(n), 15))
			for more() {
				if err := trees.call(t, pool, random); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Eventually(t, func() bool { // the sidecar sweeps until nothing changes any more
		var due int
		require.NoError(t, pool.QueryRow(t.Context(), `select
			(select count(*) from agentexec.activity a where a.cancel_force_at is not null and a.finished_at is null)
			+ (select count(*) from agentexec.question q where q.state = 'PENDING' and q.expires_at is not null)`).Scan(&due))
		return due == 0
	}, patience, 50*time.Millisecond)
	var all, total int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*), sum(a.last_seq) from agentexec.activity a").Scan(&all, &total))
	t.Logf("%d calls; %d activities with %d lines are left", trees.calls, all, total)
	for of, l := range lists {
		counts := of[len("page_size => 200"):]
		if counts != "" {
			counts = counts[len(", "):]
		}
		l.shows(t, s, fmt.Sprintf(`select (agentexec.list_activities(%s)->'items')::text, agentexec.count_by_status(%s)::text`, of, counts))
	}
	for _, f := range followers {
		f.requireAll(t, s)
	}
}

// randomTrees are the activities that were created last, and a root that never ends.
type randomTrees struct {
	root uuid.UUID

	mu    sync.Mutex
	ids   []uuid.UUID
	calls int
}

func (r *randomTrees) add(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids = append(r.ids, id); len(r.ids) > 200 {
		r.ids = r.ids[100:]
	}
}

func (r *randomTrees) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

func (r *randomTrees) pick(random *rand.Rand) uuid.UUID {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return r.ids[random.IntN(len(r.ids))]
}

// call makes one call. An error of the rules is no error.
func (r *randomTrees) call(t *testing.T, pool *pgxpool.Pool, random *rand.Rand) error {
	sql, args := r.random(random)
	var created *uuid.UUID
	err := pool.QueryRow(t.Context(), sql, args...).Scan(&created)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && (refused.Code == "TA404" || refused.Code == "TA409" || refused.Code == "TA422"):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", sql, err)
	case created != nil:
		r.add(*created)
	}
	return nil
}

// random returns a call whose result is the agent_id of a new activity, or null.
func (r *randomTrees) random(random *rand.Rand) (sql string, args []any) {
	id := r.pick(random)
	also := id // also the root that never ends
	if random.IntN(4) == 0 {
		also = r.root
	}
	key := string(rune('a' + random.IntN(3)))
	switch n := random.IntN(100); {
	case n < 3:
		return "select agentexec.create_activity('plan')", nil
	case n < 15:
		return "select agentexec.create_activity('part', parent_agent_id => $1)", []any{also}
	case n < 55:
		return "select null::uuid from agentexec.append_log($1, 'x', $2::int, 'RUNNING')", []any{also, random.IntN(101)}
	case n < 65:
		return "select null::uuid from agentexec.complete($1)", []any{id}
	case n < 72:
		return "select null::uuid from agentexec.error($1)", []any{id}
	case n < 77:
		return "select null::uuid from agentexec.ask($1, $2, 'Go on?', expires_in => $3::int * interval '1 s')", []any{also, key, 1 + random.IntN(3)}
	case n < 80:
		return "select null::uuid from agentexec.answer($1, $2, '1')", []any{also, key}
	case n < 82:
		return "select null::uuid from agentexec.decline($1, $2)", []any{also, key}
	case n < 86:
		return "select null::uuid from agentexec.cancel($1, grace => $2::int * interval '10 ms', tree => true)", []any{id, random.IntN(3)}
	case n < 90:
		return "select null::uuid from agentexec.sweep()", nil
	case n < 95:
		return "select null::uuid from agentexec.prune(now() - interval '200 ms', max_rows => $1)", []any{1 + random.IntN(200)}
	default:
		return `select null::uuid from agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x'),
			jsonb_build_object('agent_id', $2::uuid, 'message', 'y', 'status', 'COMPLETE')))`, []any{also, id}
	}
}

// pump reads a socket in a goroutine of its own, so that the feed never waits for it.
func (s *socket) pump() func(testing.TB) message {
	frames := make(chan message, 1<<16)
	go func() {
		defer close(frames)
		for {
			m, err := s.read()
			if err != nil {
				return
			}
			frames <- m
		}
	}()
	return func(t testing.TB) message {
		t.Helper()
		m, ok := <-frames
		require.True(t, ok, "nothing came, or the socket has ended")
		return m
	}
}

// pumped subscribes to a list whose frames are read at once.
func (s *service) pumped(t testing.TB, filter string) *liveList {
	t.Helper()
	l := s.list(t, filter)
	l.from = l.so.pump()
	return l
}

// follower follows one activity from its beginning.
type follower struct {
	id   uuid.UUID
	from func(testing.TB) message
}

func (s *service) follower(t testing.TB, id uuid.UUID) *follower {
	t.Helper()
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	return &follower{id: id, from: so.pump()}
}

// requireAll takes frames until the follower has the lines of the activity: all of them in their order, but for those that were
// deleted before they were sent. If the activity was deleted, its subscription ends.
func (f *follower) requireAll(t testing.TB, s *service) {
	t.Helper()
	detail, err := s.c.Detail(t.Context(), f.id, client.DetailParams{})
	gone := errors.Is(err, client.ErrNotFound)
	if !gone {
		require.NoError(t, err)
	}
	for last := 0; gone || last < detail.LastSeq; {
		m := f.from(t)
		switch m.Type {
		case "error":
			require.True(t, gone, m.raw)
			require.Equal(t, "not_found", m.Code)
			return
		case "gap":
			require.Equal(t, "pruned", m.Reason, m.raw)
			require.Equal(t, last, m.AfterSeq)
			if !gone && len(detail.Logs) > 0 {
				require.LessOrEqual(t, m.NextSeq, detail.Logs[0].Seq)
			}
			last = m.NextSeq - 1
		}
		for _, l := range m.Logs {
			last++
			require.Equal(t, last, l.Seq, m.raw)
			if at := l.Seq - 1; !gone && len(detail.Logs) == detail.LastSeq {
				require.Equal(t, detail.Logs[at].ID, l.ID)
			}
		}
	}
}
