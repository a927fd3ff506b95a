package top

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// family is a root with a child that has a child, a waiting child, and an activity beside them.
type family struct{ root, child, grandchild, waiting, other client.ListItem }

func newFamily() family {
	item := func(kind string, parent, root *client.ListItem, below *client.Children) client.ListItem {
		now := time.Now()
		i := client.ListItem{LatestLog: new("line of " + kind), Activity: client.Activity{
			AgentID: uuid.New(), AgentType: kind, Status: client.StatusRunning, LastSeq: 3, CreatedAt: now, UpdatedAt: now, LastSeenAt: now, Children: below,
		}}
		if parent != nil {
			i.ParentAgentID, i.RootAgentID = &parent.AgentID, &root.AgentID
		}
		return i
	}
	var f family
	f.root = item("plan", nil, nil, &client.Children{Total: 12, Running: 9, Complete: 2, Error: 1, Percentage: 25})
	f.child = item("part", &f.root, &f.root, &client.Children{Total: 1, Running: 1})
	f.grandchild = item("piece", &f.child, &f.root, nil)
	f.waiting = item("review", &f.root, &f.root, nil)
	f.waiting.OpenQuestions = 1
	f.other = item("ingest", nil, nil, nil)
	return f
}

func (f family) all() []client.ListItem {
	return []client.ListItem{f.root, f.child, f.grandchild, f.waiting, f.other}
}

func (f family) read(m *model) readMsg {
	msg := readMsg{generation: m.reads.generation, list: &client.List{Items: f.all()}, children: map[uuid.UUID]children{}}
	for _, id := range m.wantedChildren() {
		switch id {
		case f.root.AgentID:
			msg.children[id] = children{items: []client.ListItem{f.child, f.waiting}, more: 10}
		case f.child.AgentID:
			msg.children[id] = children{items: []client.ListItem{f.grandchild}}
		}
	}
	return msg
}

// kinds returns the types of the rows, as deep as they are.
func kinds(m *model) (all []string) {
	for i, item := range m.list {
		all = append(all, strings.Repeat(" ", m.places[i].depth)+item.AgentType)
	}
	return all
}

// TestTreeUnfolds: children are counted in the row of their parent and have rows of their own below it once it is unfolded. What
// needs a person has a row in any case.
func TestTreeUnfolds(t *testing.T) {
	t.Parallel()
	f := newFamily()
	m := shown(t, 120, 30, f.all()...)
	require.Equal(t, []string{"review", "plan", "ingest"}, kinds(m))
	text := strings.Join(screen(t, m), "\n")
	require.Regexp(t, `(?s)Needs me 1\n▌ \? review +Waits for you  line of review .*Running 2\n  ◐ ▸ plan +3/12 1✗  line of plan .*\n  ◐ ingest `, text)
	require.Contains(t, text, "5 running  1 waiting")

	press(m, "h") // nothing is below it and it has no parent here
	require.Equal(t, f.waiting.AgentID, m.selected)
	press(m, "l")
	require.Contains(t, m.message, "has no children")
	require.NotNil(t, press(m, "j", "l"))
	m.take(f.read(m))
	require.Equal(t, []string{"review", "plan", " part", "ingest"}, kinds(m))
	text = strings.Join(screen(t, m), "\n")
	require.Regexp(t, `(?s)▌ ◐ ▾ plan .*\n  ◐   ▸ part +0/1  line of part .*\n      and 10 more\n  ◐ ingest`, text)
	require.NotNil(t, press(m, "j", "l"))
	m.take(f.read(m))
	require.Equal(t, []string{"review", "plan", " part", "  piece", "ingest"}, kinds(m))
	press(m, "j")
	require.Equal(t, f.grandchild.AgentID, m.selected)
	press(m, "h")
	require.Equal(t, f.child.AgentID, m.selected)
	press(m, "h", "h")
	require.Equal(t, f.root.AgentID, m.selected)
	require.Equal(t, []string{"review", "plan", " part", "ingest"}, kinds(m))
	press(m, "h")
	require.Equal(t, []string{"review", "plan", "ingest"}, kinds(m))

	// A filter chooses activities at any depth.
	require.NotNil(t, press(m, "/", "p", "i", "e", "c", "e", "enter"))
	m.take(f.read(m))
	require.Equal(t, []string{"piece"}, kinds(m))
}

// TestTooManyUnfolded: each unfolded activity costs a read.
func TestTooManyUnfolded(t *testing.T) {
	t.Parallel()
	var items []client.ListItem
	for range maxUnfolded + 1 {
		items = append(items, newFamily().root)
	}
	m := shown(t, 120, 30, items...)
	for range maxUnfolded {
		require.NotNil(t, press(m, "l"))
		press(m, "j")
	}
	require.Nil(t, press(m, "l"))
	require.True(t, m.wrong)
	require.Contains(t, m.message, "fold another one first")
	require.Len(t, m.wantedChildren(), maxUnfolded)
}

