package top

import (
	"fmt"
	"slices"
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
	lines := []string{bold.Render("Keys")}
	text := func(name, text string, indent int) {
		for _, part := range wrap(text, m.width-indent, m.height) {
			lines = append(lines, fmt.Sprintf("%-*s%s", indent, name, m.look.faint().Render(part)))
			name = ""
		}
	}
	for _, key := range keys {
		text("  "+key[0], key[1], 14)
	}
	lines = append(lines, "")
	row := ""
	for s, look := range looks {
		symbol := m.look.of(state(s)).Render(look.symbol) + " " + look.name
		if next := row + "   " + symbol; row != "" && (s == len(looks)/2 || lipgloss.Width(next) > m.width-2) {
			lines, row = append(lines, "  "+row), symbol
		} else {
			row = strings.TrimLeft(next, " ")
		}
	}
	lines = append(lines, "  "+row, "")
	text("", "Text is sought in the type, the id and the latest line.", 2)
	text("", fmt.Sprintf("Lines/s are of the last %d s.", int(rateWindow.Seconds())), 2)
	return fitHelp(lines, m.pageHeight())
}

// fitHelp returns the lines of the help in so many rows. Empty lines give way first; a last row marks what is still missing.
func fitHelp(lines []string, rows int) []string {
	if len(lines) > rows {
		lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	}
	if len(lines) > rows {
		lines = append(lines[:rows-1], "  … the rest needs a higher terminal")
	}
	return lines
}
