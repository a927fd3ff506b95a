package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// fast is a pace for tests: no waits worth the name.
var fast = Config{Agents: 1, Duration: time.Millisecond, Pause: time.Millisecond, LineEvery: time.Nanosecond, Abandoned: time.Hour, TroubleEvery: time.Hour}

// slow is a pace at which an agent is still at work when a test has had its look.
var slow = Config{Agents: 1, Duration: time.Hour, Pause: time.Millisecond, LineEvery: time.Nanosecond, Abandoned: time.Hour, TroubleEvery: time.Hour}

// bench is a database with agents at work on it.
type bench struct {
	t  *testing.T
	db *pgtest.Database
	c  *client.Client
}

func setup(t *testing.T) *bench {
	t.Helper()
	db := pgtest.New(t)
	return &bench{t: t, db: db, c: client.New(db.Pool(t))}
}

// run runs agents until the test stops them, or ends.
func (b *bench) run(config Config, dir string) (stop func()) {
	b.t.Helper()
	config.Client, config.Dir = b.c, dir
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, config) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(b.t, <-done)
		}
	}
	b.t.Cleanup(stop)
	return stop
}

// await returns the first activity of an agent that is as wanted.
func (b *bench) await(wanted func(client.ListItem) bool) client.ListItem {
	b.t.Helper()
	return b.awaitAny(func(item client.ListItem) bool { return item.AgentType == TaskName && wanted(item) })
}

// awaitAny returns the first activity that is as wanted.
func (b *bench) awaitAny(wanted func(client.ListItem) bool) client.ListItem {
	b.t.Helper()
	var found client.ListItem
	require.Eventually(b.t, func() bool {
		list, err := b.c.List(context.Background(), client.ListParams{PageSize: 1000})
		require.NoError(b.t, err)
		for _, item := range list.Items {
			if wanted(item) {
				found = item
				return true
			}
		}
		return false
	}, time.Minute, 5*time.Millisecond)
	return found
}

func (b *bench) detail(id uuid.UUID) *client.Detail {
	b.t.Helper()
	detail, err := b.c.Detail(context.Background(), id, client.DetailParams{})
	require.NoError(b.t, err)
	return detail
}

func is(status client.Status) func(client.ListItem) bool {
	return func(item client.ListItem) bool { return item.Status == status }
}

func TestReportsProgress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(fast, plant(t, map[string]string{"pkg/one": "1\n", "pkg/sub/two": "1\n2\n", "pkg/three": strings.Repeat("x\n", 100_000)}))

	detail := b.detail(b.await(is(client.StatusComplete)).AgentID)
	require.Equal(t, TaskName, detail.AgentType)
	require.Equal(t, 1, detail.Attempt)
	previous := 0
	for _, line := range detail.Logs {
		if line.Percentage != nil {
			require.GreaterOrEqual(t, *line.Percentage, previous)
			previous = *line.Percentage
		}
	}
	logs := detail.Logs
	require.Equal(t, client.StatusQueued, logs[0].Status)
	require.Equal(t, client.StatusRunning, logs[1].Status)
	require.Equal(t, "Found 3 files, 200.0 kB", logs[2].Message)
	require.Contains(t, logs[3].Message, "one: 1 line, 2 B (1 of 3 files)")

	require.Equal(t, client.StatusComplete, logs[len(logs)-1].Status)
	last := logs[len(logs)-2]
	require.Equal(t, 100, *last.Percentage)
	require.Contains(t, last.Message, ": 3 files, 200.0 kB, 100,003 lines in ")
	var totals map[string]any
	require.NoError(t, json.Unmarshal(last.Data, &totals))
	require.EqualValues(t, 3, totals["files"])
	require.EqualValues(t, 200_006, totals["bytes"])
	require.EqualValues(t, 100_003, totals["lines"])
	require.Len(t, totals["sha256"], 64)
}

func TestWorksOnEveryPartAndAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files := map[string]string{}
	for i := range 3 * partFiles {
		files[fmt.Sprintf("part%d/file%d", i%3, i)] = "x"
	}
	config := fast
	config.Agents = 2
	b.run(config, plant(t, files))
	require.Eventually(t, func() bool {
		var again bool
		err := b.db.Conn(t).QueryRow(context.Background(), `select count(*) = 3 and min(n) >= 2 from (
			select l.message, count(*) as n from agentexec.activity_log l
			join agentexec.activity a on a.id = l.activity_id where l.seq = 1 and a.agent_type = 'hash-files' group by 1) x`).Scan(&again)
		require.NoError(t, err)
		return again
	}, time.Minute, 50*time.Millisecond)
}

