package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// tableHead are the columns of a list of activities. PCT and AGE are numbers, at the right of their columns.
var tableHead = []string{"STATUS", "PCT", "TYPE", "AGENT_ID", "AGE", "LATEST"}

// Table prints activities, one a line. On a terminal every line fits, and the ids are short.
func (s *Screen) Table(items []client.ListItem) error {
	if s.Terminal && len(items) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(s, strings.Join(s.rows(items), "\n"))
	return err
}

// rows returns the lines of the table, its head first.
func (s *Screen) rows(items []client.ListItem) []string {
	cells := [][]string{tableHead}
	for i, id := range s.ids(items) {
		cells = append(cells, s.cells(items[i], id))
	}
	widths := make([]int, len(tableHead)-1) // the last column needs none
	for _, row := range cells {
		for i := range widths {
			widths[i] = max(widths[i], terminal.Columns(row[i]))
		}
	}
	lines := make([]string, len(cells))
	for i, row := range cells {
		lines[i] = s.row(row, widths)
		if i > 0 {
			status := items[i-1].Status
			lines[i] = s.Paint(status, lines[i][:len(status)]) + lines[i][len(status):]
		}
	}
	return lines
}

// ids returns the ids to show: short on a terminal, whole for programs.
func (s *Screen) ids(items []client.ListItem) []string {
	all := make([]uuid.UUID, len(items))
	for i, item := range items {
		all[i] = item.AgentID
	}
	if s.Terminal {
		return shortIDs(all)
	}
	whole := make([]string, len(items))
	for i, id := range all {
		whole[i] = id.String()
	}
	return whole
}

// cells returns the columns of an activity.
func (s *Screen) cells(item client.ListItem, id string) []string {
	latest := ""
	if item.LatestLog != nil {
		latest = terminal.Printable(*item.LatestLog)
	}
	kind := kindOf(item.Activity)
	if s.Terminal { // leaves room for the latest line
		most, children := max(10, min(s.width()-70, 30)), strings.TrimPrefix(kind, terminal.Printable(item.AgentType))
		kind = terminal.Clip(terminal.Printable(item.AgentType), most-terminal.Columns(children)) + children
	}
	age := terminal.Ago(time.Since(item.CreatedAt))
	return []string{marked(item.Activity), percent(item.LatestPercentage), kind, id, age, latest}
}

// row joins the columns of a line.
func (s *Screen) row(cells []string, widths []int) string {
	var line strings.Builder
	for i, w := range widths {
		cell := terminal.Pad(cells[i], w)
		if i == 1 || i == 4 {
			cell = strings.Repeat(" ", max(0, w-terminal.Columns(cells[i]))) + cells[i]
		}
		line.WriteString(cell + "  ")
	}
	line.WriteString(cells[len(widths)])
	text := strings.TrimRight(line.String(), " ")
	if s.Terminal {
		text = terminal.Clip(text, s.width())
	}
	return text
}

// PageNote returns a note about the items outside the page.
func PageNote(list client.List) string {
	switch {
	case len(list.Items) == 0:
		return "No activities.\n"
	case list.Page == nil && list.Next != nil:
		return fmt.Sprintf("More with --after %s\n", *list.Next)
	case list.Page != nil && list.Pages != nil && list.Total != nil && *list.Pages > 1:
		return fmt.Sprintf("Page %d of %d, %d activities. Others with --page N\n", *list.Page, *list.Pages, *list.Total)
	}
	return ""
}
