package sidecar_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// child creates an activity below parent.
func (s *service) child(t testing.TB, parent uuid.UUID, opts ...client.CreateOption) uuid.UUID {
	t.Helper()
	id, err := s.c.Create(t.Context(), "part", "queued", append(opts, client.WithParent(parent))...)
	require.NoError(t, err)
	return id
}

func (s *service) askOf(t testing.TB, id uuid.UUID, key string) {
	t.Helper()
	_, err := s.c.Ask(t.Context(), id, client.Question{Key: key, Prompt: "Go on?"})
	require.NoError(t, err)
}

// becomes takes frames until the list holds these activities and no others, and counts this many.
func (l *liveList) becomes(t testing.TB, counted int, want ...uuid.UUID) {
	t.Helper()
	same := func() bool {
		total := -l.counts["stale"]
		for _, n := range l.counts {
			total += n
		}
		for _, id := range want {
			if _, ok := l.items[id]; !ok {
				return false
			}
		}
		return len(l.items) == len(want) && total == counted
	}
	for !same() {
		l.next(t)
	}
}

// Live lists by root, by parent, of roots and of waiting activities: what enters them and leaves them, and their counts.
func TestLiveListsOfTrees(t *testing.T) {
	t.Parallel()
	s := setup(t)
	root, other := s.create(t), s.create(t)
	part := s.child(t, root)
	byRoot := s.list(t, fmt.Sprintf(`{"root_agent_id":%q}`, root))
	byParent := s.list(t, fmt.Sprintf(`{"parent_agent_id":%q}`, root))
	roots := s.list(t, `{"roots_only":true}`)
	waiting := s.list(t, `{"waiting":true}`)
	idle := s.list(t, fmt.Sprintf(`{"waiting":false,"root_agent_id":%q,"statuses":["RUNNING"]}`, root))
	byRoot.becomes(t, 2, root, part)
	byParent.becomes(t, 1, part)
	roots.becomes(t, 2, root, other)
	waiting.becomes(t, 0)
	idle.becomes(t, 2)

	leaf := s.child(t, part)
	byRoot.becomes(t, 3, root, part, leaf)
	another := s.create(t)
	roots.becomes(t, 3, root, other, another)
	second := s.child(t, root)
	byParent.becomes(t, 2, part, second)
	byRoot.becomes(t, 4, root, part, leaf, second)

	s.write(t, leaf, client.StatusRunning, "go")
	idle.becomes(t, 4, leaf)
	s.askOf(t, leaf, "a")
	s.askOf(t, leaf, "b")
	waiting.becomes(t, 1, leaf)
	idle.becomes(t, 3)
	_, err := s.c.Answer(t.Context(), leaf, "a", true, "ada")
	require.NoError(t, err)
	_, err = s.c.Decline(t.Context(), leaf, "b", "ada")
	require.NoError(t, err)
	waiting.becomes(t, 0)
	idle.becomes(t, 4, leaf)

	// The end of an activity withdraws its questions.
	s.askOf(t, other, "a")
	waiting.becomes(t, 1, other)
	_, err = s.c.Complete(t.Context(), other, "")
	require.NoError(t, err)
	waiting.becomes(t, 0)

	s.list(t, fmt.Sprintf(`{"root_agent_id":%q,"parent_agent_id":%q}`, root, part)).becomes(t, 1, leaf)
	s.list(t, fmt.Sprintf(`{"root_agent_id":%q}`, part)).becomes(t, 1, part) // is the root of nothing
	s.list(t, fmt.Sprintf(`{"parent_agent_id":%q,"roots_only":true}`, root)).becomes(t, 0)
	s.list(t, fmt.Sprintf(`{"parent_agent_id":%q}`, uuid.New())).becomes(t, 0)

	// The lists show what list_activities and count_by_status say.
	for l, of := range map[*liveList]string{
		byRoot: "root_agent_id => $1", byParent: "parent_agent_id => $1", roots: "roots_only => $1::uuid is not null", waiting: "waiting => $1::uuid is not null",
	} {
		l.shows(t, s, fmt.Sprintf(`select (agentexec.list_activities(%s)->'items')::text, agentexec.count_by_status(%[1]s)::text`, of), root)
	}
}

