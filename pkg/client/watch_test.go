package client_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// wakeupsOnly makes Watch depend on wake-ups: it polls once an hour.
var wakeupsOnly = &client.Config{MinPoll: time.Hour, MaxPoll: time.Hour}

// watchers are the clients that can watch.
func watchers(t *testing.T, b *bundle, config *client.Config) map[string]*client.Client {
	pooled, err := b.pool.Acquire(b.ctx)
	require.NoError(t, err)
	t.Cleanup(pooled.Release)
	return map[string]*client.Client{
		"Pool": client.New(b.pool, config), "Conn": client.New(b.db.Conn(t), config), "PooledConn": client.New(pooled, config),
	}
}

// Each line arrives by a wake-up alone, as does the end.
func TestWatchReceivesWakeups(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range watchers(t, b, wakeupsOnly) {
		t.Run(name, func(t *testing.T) {
			id, seen := b.create(t), make(chan client.Log)
			done := make(chan error, 1)
			go func() {
				defer close(seen)
				for line, err := range c.Watch(b.ctx, id, 0) {
					if err != nil {
						done <- err
						return
					}
					seen <- line
				}
				done <- nil
			}()
			require.Equal(t, "Agent queued", (<-seen).Message)
			for range 3 {
				b.awaitWakeupLock(t, true)
				want := must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
				require.Equal(t, want, <-seen)
			}
			b.awaitWakeupLock(t, true)
			want := must[client.Log](t)(b.c.Complete(b.ctx, id, ""))
			require.Equal(t, want, <-seen)
			_, more := <-seen
			require.False(t, more)
			require.NoError(t, <-done)
		})
	}
}

// Without wake-ups (behind a pooler, or because no writer notifies) it polls.
func TestWatchPolls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `create or replace function agentexec._send_wakeup() returns void language sql as ''`)
	for _, pollOnly := range []bool{false, true} {
		for name, c := range watchers(t, b, &client.Config{MinPoll: 2 * time.Millisecond, PollOnly: pollOnly}) {
			t.Run(name, func(t *testing.T) {
				id := b.create(t)
				for line, err := range c.Watch(b.ctx, id, 0) {
					require.NoError(t, err)
					if line.Seq < 5 {
						must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
					} else if line.Seq == 5 {
						must[client.Log](t)(b.c.Complete(b.ctx, id, ""))
					}
				}
			})
		}
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ends := map[client.Status]func(id uuid.UUID) error{
		client.StatusComplete: func(id uuid.UUID) error { return second(b.c.Complete(b.ctx, id, "end")) },
		client.StatusError:    func(id uuid.UUID) error { return second(b.c.Error(b.ctx, id, "end")) },
		client.StatusCanceled: func(id uuid.UUID) error { return second(b.c.Cancel(b.ctx, id, "end")) },
	}
	for status, end := range ends {
		t.Run(status.String(), func(t *testing.T) {
			id := b.create(t)
			require.NoError(t, end(id))
			for after, want := range [][]string{{"Agent queued", "end"}, {"end"}, {}} {
				got, err := collect(t, b.c.Watch(b.ctx, id, after))
				require.NoError(t, err)
				require.Equal(t, want, messages(t, got, after+1))
			}
			// Trailing lines are not lost.
			must[client.Log](t)(b.c.Update(b.ctx, id, "trailing"))
			got, err := collect(t, b.c.Watch(b.ctx, id, 1))
			require.NoError(t, err)
			require.Equal(t, []string{"end", "trailing"}, messages(t, got, 2))
		})
	}
}

