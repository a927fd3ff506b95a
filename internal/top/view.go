package top

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// The least size of a terminal that the table fits.
const (
	leastColumns = 60
	leastRows    = 8
)

// The rows of the table page above the table: the filter and the head.
const aboveTable = 2

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.View{AltScreen: true}
	switch {
	case m.width == 0: // the size is not known yet
	case m.width < leastColumns || m.height < leastRows:
		v.SetContent(m.tooSmall())
	case m.page == helpPage:
		v.SetContent(m.frame(m.helpLines()))
	case m.page == detailPage:
		v.SetContent(m.frame(m.detailLines(m.pageHeight())))
	case m.page == answerPage:
		v.SetContent(m.frame(m.formLines()))
	default:
		v.SetContent(m.frame(m.tableLines()))
	}
	return v
}

func (m *model) tooSmall() string {
	text := fmt.Sprintf("agentexec top needs %d columns and %d rows.\nThis terminal has %d and %d.\nq leaves.", leastColumns, leastRows, m.width, m.height)
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = terminal.Clip(lines[i], m.width)
	}
	return strings.Join(lines[:min(len(lines), max(m.height, 1))], "\n")
}

// frame puts the lines of a page between the row at the top and the rows at the bottom.
func (m *model) frame(lines []string) string {
	room := m.pageHeight()
	lines = append([]string(nil), lines[:min(len(lines), room)]...)
	for len(lines) < room {
		lines = append(lines, "")
	}
	return m.topRow() + "\n" + strings.Join(lines, "\n") + "\n" + strings.Join(m.bottomRows(), "\n")
}

// pageHeight is how many rows a page has.
func (m *model) pageHeight() int { return m.height - 1 - len(m.bottomRows()) }

// count is a part of the top row.
type count struct {
	text   string
	yields int // where the parts do not fit, that with the highest number is left out first
}

// topRow says how much there is, and whether the data is live.
func (m *model) topRow() string {
	var parts []count
	part := func(n int64, s state, name string, yields int) {
		if n > 0 {
			parts = append(parts, count{m.look.of(s).Render(fmt.Sprintf("%d %s", n, name)), yields})
		}
	}
	counts := m.shownCounts()
	part(counts.ByStatus[client.StatusRunning], running, "running", 0)
	part(counts.ByStatus[client.StatusQueued], queued, "queued", 3)
	part(m.waitingCount(), waiting, "waiting", 1)
	part(counts.Stale, silent, "stale", 2)
	if m.stats != nil {
		part(m.stats.Ended.Error, failed, "failed in 1 h", 4)
	}
	parts = append(parts, count{fmt.Sprintf("%.1f lines/s", m.rates.total()), 5})
	live, style := "● Live", m.look.of(complete)
	switch {
	case m.reads.err != nil && !source.Disconnected(m.reads.err):
		live, style = "○ Refused", m.look.of(failed)
	case !m.reads.lostAt.IsZero():
		live, style = "○ Lost for "+roughly(m.now.Sub(m.reads.lostAt)), m.look.of(failed)
	case m.reads.readAt.IsZero():
		live, style = "○ Connecting", m.look.faint()
	}
	right := style.Render(live)
	left := countsWithin(parts, m.width-lipgloss.Width(right)-gap)
	room := m.width - lipgloss.Width(left) - lipgloss.Width(right) - 2
	if place := terminal.Printable(m.config.Place); terminal.Columns(place)+gap <= room {
		right = m.look.faint().Render(place) + "  " + right
	}
	return spread(left, right, m.width)
}

// countsWithin returns the name of the program and as many of the parts as so many columns have room for.
func countsWithin(parts []count, width int) string {
	for {
		text := bold.Render("agentexec")
		for _, p := range parts {
			text += "  " + p.text
		}
		if len(parts) == 0 || lipgloss.Width(text) <= width {
			return text
		}
		least := slices.MaxFunc(parts, func(a, b count) int { return a.yields - b.yields })
		parts = slices.DeleteFunc(parts, func(p count) bool { return p == least })
	}
}