// A live list of the activities that are stopping: a cancel request enters one, and its end takes it out.
func TestLiveListOfStoppingActivities(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.create(t)
	s.write(t, a, client.StatusRunning, "go")
	stopping := s.list(t, `{"stopping":true}`)
	others := s.list(t, `{"stopping":false}`)
	stopping.becomes(t, 0)
	others.becomes(t, 1, a)
	_, err := s.c.Cancel(t.Context(), a, "enough")
	require.NoError(t, err)
	stopping.becomes(t, 1, a)
	others.becomes(t, 0)
	_, err = s.c.Complete(t.Context(), a, "")
	require.NoError(t, err)
	stopping.becomes(t, 0)
	others.becomes(t, 1, a)
	for l, yes := range map[*liveList]bool{stopping: true, others: false} {
		l.shows(t, s, `select (agentexec.list_activities(stopping => $1)->'items')::text, agentexec.count_by_status(stopping => $1)::text`, yes)
	}
}

// childrenOf returns the counts of the children of an item.
func (l *liveList) childrenOf(id uuid.UUID) (c client.Children, ok bool) {
	text, _ := json.Marshal(l.items[id]["children"])
	ok = json.Unmarshal(text, &c) == nil && string(text) != "null"
	return c, ok
}

// Children write far more often than ten times a second. The item of the root is sent at most as often as that, and the last state
// arrives. So do the first child and the end of each, which the root's own lines do not tell.
func TestChildrenRefreshTheRoot(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.ListInterval, c.Feed.ListRefresh = time.Millisecond, time.Hour })
	const children, lines = 8, 80
	root, bystander := s.create(t), s.create(t)
	roots := s.list(t, `{"roots_only":true}`)
	quiet := s.list(t, fmt.Sprintf(`{"roots_only":true,"agent_type":"none of %s"}`, bystander))
	parts := make([]uuid.UUID, children)
	for n := range parts {
		parts[n] = s.child(t, root)
		for c, ok := roots.childrenOf(root); !ok || c.Total <= n; c, ok = roots.childrenOf(root) {
			roots.next(t) // the creation of a child is shown without a line of the root
		}
	}

	frames := len(roots.frames)
	began := time.Now()
	var writers sync.WaitGroup
	for n, id := range parts {
		writers.Go(func() {
			for line := range lines {
				_, err := s.c.Update(t.Context(), id, "line", client.WithStatus(client.StatusRunning), client.WithPercentage(min(100, line+1)))
				noError(t.Context(), t, err)
			}
			if n%2 == 0 {
				_, err := s.c.Complete(t.Context(), id, "")
				noError(t.Context(), t, err)
			}
		})
	}
	writing := make(chan struct{})
	go func() {
		writers.Wait()
		close(writing)
	}()
	want := client.Children{Total: children, Running: children / 2, Complete: children / 2, Percentage: (100 + lines) / 2}
	for c, _ := roots.childrenOf(root); c != want; c, _ = roots.childrenOf(root) {
		m := roots.next(t)
		require.Len(t, m.Items, 1, "the bystander has no children")
	}
	<-writing
	took := time.Since(began)
	require.LessOrEqual(t, len(roots.frames)-frames, int(took/(100*time.Millisecond))+2)
	t.Logf("%d frames for %d lines in %s", len(roots.frames)-frames, children*(lines+1), took)

	// A line of a grandchild refreshes its parent and the root.
	grandchild := s.child(t, parts[1])
	middle := s.list(t, fmt.Sprintf(`{"parent_agent_id":%q}`, root))
	_, err := s.c.Complete(t.Context(), grandchild, "")
	require.NoError(t, err)
	for c, _ := middle.childrenOf(parts[1]); c.Complete != 1; c, _ = middle.childrenOf(parts[1]) {
		middle.next(t)
	}
	require.Equal(t, []string{"snapshot"}, quiet.frames)
}

