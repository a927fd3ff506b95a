package top

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// shown returns a model of so many columns and rows with these activities, as after a read.
func shown(t *testing.T, width, height int, items ...client.ListItem) *model {
	t.Helper()
	m, err := newModel(t.Context(), Config{Place: "database at host", Describe: func(err error) string { return err.Error() }})
	require.NoError(t, err)
	m.view = 3
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.take(readMsg{list: &client.List{Items: slices.Clone(items)}, metadata: true})
	return m
}

// screen returns the rows of the screen without colours, and requires that each fits.
func screen(t *testing.T, m *model) []string {
	t.Helper()
	rows := strings.Split(m.View().Content, "\n")
	require.LessOrEqual(t, len(rows), m.height)
	for i, row := range rows {
		require.LessOrEqual(t, ansi.StringWidth(row), m.width, "row %d: %s", i, row)
		rows[i] = strings.TrimRight(ansi.Strip(row), " ")
	}
	return rows
}

func press(m *model, keys ...string) tea.Cmd {
	var cmd tea.Cmd
	for _, key := range keys {
		k := tea.Key{Text: key, Code: []rune(key)[0]}
		switch key {
		case "enter":
			k = tea.Key{Code: tea.KeyEnter}
		case "esc":
			k = tea.Key{Code: tea.KeyEscape}
		case "pgup":
			k = tea.Key{Code: tea.KeyPgUp}
		}
		_, cmd = m.Update(tea.KeyPressMsg(k))
	}
	return cmd
}

// hostile has an activity of each state, with text that would break a screen.
func hostile() []client.ListItem {
	now := time.Now()
	evil := strings.Repeat("很长 👩‍💻 \x1b[2J\x1b]0;x\a\u202e\r\n\t", 50)
	item := func(status client.Status, more func(*client.ListItem)) client.ListItem {
		i := client.ListItem{LatestLog: &evil, Activity: client.Activity{
			AgentID: uuid.New(), AgentType: evil, Status: status, LastSeq: 1 << 30, Attempt: 12, LatestPercentage: new(55),
			CreatedAt: now.Add(-1000 * time.Hour), StartedAt: new(now.Add(-999 * time.Hour)), UpdatedAt: now, LastSeenAt: now.Add(-time.Hour),
			Metadata: json.RawMessage(`{"org": "\u001b[31m", "nested": {"a": [1, "<"]}}`),
		}}
		if more != nil {
			more(&i)
		}
		return i
	}
	return []client.ListItem{
		item(client.StatusRunning, nil),
		item(client.StatusRunning, func(i *client.ListItem) { i.Stale = true }),
		item(client.StatusRunning, func(i *client.ListItem) {
			i.Cancel = &client.CancelRequest{ForceAt: new(now.Add(12500 * time.Millisecond))}
		}),
		item(client.StatusRunning, func(i *client.ListItem) { i.Cancel = &client.CancelRequest{} }),
		item(client.StatusQueued, func(i *client.ListItem) { i.StartedAt, i.LatestPercentage, i.LatestLog = nil, nil, nil }),
		item(client.StatusComplete, func(i *client.ListItem) { i.FinishedAt = &now }),
		item(client.StatusError, func(i *client.ListItem) { i.FinishedAt = &now }),
		item(client.StatusCanceled, func(i *client.ListItem) { i.FinishedAt = &now }),
	}
}

