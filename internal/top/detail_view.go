package top

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// detailLines are the facts of the open activity, and below them as much of its log as fits into so many rows.
func (m *model) detailLines(rows int) []string {
	lines := m.facts()
	room := max(0, rows-len(lines))
	d := &m.detail
	log, all := m.logRows(room + d.up)
	if all {
		d.up = min(d.up, max(0, len(log)-room))
	}
	end := len(log) - d.up
	return append(lines, log[max(0, end-room):end]...)
}

// facts are the rows above the log.
func (m *model) facts() []string {
	a, now := *m.detail.activity, m.clock()
	s := stateOf(a)
	color, faint := m.look.of(s), m.look.faint()
	word := strings.ToUpper(looks[s].name[:1]) + looks[s].name[1:]
	if why := m.reason(a); why != "" {
		word = why
	}
	head := color.Render(looks[s].symbol) + " " + bold.Render(terminal.Clip(terminal.Printable(a.AgentType), m.width/2)) + "  " + color.Bold(true).Render(word)
	if a.LatestPercentage != nil && s != queued && s != complete {
		head += "  " + m.progress(a, min(24, m.width/5), lipgloss.NewStyle())
	}
	if m.detail.gone {
		head = bold.Render(terminal.Clip(terminal.Printable(a.AgentType), m.width/2)) + "  " + m.look.of(failed).Render("This activity was deleted")
	}
	facts := []string{"Took " + took(duration(a, now))}
	if a.StartedAt != nil {
		facts = append([]string{"Started " + a.StartedAt.Local().Format(time.DateTime)}, facts...)
	} else {
		facts[0] = "Waits " + took(duration(a, now))
	}
	if usual := m.usual(a.AgentType); usual != nil {
		facts = append(facts, fmt.Sprintf("usually %s, p95 %s", took(usual.P50.Duration()), took(usual.P95.Duration())))
	}
	if a.Attempt > 1 {
		began, known := m.detail.startOfAttempt(a.Attempt)
		text := fmt.Sprintf("Attempt %d", a.Attempt)
		if known {
			text += " since " + began.Local().Format(time.TimeOnly)
		}
		facts = append(facts, text)
	}
	if r := m.rates.of(a.AgentID); r >= 0.05 {
		facts = append(facts, fmt.Sprintf("%.1f lines/s", r))
	}
	id := a.AgentID.String()
	if lipgloss.Width(head)+len(id)+gap > m.width {
		id = id[:8]
	}
	lines := []string{
		spread(head, faint.Render(id), m.width),
		faint.Render(terminal.Clip(strings.Join(facts, "  "), m.width)),
	}
	if all := chips(a.Metadata); all != "" {
		lines = append(lines, faint.Render(terminal.Clip(all, m.width)))
	}
	if c := a.Children; c != nil {
		text := fmt.Sprintf("Children %d: %d queued, %d running, %d complete, %d error, %d canceled  %d%%", c.Total, c.Queued, c.Running, c.Complete, c.Error, c.Canceled, c.Percentage)
		lines = append(lines, faint.Render(terminal.Clip(text, m.width)))
	}
	if asked, ok := m.prompts[a.AgentID]; ok && a.OpenQuestions > 0 {
		more := ""
		if a.OpenQuestions > 1 {
			more = fmt.Sprintf("  (and %d more)", a.OpenQuestions-1)
		}
		for _, part := range wrap("Asks: "+terminal.Printable(asked.Prompt)+more+"  a answers", m.width, 3) {
			lines = append(lines, m.look.of(waiting).Bold(true).Render(part))
		}
	}
	if line := m.detail.failure(); line != nil {
		for _, part := range wrap("Failed: "+terminal.Printable(line.Message), m.width, 3) {
			lines = append(lines, m.look.of(failed).Bold(true).Render(part))
		}
	}
	return append(lines, faint.Render(strings.Repeat("─", m.width)))
}

// logRows are the last rows of the log, at least so many where there are as many; all says that these are all rows.
func (m *model) logRows(least int) (rows []string, all bool) {
	lines := m.detail.lines
	i := len(lines)
	for ; i > 0 && len(rows) < least; i-- {
		line := m.logLine(lines[i-1])
		if i > 1 && lines[i-1].Attempt > lines[i-2].Attempt {
			text := fmt.Sprintf("── attempt %d ", lines[i-1].Attempt)
			line = append([]string{m.look.faint().Render(text + strings.Repeat("─", max(0, m.width-terminal.Columns(text))))}, line...)
		}
		slices.Reverse(line)
		rows = append(rows, line...)
	}
	slices.Reverse(rows)
	return rows, i == 0
}

// logLine returns the rows of a line: one, or where lines are wrapped as many as its message needs.
func (m *model) logLine(line client.Log) []string {
	percent := "    "
	if line.Percentage != nil {
		percent = fmt.Sprintf("%3d%%", *line.Percentage)
	}
	prefix := m.look.faint().Render(fmt.Sprintf("%6d %s", line.Seq, line.CreatedAt.Local().Format(time.TimeOnly))) + " " + percent + "  "
	room := m.width - lipgloss.Width(prefix)
	texts := []string{terminal.Clip(terminal.Printable(line.Message), room)}
	if m.detail.wrap {
		texts = wrap(terminal.Printable(line.Message), room, maxWrapped)
	}
	style := m.level(line)
	for i, text := range texts {
		if i > 0 {
			prefix = strings.Repeat(" ", lipgloss.Width(prefix))
		}
		texts[i] = prefix + style.Render(text)
	}
	return texts
}

// maxWrapped is how many rows one line takes at most.
const maxWrapped = 200

// level returns the style of a line: by its status, else by the level in its data.
func (m *model) level(line client.Log) lipgloss.Style {
	var data struct {
		Level string `json:"level"`
	}
	_ = json.Unmarshal(line.Data, &data) // most data is an object; any other has no level
	switch level := strings.ToLower(data.Level); {
	case line.Status == client.StatusError || level == "error":
		return m.look.of(failed)
	case line.CancelRequested && !line.Status.IsFinished():
		return m.look.of(stopping)
	case level == "warn" || level == "warning":
		return ink(m.look.warning)
	case level == "debug":
		return m.look.faint()
	}
	return lipgloss.NewStyle()
}

// wrap breaks a printable text into rows of so many columns, at most so many; the last one then ends with an ellipsis.
func wrap(text string, width, most int) (rows []string) {
	width = max(width, 2)
	for len(rows) < most-1 && terminal.Columns(text) > width {
		cut := len(text)
		used := 0
		for i, r := range text {
			if used += terminal.Columns(string(r)); used > width {
				cut = i
				break
			}
		}
		if space := strings.LastIndexByte(text[:cut], ' '); space > cut/2 {
			cut = space + 1
		}
		rows, text = append(rows, strings.TrimRight(text[:cut], " ")), text[cut:]
	}
	return append(rows, terminal.Clip(text, width))
}