// TestRequestedCancelStopsAnAgent: the agent ends its activity itself, without a force. Only the request can stop it: it waits for
// the next file for longer than the test runs.
func TestRequestedCancelStopsAnAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files := map[string]string{}
	for i := range partFiles {
		files[fmt.Sprintf("file%d", i)] = "x\n"
	}
	b.run(slow, plant(t, files))

	item := b.await(func(item client.ListItem) bool { return item.Status == client.StatusRunning && item.LastSeq >= 3 })
	require.Equal(t, expectEvery, item.ExpectEvery.Duration())
	_, err := b.c.Cancel(context.Background(), item.AgentID, "Enough", client.WithoutForce())
	require.NoError(t, err)
	// The agent takes up something else, which it does only when it is done with this.
	b.await(func(other client.ListItem) bool { return other.AgentID != item.AgentID })
	detail := b.detail(item.AgentID)
	require.Equal(t, client.StatusCanceled, detail.Status)
	require.False(t, detail.Cancel.Forced)
}

// TestForcedCancelStopsAnAgent: an agent stops after another program ended its activity.
func TestForcedCancelStopsAnAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(slow, plant(t, map[string]string{"one": "1", "two": "2"}))
	item := b.await(func(item client.ListItem) bool { return item.Status == client.StatusRunning })
	_, err := b.c.Cancel(context.Background(), item.AgentID, "Enough", client.WithGrace(0))
	require.NoError(t, err)
	b.await(func(other client.ListItem) bool { return other.AgentID != item.AgentID })
	require.True(t, b.detail(item.AgentID).Cancel.Forced)
}

func TestStopCancelsItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, err := b.c.Create(context.Background(), TaskName, "", client.WithMetadata(Metadata()))
	require.NoError(t, err)
	config := slow
	config.Agents = 3
	root := plant(t, map[string]string{"a/x": "1", "b/x": "1"})
	for i := range partFiles {
		require.NoError(t, writeFile(root, fmt.Sprintf("a/%d", i), "2"))
		require.NoError(t, writeFile(root, fmt.Sprintf("b/%d", i), "2"))
	}
	stop := b.run(config, root)
	first := b.await(is(client.StatusRunning))
	b.await(func(item client.ListItem) bool {
		return item.Status == client.StatusRunning && item.AgentID != first.AgentID
	})
	stop()

	pending, err := b.c.PendingIDs(context.Background())
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{other}, pending)
	item := b.await(is(client.StatusCanceled))
	require.Equal(t, "Canceled: the agent was stopped", *item.LatestLog)
}

func TestAbandonedAreCanceled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	abandoned, err := b.c.Create(ctx, TaskName, "", client.WithMetadata(Metadata()))
	require.NoError(t, err)
	unmarked, err := b.c.Create(ctx, TaskName, "")
	require.NoError(t, err)
	research, err := b.c.Create(ctx, "research", "", client.WithMetadata(Metadata()))
	require.NoError(t, err)
	coordinator, err := b.c.Create(ctx, CoordinatorName, "", client.WithMetadata(Metadata()))
	require.NoError(t, err)
	b.db.Exec(t, "update agentexec.activity set updated_at = updated_at - interval '1 day'")
	fresh, err := b.c.Create(ctx, TaskName, "", client.WithMetadata(Metadata()))
	require.NoError(t, err)

	stop := b.run(slow, plant(t, map[string]string{"one": "1"}))
	item := b.await(is(client.StatusCanceled))
	require.Equal(t, abandoned, item.AgentID)
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentID == coordinator && item.Status == client.StatusCanceled
	})
	stop()
	pending, err := b.c.PendingIDs(ctx)
	require.NoError(t, err)
	require.Subset(t, pending, []uuid.UUID{unmarked, research, fresh}) // the demo's own may be pending, too
	require.NotContains(t, pending, abandoned)
}

// TestRidesOutLostConnections: an agent whose connections are killed goes on with the activity it was at.
func TestRidesOutLostConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files := map[string]string{}
	for i := range partFiles {
		files[fmt.Sprintf("file%d", i)] = "x\n"
	}
	config := fast
	config.Duration = time.Second
	b.run(config, plant(t, files))
	item := b.await(is(client.StatusRunning))
	for range 3 {
		seq := b.detail(item.AgentID).LastSeq
		b.db.Exec(t, `select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
			where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid()`)
		require.Eventually(t, func() bool {
			detail, err := b.c.Detail(context.Background(), item.AgentID, client.DetailParams{LogLimit: new(0)})
			return err == nil && (detail.LastSeq > seq || detail.Status.IsFinished())
		}, time.Minute, 5*time.Millisecond)
	}
	require.Eventually(t, func() bool {
		detail, err := b.c.Detail(context.Background(), item.AgentID, client.DetailParams{LogLimit: new(0)})
		return err == nil && detail.Status == client.StatusComplete
	}, time.Minute, 5*time.Millisecond)
}