// Two tokens see other children of one root: neither counts a child outside of its scope, and both are refreshed.
func TestChildrenAreCountedInTheScope(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	metadata := func(team string) client.CreateOption {
		return client.WithMetadata(map[string]any{"org": "1", "team": team})
	}
	root, err := s.c.Create(t.Context(), "plan", "queued", metadata("all"))
	require.NoError(t, err)
	var parts []uuid.UUID
	for _, team := range []string{"x", "x", "y"} {
		parts = append(parts, s.child(t, root, metadata(team)))
	}
	watch := func(teams ...string) *liveList {
		scope := client.Scope{}
		for _, team := range append(teams, "all") {
			scope.MetadataAny = append(scope.MetadataAny, map[string]any{"team": team})
		}
		l := &liveList{so: s.dialWith(t, "/v1/feed", token(t, auth.Grant{Subject: "ada", Read: true, Scope: scope}))}
		require.Equal(t, "welcome", l.so.next(t).Type)
		l.so.send(t, `{"type":"subscribe","sub":"l","list":{"roots_only":true}}`)
		require.Equal(t, "snapshot", l.next(t).Type)
		return l
	}
	shows := func(l *liveList, want client.Children) {
		t.Helper()
		for c, _ := l.childrenOf(root); c != want; c, _ = l.childrenOf(root) {
			require.LessOrEqual(t, c.Total, want.Total)
			l.next(t)
		}
	}
	x, y, both, none := watch("x"), watch("y"), watch("x", "y"), watch()
	shows(x, client.Children{Total: 2, Queued: 2})
	shows(y, client.Children{Total: 1, Queued: 1})
	shows(both, client.Children{Total: 3, Queued: 3})
	shows(none, client.Children{})
	s.write(t, parts[2], client.StatusRunning, "go")
	shows(y, client.Children{Total: 1, Running: 1})
	shows(both, client.Children{Total: 3, Queued: 2, Running: 1})
	s.write(t, parts[0], client.StatusComplete, "done")
	shows(x, client.Children{Total: 2, Queued: 1, Complete: 1, Percentage: 50})
	shows(both, client.Children{Total: 3, Queued: 1, Running: 1, Complete: 1, Percentage: 33})
	// Nothing was sent that shows no difference: frames of x and y are those of their own children.
	require.Equal(t, []string{"snapshot", "changes"}, x.frames)
	require.Equal(t, []string{"snapshot", "changes"}, y.frames)
	require.Equal(t, []string{"snapshot"}, none.frames)
}

// A prune deletes the oldest lines of a finished activity while a subscriber replays them: it gets a gap and goes on. When the
// activity is deleted, the subscription ends.
func TestPruneDuringReplay(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const lines = 6000
	id := s.create(t)
	for range 10 {
		s.bulkLines(t, id, lines/10, strings.Repeat("x", 2000))
	}
	_, err := s.c.Complete(t.Context(), id, "")
	require.NoError(t, err)
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	first := so.next(t).Logs
	require.Equal(t, 1, first[0].Seq)
	last := first[len(first)-1].Seq // the others wait for the socket: it takes less than all lines
	pruned, err := s.c.Prune(t.Context(), client.PruneParams{FinishedBefore: time.Now().Add(time.Hour), MaxRows: lines - 500})
	require.NoError(t, err)
	require.Equal(t, client.Pruned{Lines: lines - 500}, pruned)

	gaps := 0
	for {
		m := so.next(t)
		if m.Type == "end" {
			require.Equal(t, lines+2, m.LastSeq)
			require.Equal(t, lines+2, last)
			break
		}
		if m.Type == "gap" {
			require.Equal(t, "pruned", m.Reason)
			require.Equal(t, lines-500+1, m.NextSeq)
			require.Equal(t, last, m.AfterSeq)
			last = m.NextSeq - 1
			gaps++
			continue
		}
		require.Equal(t, "logs", m.Type, m.raw)
		for _, l := range m.Logs {
			require.Equal(t, last+1, l.Seq)
			last = l.Seq
		}
	}
	require.Equal(t, 1, gaps)
	again := s.open(t)
	again.subscribe(t, id, 0)
	require.Equal(t, "snapshot", again.next(t).Type)
	m := again.next(t)
	require.Equal(t, "gap", m.Type, m.raw)
	require.Equal(t, "pruned", m.Reason)

	pruned, err = s.c.Prune(t.Context(), client.PruneParams{FinishedBefore: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, 1, pruned.Activities)
	require.Equal(t, "not_found", so.expect(t, "error", id.String()).Code)
}
