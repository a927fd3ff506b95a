package top

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// columns are the widths of the columns of the table, 0 for one that is left out. Columns are two apart, except that mark and
// symbol are one apart.
type columns struct {
	kind, line, chips, bar, rate, attempt, took, started, id int // bar without the percentage behind it
}

const (
	gap        = 2
	percentage = 4 // "100%" behind the bar
	lead       = 4 // the mark of the selection, the symbol and the spaces behind them
	leastLine  = 16
)

// columnsFor returns the columns for a width. Narrow terminals have the columns that say most.
func columnsFor(width int) columns {
	c := columns{kind: 12, bar: 6, took: 7}
	if width >= 76 {
		c.rate, c.bar, c.kind = 7, 8, 14
	}
	if width >= 96 {
		c.started, c.kind = 9, 16
	}
	if width >= 110 {
		c.attempt, c.bar = 3, 12
	}
	if width >= 124 {
		c.id = 8
	}
	if width >= 150 {
		c.chips, c.bar, c.kind = 24, 16, 20
	}
	if width >= 190 {
		c.chips, c.kind = 32, 24
	}
	used := lead + c.kind + gap + 1 + percentage + c.bar
	for _, w := range []int{c.chips, c.rate, c.attempt, c.took, c.started, c.id} {
		if w > 0 {
			used += gap + w
		}
	}
	c.line = max(width-used-gap, leastLine)
	return c
}

// cell is a text in a column.
type cell struct {
	text    string
	width   int
	right   bool
	style   lipgloss.Style
	painted bool // text has its colours and its width already
}

// put cuts and fills a cell to its width.
func (c cell) put(background lipgloss.Style) string {
	if c.painted {
		return c.text
	}
	text := terminal.Clip(c.text, c.width)
	fill := strings.Repeat(" ", max(0, c.width-terminal.Columns(text)))
	if c.right {
		return background.Render(fill) + c.style.Inherit(background).Render(text)
	}
	return c.style.Inherit(background).Render(text) + background.Render(fill)
}

// join puts cells beside each other, the gap between them. Cells without a width are left out.
func join(background lipgloss.Style, cells ...cell) string {
	var parts []string
	for _, c := range cells {
		if c.width > 0 {
			parts = append(parts, c.put(background))
		}
	}
	return strings.Join(parts, background.Render(strings.Repeat(" ", gap)))
}

// tableHead returns the row above the table.
func (m *model) tableHead(c columns) string {
	arrow := " ↓"
	if m.order.ascending {
		arrow = " ↑"
	}
	titles := [...]string{"Started", "Took", "Latest line"}
	titles[m.order.by] += arrow
	head := func(text string, width int, right bool) cell {
		return cell{text: text, width: width, right: right, style: m.look.faint()}
	}
	return strings.Repeat(" ", lead) + join(lipgloss.NewStyle(), head("Type", c.kind, false), head(titles[2], c.line, false),
		head("Metadata", c.chips, true), head("Progress", c.bar+1+percentage, false), head("Lines/s", c.rate, true), head("Try", c.attempt, true),
		head(titles[1], c.took, true), head(titles[0], c.started, true), head("Id", c.id, false))
}

// row returns the row of an activity.
func (m *model) row(item client.ListItem, depth int, c columns, selected bool) string {
	a, now := item.Activity, m.clock()
	plain := lipgloss.NewStyle()
	mark := " "
	if selected {
		mark = "▌"
		if m.look.selected != nil {
			plain = plain.Background(m.look.selected)
		}
	}
	rate, attempt, started := "", "", a.CreatedAt
	if r := m.rates.of(a.AgentID); r >= 0.05 {
		rate = fmt.Sprintf("%.1f", r)
	}
	if a.Attempt > 1 {
		attempt = fmt.Sprintf("×%d", a.Attempt)
	}
	if a.StartedAt != nil {
		started = *a.StartedAt
	}
	long := lipgloss.NewStyle()
	if usual := m.usual(a.AgentType); usual != nil && a.Status == client.StatusRunning && duration(a, now) > usual.P95.Duration() {
		long = ink(m.look.warning)
	}
	symbol := m.look.of(stateOf(a)).Inherit(plain).Render(looks[stateOf(a)].symbol)
	faint := m.look.faint()
	return ink(m.look.accent).Inherit(plain).Render(mark) + plain.Render(" ") + symbol + plain.Render(" ") + join(plain,
		cell{text: m.kind(a, depth), width: c.kind, style: bold},
		cell{text: m.latestLine(item, c.line, plain), width: c.line, painted: true},
		cell{text: chips(a.Metadata), width: c.chips, right: true, style: faint},
		cell{text: m.progress(a, c.bar, plain), width: c.bar, painted: true},
		cell{text: rate, width: c.rate, right: true},
		cell{text: attempt, width: c.attempt, right: true, style: faint},
		cell{text: took(duration(a, now)), width: c.took, right: true, style: long},
		cell{text: terminal.Ago(now.Sub(started)) + " ago", width: c.started, right: true, style: faint},
		cell{text: a.AgentID.String()[:8], width: c.id, style: faint})
}