// shownCounts returns the counts. The stats are read less often than the list: where the list has all that runs, it is counted. It
// has, where the page has a finished activity too, because those come last.
func (m *model) shownCounts() client.Counts {
	v := views[m.view]
	cut := m.partial && !slices.ContainsFunc(m.items, func(item client.ListItem) bool { return item.Status.IsFinished() })
	if m.stats != nil && (cut || m.filter.narrows() || v.attention || len(v.statuses) == 1) {
		return m.stats.Counts
	}
	counts := client.Counts{ByStatus: map[client.Status]int64{}}
	for _, item := range m.items {
		counts.ByStatus[item.Status]++
		if item.Stale {
			counts.Stale++
		}
	}
	return counts
}

// waitingCount returns how many of the activities that were read wait for the answer of a person.
func (m *model) waitingCount() (n int64) {
	for _, item := range m.items {
		if item.OpenQuestions > 0 {
			n++
		}
	}
	return n
}

// usual returns how long runs of a type take, nil where that is not known.
func (m *model) usual(agentType string) *client.StatsType {
	if m.stats == nil {
		return nil
	}
	for i, t := range m.stats.Types {
		if t.AgentType == agentType && t.P50 != nil && t.P95 != nil {
			return &m.stats.Types[i]
		}
	}
	return nil
}

// spread puts one text at the left and one at the right of a row. The left one is cut where both do not fit.
func spread(left, right string, width int) string {
	room := width - lipgloss.Width(right) - 1
	if lipgloss.Width(left) > room {
		left = lipgloss.NewStyle().MaxWidth(max(room, 0)).Render(left)
	}
	return left + strings.Repeat(" ", max(1, width-lipgloss.Width(left)-lipgloss.Width(right))) + right
}

// bottomRows have what the user must know now: a question, an answer, a lost connection, else the keys. A long text is wrapped, and
// cut where it would leave no row for what is selected.
func (m *model) bottomRows() []string {
	around := 1 + aboveTable + 2 // the top row, the head of a group and an activity
	if m.form != nil {
		around = 1 + 6 // the top row, and the form down to its field
	}
	most := max(1, min(m.height-around, m.height/2))
	row := func(style lipgloss.Style, text string) []string {
		rows := wrap(terminal.Printable(text), m.width, most)
		for i := range rows {
			rows[i] = style.Render(rows[i])
		}
		return rows
	}
	switch {
	case m.asking != nil:
		text, choices := m.asking.text()
		keys := ""
		for _, choice := range append(choices, choice{"n", "no"}) {
			keys += "  " + choice.key + " " + choice.label
		}
		return row(m.look.of(stopping).Bold(true), terminal.Clip(text, m.width-len(keys))+keys)
	case m.form != nil && m.form.problem != "":
		return row(m.look.of(failed), m.form.problem)
	case m.wrong:
		return row(m.look.of(failed), m.message)
	case m.message != "":
		return row(bold, m.message)
	case m.reads.err != nil && !source.Disconnected(m.reads.err):
		return row(m.look.of(failed), m.config.Describe(m.reads.err))
	case m.reads.err != nil:
		return row(m.look.of(failed), "Connection lost, trying again: "+m.config.Describe(m.reads.err))
	case m.page == answerPage && m.form != nil:
		return m.keys(m.form.hints()...)
	case m.typing:
		return m.keys("Enter filter", "Esc leave", "type:  status:  since:  until:  id:  key=value  text")
	case m.page == helpPage:
		return m.keys("any key goes back")
	case m.page == detailPage:
		return m.keys("Esc back", "↑↓ scroll", "f follow", "w wrap", "a answer", "c cancel", "y copy id", helpHint, quitHint)
	}
	hints := []string{"↑↓ select", "Enter details"}
	if a := m.current(); a != nil && a.OpenQuestions > 0 {
		hints = append(hints, "a answer")
	}
	if a := m.current(); a != nil && a.Children != nil {
		hints = append(hints, "→ unfold")
	}
	return m.keys(append(hints, "/ filter", "s sort", "c cancel", helpHint, quitHint, "1-4 views", "S reverse", "y copy id")...)
}

// helpHint and quitHint are hints that no other displaces.
const helpHint, quitHint = "? help", "q quit"