// TestScreenFits: no page is wider or higher than the terminal, and no text of an activity controls it.
func TestScreenFits(t *testing.T) {
	t.Parallel()
	for _, width := range []int{1, 59, 60, 61, 76, 80, 96, 110, 124, 150, 190, 300} {
		for _, height := range []int{1, 7, 8, 9, 40} {
			m := shown(t, width, height, hostile()...)
			check := func() {
				for _, row := range screen(t, m) {
					require.NotContains(t, row, "\x1b")
					require.NotContains(t, row, "\u202e")
				}
			}
			check()
			press(m, "j", "j")
			check()
			press(m, "c")
			check()
			press(m, "n", "/")
			check()
			press(m, "a", "esc", "?")
			check()
			press(m, "q", "enter")
			lines := make([]client.Log, 100)
			for i := range lines {
				lines[i] = client.Log{Seq: i + 1, Attempt: 1 + i/40, Message: *hostile()[0].LatestLog, Status: client.StatusError, Data: json.RawMessage(`{"level": "warn"}`)}
			}
			m.detail.after = 0
			m.take(readMsg{generation: m.reads.generation, list: &client.List{Items: m.list}, id: m.detail.id, detail: &client.Detail{Activity: *m.detail.activity, Logs: lines}})
			check()
			press(m, "w", "pgup")
			check()
			m.take(readMsg{generation: m.reads.generation, err: errors.New(strings.Repeat("too long ", 100))})
			check()
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		now := time.Now()
		items := hostile()
		for i := range items {
			items[i].AgentType, items[i].LatestLog = "research", new(fmt.Sprintf("line %d", i))
		}
		items[1].LastSeenAt = now.Add(-4*time.Minute - time.Second)
		m := shown(t, 120, 30, items...)
		text := strings.Join(screen(t, m), "\n")
		require.Regexp(t, `(?s)Needs me 1\n▌ ▲ research .*Running 3\n.*◐ .*◉ .*Queued 1\n.*◌ .*Failed 1\n.*✗ .*Finished 2\n.*✓ .*⊘ `, text)
		require.Regexp(t, `▲ research +Silent for 4 min  line 1 `, text)
		require.Regexp(t, `◉ research +Stopping, 12 s left  line 2 `, text)
		require.Regexp(t, `◉ research +Stopping  line 3 `, text)
		require.Regexp(t, `◐ research +line 0 +█{6}░{6}  55% +×12 +41d 15h`, text)
		require.Regexp(t, `4 running  1 queued  1 stale  0.0 lines/s +database at host  ● Live`, text)

		require.Equal(t, items[1].AgentID, m.selected)
		press(m, "j")
		require.Equal(t, items[0].AgentID, m.selected)
		m.take(readMsg{list: &client.List{Items: append([]client.ListItem{hostile()[0]}, items...)}}) // another before it
		require.Equal(t, items[0].AgentID, m.selected)
		require.Equal(t, 2, m.selection)
		press(m, "G")
		require.Equal(t, len(m.list)-1, m.selection)
		m.take(readMsg{list: &client.List{}})
		require.Contains(t, strings.Join(screen(t, m), "\n"), "There are no activities yet.")
		press(m, "enter", "c", "y", "j")
		require.Nil(t, m.asking)
	})
}

// TestLostConnection: what was read stays, with the time since when it is not up to date.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		m := shown(t, 100, 20, hostile()...)
		lost := func() { m.take(readMsg{err: errors.New("connection refused")}) }
		lost()
		m.reads.lostAt = m.reads.lostAt.Add(-12 * time.Second)
		lost()
		rows := screen(t, m)
		require.Contains(t, rows[0], "○ Lost for 12 s")
		require.Equal(t, "Connection lost, trying again: connection refused", rows[len(rows)-1])
		require.Len(t, m.list, 8)
		m.take(readMsg{list: &client.List{}})
		require.Contains(t, screen(t, m)[0], "● Live")
		m.take(readMsg{err: &source.RefusedError{Status: 401, Message: "the token expired"}})
		rows = screen(t, m)
		require.Contains(t, rows[0], "○ Refused")
		require.Equal(t, "the token expired", rows[len(rows)-1])
	})
}

// TestOldReadsAreDropped: the answer for an earlier filter does not replace that for the current one.
func TestOldReadsAreDropped(t *testing.T) {
	t.Parallel()
	m := shown(t, 100, 20, hostile()...)
	old := readMsg{generation: m.reads.generation, list: &client.List{}}
	require.NotNil(t, press(m, "/", "x", "enter"))
	require.Equal(t, []string{"x"}, m.filter.words)
	require.Nil(t, m.take(old))
	require.Len(t, m.list, 8)
	require.Nil(t, press(m, "/", ":", "enter"))
	require.True(t, m.wrong)
	require.True(t, m.typing)
}

func TestColorsFollowBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		m := shown(t, 100, 20, hostile()...)
		plain := m.View().Content
		m.Update(tea.BackgroundColorMsg{Color: paletteFor(true).states[0]}) // a light one
		light := m.View().Content
		m.look = paletteFor(true)
		dark := m.View().Content
		require.NotEqual(t, plain, light)
		require.NotEqual(t, light, dark)
		require.Equal(t, ansi.Strip(plain), ansi.Strip(dark))
	})
}

// TestCounts: those of the list where it has all that runs, else those of the stats, which are older.
func TestCounts(t *testing.T) {
	t.Parallel()
	m := shown(t, 120, 30, hostile()...)
	m.stats = &client.Stats{Counts: client.Counts{ByStatus: map[client.Status]int64{client.StatusRunning: 99}}}
	require.Equal(t, int64(4), m.shownCounts().ByStatus[client.StatusRunning])
	m.partial = true // finished ones are left out
	require.Equal(t, int64(4), m.shownCounts().ByStatus[client.StatusRunning])
	m.items = m.items[:2]
	require.Equal(t, int64(99), m.shownCounts().ByStatus[client.StatusRunning])
	m.partial, m.view = false, 2
	require.Equal(t, int64(99), m.shownCounts().ByStatus[client.StatusRunning])
}