// latestLine returns the latest line of an activity, or the question that it waits for, behind how many of its children have
// finished and the reason that it needs attention.
func (m *model) latestLine(item client.ListItem, width int, plain lipgloss.Style) string {
	s := stateOf(item.Activity)
	line, style := latest(item), lipgloss.NewStyle()
	if s == failed {
		style = m.look.of(s)
	}
	if asked, ok := m.prompts[item.AgentID]; ok && s == waiting {
		line = asked.Prompt
	}
	var row string
	for _, before := range []cell{
		{text: childCount(item.Children), style: m.look.faint()},
		{text: m.reason(item.Activity), style: m.look.of(s).Bold(true)},
	} {
		if before.text == "" || width <= 0 {
			continue
		}
		before.width = min(terminal.Columns(before.text), width)
		space := min(gap, width-before.width)
		row += before.put(plain) + plain.Render(strings.Repeat(" ", space))
		width -= before.width + space
	}
	if width > 0 {
		row += cell{text: terminal.Printable(line), width: width, style: style}.put(plain)
	}
	return row
}

// reason returns the words that say why an activity needs attention, with the time that its question has left.
func (m *model) reason(a client.Activity) string {
	text := reason(a, m.clock())
	if asked, ok := m.prompts[a.AgentID]; ok && asked.ExpiresAt != nil && stateOf(a) == waiting {
		text += ", " + roughly(asked.ExpiresAt.Sub(m.clock())) + " left"
	}
	return text
}

// kind returns the type of an activity, behind the sign that it has children, moved to the right as deep as it is in its tree.
func (m *model) kind(a client.Activity, depth int) string {
	sign := ""
	if a.Children != nil {
		sign = "▸ "
		if m.trees.unfolded[a.AgentID] {
			sign = "▾ "
		}
	}
	return strings.Repeat("  ", depth) + sign + terminal.Printable(a.AgentType)
}

// childCount returns how many children of an activity have finished, and how many failed: 3/12 1✗.
func childCount(c *client.Children) string {
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("%d/%d", c.Complete+c.Error+c.Canceled, c.Total)
	if c.Error > 0 {
		text += fmt.Sprintf(" %d%s", c.Error, looks[failed].symbol)
	}
	return text
}

// progress returns the bar and the percentage of an activity. Where they say nothing there is none.
func (m *model) progress(a client.Activity, width int, plain lipgloss.Style) string {
	s := stateOf(a)
	if s == queued || s == complete || a.LatestPercentage == nil {
		return plain.Render(strings.Repeat(" ", width+1+percentage))
	}
	percent := min(max(*a.LatestPercentage, 0), 100)
	full := width * percent / 100
	style := m.look.of(s)
	if a.Status.IsFinished() { // it does not move any more
		style = m.look.faint()
	}
	return style.Inherit(plain).Render(strings.Repeat("█", full)) + m.look.faint().Inherit(plain).Render(strings.Repeat("░", width-full)) +
		plain.Render(fmt.Sprintf(" %3d%%", percent))
}

// chips returns the metadata of an activity as one text: org=1 topic=batteries.
func chips(metadata json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(metadata, &members) != nil {
		return ""
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(members)) {
		value := string(members[key])
		var text string
		if json.Unmarshal(members[key], &text) == nil {
			value = text
		}
		all = append(all, terminal.Printable(key+"="+value))
	}
	return strings.Join(all, " ")
}