// keys returns a row of hints, as many as fit.
func (m *model) keys(hints ...string) []string {
	const between = "   "
	room := m.width + len(between)
	take := func(hint string) bool {
		columns := terminal.Columns(hint) + len(between)
		if columns > room {
			return false
		}
		room -= columns
		return true
	}
	kept := map[string]bool{}
	for _, first := range []bool{true, false} {
		for _, hint := range hints {
			if (hint == helpHint || hint == quitHint) == first {
				kept[hint] = take(hint)
			}
		}
	}
	hints = slices.DeleteFunc(hints, func(hint string) bool { return !kept[hint] })
	return []string{m.look.faint().Render(strings.Join(hints, between))}
}

// filterRow has the views, and the search field.
func (m *model) filterRow() string {
	var tabs []string
	for i, v := range views {
		tab := fmt.Sprintf("%d %s", i+1, v.name)
		switch {
		case i == m.view && len(m.filter.states) == 0:
			tab = bold.Underline(true).Render(tab)
		default:
			tab = m.look.faint().Render(tab)
		}
		tabs = append(tabs, tab)
	}
	left := strings.Join(tabs, "  ")
	right := m.look.faint().Render("Sort: " + orders[m.order.by].name)
	if lipgloss.Width(left)+lipgloss.Width(right)+gap <= m.width && m.input.Value() == "" {
		left = spread(left, right, m.width)
	}
	switch room := m.width - lipgloss.Width(left) - 5; {
	case m.typing:
		return ink(m.look.accent).Render("/ ") + m.input.View()
	case m.input.Value() != "":
		return left + "   " + ink(m.look.accent).Render(terminal.Clip("/ "+terminal.Printable(m.input.Value()), max(room, 0)))
	}
	return left
}

// tableHeight is how many rows the table has.
func (m *model) tableHeight() int { return m.pageHeight() - aboveTable }

// tableLines are the rows between the top and the bottom: the filter, the head, and the groups with their activities.
func (m *model) tableLines() []string {
	c := columnsFor(m.width)
	above := []string{m.filterRow(), m.tableHead(c)}
	if len(m.list) == 0 {
		return append(above, m.emptyLines()...)
	}
	counts := map[group]int{}
	for _, at := range m.places {
		if at.depth == 0 {
			counts[at.group]++
		}
	}
	var lines []string
	at, before := 0, group(-1)
	for i, item := range m.list {
		if g := m.places[i].group; g != before {
			before = g
			lines = append(lines, bold.Render(groupNames[g])+m.look.faint().Render(fmt.Sprintf(" %d", counts[g])))
		}
		if i == m.selection {
			at = len(lines)
		}
		lines = append(lines, m.row(item, m.places[i].depth, c, i == m.selection))
		if note := m.places[i].note; note != "" {
			lines = append(lines, m.look.faint().Render(strings.Repeat(" ", lead+2*m.places[i].depth)+note))
		}
	}
	if m.partial {
		lines = append(lines, m.look.faint().Render(fmt.Sprintf("  The first %d of %d are read. Narrow them with / to see others.", pageSize, m.total)))
	}
	return append(above, m.scroll(lines, at)...)
}

// scroll returns the part of the lines that fits, with line at in it.
func (m *model) scroll(lines []string, at int) []string {
	room := m.tableHeight()
	first := at
	if at == 1 { // the head of the first group
		first = 0
	}
	m.offset = min(m.offset, first)
	m.offset = max(m.offset, at-room+1)
	m.offset = max(min(m.offset, len(lines)-room), 0)
	return lines[m.offset:min(m.offset+room, len(lines))]
}

// emptyLines say why the table is empty.
func (m *model) emptyLines() []string {
	faint := m.look.faint()
	switch {
	case m.reads.readAt.IsZero() && m.reads.err == nil:
		return []string{"", faint.Render("  Reading ...")}
	case m.reads.readAt.IsZero():
		return nil
	case m.input.Value() != "":
		return []string{"", faint.Render("  Nothing matches the filter. Esc removes it.")}
	}
	texts := [...]string{"Nothing runs and nothing waits.  4 shows what has ended.", "Nothing waits for you, and nothing is stale.", "Nothing has failed.", "There are no activities yet."}
	return []string{"", faint.Render("  " + texts[m.view])}
}
