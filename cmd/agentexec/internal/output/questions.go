package output

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// questionHead are the columns of a list of questions.
var questionHead = []string{"AGENT_ID", "KEY", "STATE", "AGE", "TYPE", "ANSWER", "PROMPT"}

// leastPrompt is the room that a longer prompt needs on the line of its question, in columns.
const leastPrompt = 16

// Questions prints questions, one a line. On a terminal every line fits and the ids are short; where the other columns leave too
// little room for the prompts, each has a line of its own below its question.
func (s *Screen) Questions(items []client.AskedQuestion) error {
	if s.Terminal && len(items) == 0 {
		return nil
	}
	rows := [][]string{slices.Clone(questionHead)}
	ids := make([]string, len(items))
	for i, q := range items {
		ids[i] = q.AgentID.String()
	}
	if s.Terminal {
		ids = shortAgentIDs(items)
	}
	for i, q := range items {
		rows = append(rows, []string{
			ids[i], terminal.Printable(q.Key), string(q.State), terminal.Ago(time.Since(q.AskedAt)), terminal.Printable(q.AgentType), answerText(q),
			terminal.Printable(q.Prompt),
		})
	}
	var prompts []string // those that have a line of their own
	if s.Terminal {
		rows, prompts = fitQuestions(rows, s.width())
	}
	widths := columnWidths(rows)
	for i, row := range rows {
		for column := range row[:len(row)-1] {
			row[column] = terminal.Pad(row[column], widths[column])
		}
		lines := []string{strings.TrimRight(strings.Join(row, "  "), " ")}
		if prompts != nil {
			lines = append(lines, "  "+prompts[i])
		}
		for _, line := range lines {
			if s.Terminal {
				line = terminal.Clip(line, s.width())
			}
			if _, err := fmt.Fprintln(s, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// fitQuestions shortens the columns of a list of questions for a terminal. Where that leaves too little room for the prompts, the
// rows come back without them and without the type.
func fitQuestions(rows [][]string, width int) (fitted [][]string, prompts []string) {
	wide := make([][]string, len(rows))
	for i, row := range rows {
		wide[i] = slices.Clone(row)
		wide[i][4], wide[i][5] = terminal.Clip(row[4], 16), terminal.Clip(row[5], max(12, width/4))
	}
	widths := columnWidths(wide)
	prompt, room := widths[6], width
	for _, column := range widths[:6] {
		room -= column + 2
	}
	if room >= min(prompt, leastPrompt) {
		return wide, nil
	}
	for i, row := range rows {
		prompts = append(prompts, row[6])
		rows[i] = []string{row[0], terminal.Clip(row[1], width/3), row[2], row[3], row[5]}
	}
	return rows, prompts
}

// columnWidths returns the width of each column of a table.
func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], terminal.Columns(cell))
		}
	}
	return widths
}

// shortAgentIDs returns the short agent_id of each question. An activity may have several.
func shortAgentIDs(items []client.AskedQuestion) []string {
	place := map[uuid.UUID]int{}
	var unique []uuid.UUID
	for _, q := range items {
		if _, ok := place[q.AgentID]; !ok {
			place[q.AgentID] = len(unique)
			unique = append(unique, q.AgentID)
		}
	}
	short, ids := shortIDs(unique), make([]string, len(items))
	for i, q := range items {
		ids[i] = short[place[q.AgentID]]
	}
	return ids
}

// answerText returns the answer of a question, or what it expects while it has none.
func answerText(q client.AskedQuestion) string {
	switch q.State {
	case client.QuestionAnswered:
		return terminal.Printable(string(q.Answer))
	case client.QuestionPending:
		return terminal.Printable(source.Expects(q.Schema))
	}
	return "-"
}