// TestUsualDuration: the details say how long such runs take, and the table marks one that takes longer.
func TestUsualDuration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		items := hostile()[:1]
		items[0].AgentType = "research"
		m := shown(t, 120, 30, items...)
		before := m.View().Content
		m.stats = &client.Stats{Types: []client.StatsType{{AgentType: "research", P50: new(client.Seconds(400 * time.Second)), P95: new(client.Seconds(842 * time.Second))}}}
		require.NotEqual(t, before, m.View().Content)
		require.Equal(t, ansi.Strip(before), ansi.Strip(m.View().Content))
		press(m, "enter")
		require.Contains(t, strings.Join(screen(t, m), "\n"), "usually 6m 40s, p95 14m 02s")
	})
}

// narrow has a model with long parts in every row around the table, at a width.
func narrow(t *testing.T, width int) *model {
	t.Helper()
	items := hostile()
	items[0].OpenQuestions = 1
	m := shown(t, width, 30, items...)
	m.stats = &client.Stats{Ended: client.StatsEnded{Error: 1}}
	return m
}

// TestKeysForHelpAndQuitStay: the other hints give way to them.
func TestKeysForHelpAndQuitStay(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 120} {
		m := narrow(t, width)
		last := func() string { rows := screen(t, m); return rows[len(rows)-1] }
		require.Regexp(t, `^↑↓ select   Enter details   .*\? help   q quit`, last())
		press(m, "j", "enter")
		require.Regexp(t, `^Esc back   .*\? help   q quit`, last())
	}
}

// TestErrorWraps: an error takes as many rows as it needs, in a low terminal as many as there are.
func TestErrorWraps(t *testing.T) {
	t.Parallel()
	const whole = "status:nonsense is no status: use queued, running, waiting, stale, stopping, complete, error or canceled"
	for width, rows := range map[int]int{60: 2, 80: 2, 120: 1} {
		m := narrow(t, width)
		press(m, "/")
		m.input.SetValue("status:nonsense")
		press(m, "enter")
		all := screen(t, m)
		require.Len(t, all, 30)
		require.Equal(t, whole, strings.Join(all[30-rows:], " "))
		m.message = strings.Repeat(whole+" ", 20)
		for _, height := range []int{8, 9, 12, 30} {
			m.height = height
			all := screen(t, m)
			require.Len(t, all, height)
			require.Contains(t, strings.Join(all, "\n"), "▌") // the selected activity stays in view
			require.True(t, strings.HasSuffix(all[height-1], "…"), all[height-1])
		}
	}
}

// TestHelpWraps: no word of the help is lost, and a terminal too low for it is told so.
func TestHelpWraps(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 120} {
		m := narrow(t, width)
		m.height = 24
		press(m, "?")
		text := strings.Join(strings.Fields(strings.Join(screen(t, m), " ")), " ")
		for _, want := range []string{
			"type:research org=1 since:1h text", "answer the question of an activity, or decline it", "cancel, alone or with its tree; again to force it",
			"latest line.", fmt.Sprintf("of the last %d s.", int(rateWindow.Seconds())), looks[len(looks)-1].symbol + " " + looks[len(looks)-1].name,
		} {
			require.Contains(t, text, want)
		}
		m.height = 12
		rows := screen(t, m)
		require.Equal(t, "  … the rest needs a higher terminal", rows[len(rows)-2])
	}
}

// TestTopRowHasWholeParts: what does not fit is left out whole.
func TestTopRowHasWholeParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		for width, want := range map[int]string{
			60:  `^agentexec  4 running  1 queued  1 waiting  1 stale +● Live$`,
			80:  `^agentexec  4 running  1 queued  1 waiting  1 stale  1 failed in 1 h +● Live$`,
			120: `^agentexec  4 running  1 queued  1 waiting  1 stale  1 failed in 1 h  0\.0 lines/s +database at host  ● Live$`,
		} {
			m := narrow(t, width)
			require.Regexp(t, want, screen(t, m)[0])
		}
		m := narrow(t, 60)
		m.take(readMsg{err: errors.New("connection refused")})
		m.reads.lostAt = m.reads.lostAt.Add(-12 * time.Second)
		require.Regexp(t, `^agentexec  4 running  1 waiting  1 stale +○ Lost for 12 s$`, screen(t, m)[0])
	})
}
