package sql_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/sql"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	require.NoError(t, err)
	return string(text)
}

// tableRows returns the cells of every row of a Markdown document's tables that begins with a code such as `this`.
func tableRows(document string) [][]string {
	var rows [][]string
	for line := range strings.Lines(document) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| `") {
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.Trim(strings.TrimSpace(cell), "`"))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// The codes in docs/errors.md are those that the SQL raises, each in one row.
func TestErrorsDocument(t *testing.T) {
	t.Parallel()
	raised := map[string]bool{}
	for _, found := range regexp.MustCompile(`errcode = '(\w+)'`).FindAllStringSubmatch(sql.Functions+sql.Triggers, -1) {
		raised[found[1]] = true
	}
	require.True(t, raised["insufficient_privilege"])
	delete(raised, "insufficient_privilege")
	raised["42501"] = true // the same in five characters
	raised["23505"] = true // raised by the constraint on agent_id

	documented := map[string]bool{}
	for _, row := range tableRows(readDoc(t, "errors.md")) {
		require.False(t, documented[row[0]], "two rows for %s", row[0])
		documented[row[0]] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(raised)), slices.Sorted(maps.Keys(documented)))
}

// The table and the drawing in docs/state-machine.md are the state machine that TestStateMachine tries.
func TestStateMachineDocument(t *testing.T) {
	t.Parallel()
	document := readDoc(t, "state-machine.md")
	columns := []string{"", "QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCELED"}
	rows := tableRows(document)
	require.Len(t, rows, len(transitions))
	for _, row := range rows {
		require.Len(t, row, 1+len(columns))
		for i, to := range columns {
			require.Equal(t, transitions[row[0]][to], row[i+1], "%s, asked for %q", row[0], to)
		}
	}

	drawn := map[[2]string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^\s*([A-Z]+) --> ([A-Z]+)`).FindAllStringSubmatch(document, -1) {
		drawn[[2]string{found[1], found[2]}] = true
	}
	want := map[[2]string]bool{}
	for from, targets := range transitions {
		for to, outcome := range targets {
			if outcome == moves || outcome == retries {
				want[[2]string{from, to}] = true
			}
		}
	}
	require.Equal(t, want, drawn)
}