// TestTreesFit: rows of trees, of questions and the form are no wider and no higher than the terminal.
func TestTreesFit(t *testing.T) {
	t.Parallel()
	f := newFamily()
	evil := *hostile()[0].LatestLog
	f.root.AgentType, f.waiting.AgentType, f.waiting.LatestLog = evil, evil, &evil
	for _, width := range []int{60, 61, 80, 124, 200} {
		for _, height := range []int{8, 9, 40} {
			m := shown(t, width, height, f.all()...)
			check := func() {
				t.Helper()
				for _, row := range screen(t, m) {
					require.NotContains(t, row, "\x1b")
					require.NotContains(t, row, "\u202e")
				}
			}
			press(m, "j", "l")
			m.take(f.read(m))
			check()
			q := client.AskedQuestion{AgentID: f.waiting.AgentID, AgentType: evil, Key: evil, Prompt: evil, ExpiresAt: new(time.Now().Add(time.Hour))}
			m.prompts = map[uuid.UUID]client.AskedQuestion{q.AgentID: q}
			check()
			press(m, "g", "c")
			check()
			press(m, "n")
			for _, schema := range []string{"null", `{"type": "boolean"}`, `{"type": "string"}`, `{"enum": ["` + strings.Repeat("x", 500) + `", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]}`} {
				q.Schema = json.RawMessage(schema)
				m.openForm(questionsMsg{items: []client.AskedQuestion{q, q}})
				check()
				press(m, "k")
				check()
				m.form.problem = evil
				check()
				press(m, "esc")
			}
			press(m, "enter")
			check()
		}
	}
}

// listing is a source that answers lists from a function.
type listing struct {
	source.Source
	list func(params client.ListParams) client.List
}

func (l listing) ListJSON(_ context.Context, params client.ListParams) (json.RawMessage, error) {
	return json.Marshal(l.list(params))
}

// TestReadOfFullPages: where a page is full, roots and activities that need a person are read too, and each activity comes once.
func TestReadOfFullPages(t *testing.T) {
	t.Parallel()
	f := newFamily()
	full := false
	var asked []string
	src := listing{list: func(p client.ListParams) client.List {
		kind := fmt.Sprintf("%v", p.Statuses)
		answer := client.List{Items: []client.ListItem{f.child, f.grandchild}}
		switch {
		case p.RootsOnly:
			kind, answer.Items = "roots "+kind, []client.ListItem{f.root}
		case p.Waiting != nil:
			kind, answer.Items = "waiting "+kind, []client.ListItem{f.waiting, f.child}
		case p.Stale != nil:
			kind, answer.Items = "stale "+kind, nil
		case full:
			answer.Next, answer.Total = new("x"), new(1000)
		}
		asked = append(asked, kind)
		return answer
	}}
	read := func(v int, filter string) int {
		asked = nil
		parsed, err := ParseFilter(filter)
		require.NoError(t, err)
		list, err := parsed.query(views[v], order{}).read(t.Context(), src, true)
		require.NoError(t, err)
		return len(list.Items)
	}
	require.Equal(t, 2, read(0, ""))
	require.Equal(t, []string{"[RUNNING QUEUED]"}, asked)
	full = true
	require.Equal(t, 4, read(0, ""))
	require.Equal(t, []string{"[RUNNING QUEUED]", "roots [RUNNING QUEUED]", "waiting []", "stale []"}, asked)
	read(1, "")
	require.Equal(t, []string{"waiting []", "stale []"}, asked)
	read(2, "")
	require.Equal(t, []string{"[ERROR]", "roots [ERROR]"}, asked)
	read(3, "")
	require.Equal(t, []string{"[]", "roots []", "waiting []", "stale []"}, asked)
	read(0, "status:waiting")
	require.Equal(t, []string{"waiting [RUNNING QUEUED]"}, asked)
	read(0, "status:complete")
	require.Equal(t, []string{"[COMPLETE]"}, asked)
}

// TestCancelOfTree: the question offers the tree where there are children.
func TestCancelOfTree(t *testing.T) {
	t.Parallel()
	f := newFamily()
	m := shown(t, 120, 30, f.all()...)
	press(m, "j", "c")
	rows := screen(t, m)
	require.Regexp(t, `^Cancel plan \w{8}\? Its worker has 30 s\.  y only it  t its tree  n no$`, rows[len(rows)-1])
	require.Nil(t, press(m, "x"))
	require.Equal(t, "Nothing was canceled", m.message)
	require.NotNil(t, press(m, "c", "t"))
	require.Regexp(t, `^Canceling the tree of plan \w{8} \.\.\.$`, m.message)

	f.root.Status, f.root.FinishedAt = client.StatusComplete, new(time.Now())
	done := shown(t, 120, 30, f.root)
	press(done, "c")
	rows = screen(t, done)
	require.Regexp(t, `^Cancel what is below plan \w{8}\?  t yes  n no$`, rows[len(rows)-1])
}
