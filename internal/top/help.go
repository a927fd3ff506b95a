package top

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
)

// helpLines explain the keys, the symbols and the search field.
func (m *model) helpLines() []string {
	keys := [][2]string{
		{"↑ ↓  j k", "select an activity"},
		{"Enter  Esc", "open its details, and leave them"},
		{"/", "filter, such as type:research org=1 since:1h text"},
		{"→ ←", "show the children of an activity, and hide them"},
		{"1 2 3 4", "what is active, needs you, failed; all"},
		{"s  S", "sort by start, duration, last line; reverse"},
		{"a", "answer the question of an activity, or decline it"},
		{"c", "cancel, alone or with its tree; again to force it"},
		{"y", "copy the id"},
		{"f  w", "in the details: follow the log; wrap lines"},
		{"r", "read now"},
		{"q  Ctrl-C", "leave"},
	}
	var lines []string
	for _, key := range keys {
		lines = append(lines, fmt.Sprintf("  %-12s%s", key[0], m.look.faint().Render(key[1])))
	}
	var symbols []string
	for s := range looks {
		symbols = append(symbols, m.look.of(state(s)).Render(looks[s].symbol)+" "+looks[s].name)
	}
	lines = append(lines, "", "  "+strings.Join(symbols[:4], "   "), "  "+strings.Join(symbols[4:], "   "), "",
		m.look.faint().Render("  Text is sought in the type, the id and the latest line."),
		m.look.faint().Render(fmt.Sprintf("  Lines/s are of the last %d s.", int(rateWindow.Seconds()))))
	for i := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(m.width).Render(lines[i])
	}
	return append([]string{bold.Render("Keys")}, lines...)
}