// An ERROR whose retry is there goes on, also when the retry comes while the ERROR is being looked at.
func TestWatchGoesOnWithARetry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range watchers(t, b, wakeupsOnly) {
		t.Run(name, func(t *testing.T) {
			id := b.create(t)
			must[client.Log](t)(b.c.Error(b.ctx, id, "first"))
			must[client.Log](t)(b.c.Update(b.ctx, id, "retry", client.WithStatus(client.StatusRunning)))
			must[client.Log](t)(b.c.Error(b.ctx, id, "second"))
			var got []client.Log
			watch := c.Watch(b.ctx, id, 0)
			for line, err := range watch {
				require.NoError(t, err)
				got = append(got, line)
				if line.Message == "second" { // the client's own connection is free here
					must[client.Log](t)(c.Update(b.ctx, id, "retry", client.WithStatus(client.StatusQueued)))
					must[client.Log](t)(c.Complete(b.ctx, id, "third"))
				}
			}
			want := []string{"Agent queued", "first", "retry", "second", "retry", "third"}
			require.Equal(t, want, messages(t, got, 1))
			// The same iterator begins again.
			again, err := collect(t, watch)
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

// A reader that has seen a higher seq than there is saw lines that the database has lost.
func TestWatchFromBeyondTheLastLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	got, err := collect(t, b.c.Watch(b.ctx, id, 3))
	require.ErrorIs(t, err, client.ErrReset)
	require.Empty(t, got)
	must[client.Log](t)(b.c.Complete(b.ctx, id, ""))
	_, err = collect(t, b.c.Watch(b.ctx, id, 3))
	require.ErrorIs(t, err, client.ErrReset, "also of what is finished")
}

func TestWatchDeletedActivity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	for range 8 {
		must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
	}
	next, stop := pull(b.ctx, b.c, id, 1)
	defer stop()
	line, err := next()
	require.NoError(t, err)
	require.Equal(t, 2, line.Seq)

	b.db.Exec(t, "delete from agentexec.activity where agent_id = $1", id)
	for err == nil {
		_, err = next()
	}
	require.ErrorIs(t, err, client.ErrNotFound)

	// Lines alone: a jump in Seq, and the lines after it.
	id = b.create(t)
	for range 8 {
		must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
	}
	b.db.Exec(t, "delete from agentexec.activity_log l using agentexec.activity a where a.id = l.activity_id and a.agent_id = $1 and l.seq between 3 and 7", id)
	must[client.Log](t)(b.c.Complete(b.ctx, id, ""))
	got, err := collect(t, b.c.Watch(b.ctx, id, 0))
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 8, 9, 10}, seqs(got))
}

// A database that comes back with fewer lines has lost some that were seen. Going on in silence would skip those that
// now get their numbers.
func TestWatchLostLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)
	must[client.Log](t)(b.c.Update(b.ctx, id, "lost"))
	next, stop := pull(b.ctx, b.c, id, 0)
	defer stop()
	for range 2 {
		_, err := next()
		require.NoError(t, err)
	}
	b.db.Exec(t, "delete from agentexec.activity_log l where l.message = 'lost'")
	b.db.Exec(t, "update agentexec.activity set last_seq = 1")
	_, err := next()
	require.ErrorIs(t, err, client.ErrReset)
}

// An activity that is deleted and made again under its agent_id is another one: its lines are not those that follow.
func TestWatchRecreatedActivity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, lines := range map[string]int{"Shorter": 1, "AsLong": 3, "Longer": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := b.create(t)
			for range 2 {
				must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
			}
			next, stop := pull(b.ctx, b.c, id, 0)
			defer stop()
			for range 3 {
				_, err := next()
				require.NoError(t, err)
			}
			b.db.Exec(t, `with gone as (delete from agentexec.activity where agent_id = $1) select`, id)
			must[uuid.UUID](t)(b.c.Create(b.ctx, "research", "made again", client.WithAgentID(id)))
			for range lines - 1 {
				must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
			}
			_, err := next()
			require.ErrorIs(t, err, client.ErrReset)
		})
	}
}

func seqs(lines []client.Log) []int {
	got := make([]int, len(lines))
	for i, line := range lines {
		got[i] = line.Seq
	}
	return got
}
