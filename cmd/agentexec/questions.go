package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

func newQuestions(s *settings.Reader) *cobra.Command {
	var (
		state     questionState
		agentType argument.Name
		metadata  argument.Pairs
		pageSize  argument.Number
		after     string
		asJSON    bool
	)
	cmd := &cobra.Command{
		Use:   "questions [AGENT_ID]",
		Short: "List the questions that wait for the answer of a person, the oldest first",
		Long: "List the questions that wait for the answer of a person, the oldest first; with AGENT_ID those of one activity.\n\n" +
			"The column ANSWER has the answer, or while there is none, what the question expects: true|false, a choice such as\n" +
			"\"red\"|\"green\", a type such as integer 1..5, or JSON for any value. agentexec answer answers a question.",
		Example: "  agentexec questions --agent-type research\n" +
			"  AGENTEXEC_TOKEN=... agentexec questions --url https://example.com/agentexec --state ANY",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			params := client.QuestionListParams{AgentType: agentType.Value, MetadataFilter: metadata, After: after}
			state.set(&params)
			if pageSize.Value != nil {
				if params.PageSize = *pageSize.Value; params.PageSize < 1 {
					return exit.UsageError(cmd, "--page-size must be at least 1")
				}
			}
			var one argument.ActivityID
			if len(args) > 0 {
				var err error
				if one, err = argument.AgentID(cmd, args[0]); err != nil {
					return err
				}
			}
			out := newScreen(cmd.OutOrStdout())
			return connect.WithSource(cmd.Context(), s, cmd, func(src source.Source) (err error) {
				if params.AgentID, err = one.Find(cmd.Context(), src.FindID); err != nil {
					return err
				}
				if asJSON {
					answer, err := src.QuestionsJSON(cmd.Context(), params)
					if err != nil {
						return err
					}
					return out.json(answer)
				}
				list, err := source.Questions(cmd.Context(), src, params)
				if err != nil {
					return err
				}
				if err := out.questions(list.Items); err != nil {
					return err
				}
				switch {
				case list.Next != nil:
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "More with --after '%s'\n", terminal.Printable(*list.Next))
				case len(list.Items) == 0 && out.terminal:
					_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "No questions.")
				}
				return nil
			})
		},
	}
	connect.SourceFlags(cmd)
	cmd.Flags().Var(&state, "state", "only with this state: PENDING, ANSWERED, DECLINED, EXPIRED, WITHDRAWN, or ANY (default PENDING)")
	cmd.Flags().Var(&agentType, "agent-type", "only of activities of this type")
	cmd.Flags().Var(&metadata, "metadata", "only of activities with this value in the metadata, or with those of a JSON object; may be repeated")
	cmd.Flags().Var(&pageSize, "page-size", "questions on a page, 1 to 1000 (default 50)")
	cmd.Flags().StringVar(&after, "after", "", `"next" of an earlier page`)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the JSON of agentexec.list_questions")
	return cmd
}

// questionHead are the columns of a list of questions.
var questionHead = []string{"AGENT_ID", "KEY", "STATE", "AGE", "TYPE", "ANSWER", "PROMPT"}

// leastPrompt is the room that a longer prompt needs on the line of its question, in columns.
const leastPrompt = 16

// questions prints questions, one a line. On a terminal every line fits and the ids are short; where the other columns leave too
// little room for the prompts, each has a line of its own below its question.
func (s *screen) questions(items []client.AskedQuestion) error {
	if s.terminal && len(items) == 0 {
		return nil
	}
	rows := [][]string{slices.Clone(questionHead)}
	ids := make([]string, len(items))
	for i, q := range items {
		ids[i] = q.AgentID.String()
	}
	if s.terminal {
		ids = shortAgentIDs(items)
	}
	for i, q := range items {
		rows = append(rows, []string{
			ids[i], terminal.Printable(q.Key), string(q.State), terminal.Ago(time.Since(q.AskedAt)), terminal.Printable(q.AgentType), answerText(q),
			terminal.Printable(q.Prompt),
		})
	}
	var prompts []string // those that have a line of their own
	if s.terminal {
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
			if s.terminal {
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

func newAnswer(s *settings.Reader) *cobra.Command {
	var (
		text    string
		decline bool
	)
	cmd := &cobra.Command{
		Use:   "answer AGENT_ID KEY [JSON]",
		Short: "Answer a question of an activity, or decline it",
		Long: "Answer a question of an activity with a JSON value, or decline it, and print its state.\n\n" +
			"A string has quotes inside those of the shell: '\"red\"'; or give it with --text. A negative number stands behind --.\n\n" +
			"The answer names the user of the operating system who ran the command. A sidecar (--url) names the subject of the token,\n" +
			"which must grant answer.",
		Example: "  agentexec answer 01234567-89ab-cdef-0123-456789abcdef go-on true\n" +
			"  agentexec answer 01234567-89ab-cdef-0123-456789abcdef color --text red\n" +
			"  agentexec answer 01234567-89ab-cdef-0123-456789abcdef limits '{\"max\": 5}'\n" +
			"  agentexec answer 01234567-89ab-cdef-0123-456789abcdef go-on --decline",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := argument.AgentID(cmd, args[0])
			if err != nil {
				return err
			}
			var value json.RawMessage
			given := 0
			if len(args) == 3 {
				given++
				if value = json.RawMessage(args[2]); !json.Valid(value) {
					return notJSON(cmd, args[2])
				}
			}
			if cmd.Flags().Changed("text") {
				given++
				if value, err = json.Marshal(text); err != nil {
					return err
				}
			}
			if decline {
				given++
			}
			if given != 1 {
				return exit.UsageError(cmd, "give one of these: the answer as JSON, --text TEXT, or --decline")
			}
			return connect.WithSource(cmd.Context(), s, cmd, func(src source.Source) error {
				id, err := id.Find(cmd.Context(), src.FindID)
				if err != nil {
					return err
				}
				var asked client.AskedQuestion
				if decline {
					asked, err = src.Decline(cmd.Context(), id, args[1], userName())
				} else {
					asked, err = src.Answer(cmd.Context(), id, args[1], value, userName())
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.ToLower(string(asked.State)))
				return err
			})
		},
	}
	connect.SourceFlags(cmd)
	cmd.Flags().StringVar(&text, "text", "", "answer with this `TEXT` as a string")
	cmd.Flags().BoolVar(&decline, "decline", false, "refuse to answer")
	return cmd
}

// notJSON returns the error for an answer that is no JSON, which shows how to give a string.
func notJSON(cmd *cobra.Command, text string) error {
	quoted, _ := json.Marshal(terminal.Clip(strings.ToValidUTF8(text, "\uFFFD"), 40)) // strings can always be written
	return exit.UsageError(cmd, `%.50q is no JSON; for a string, write '%s' or --text %s`, text, quoted, quoted)
}

// questionState is a flag that takes the name of a state of a question, in any case, or ANY.
type questionState struct{ value client.QuestionState }

// questionStates are the values of the flag.
var questionStates = []string{"PENDING", "ANSWERED", "DECLINED", "EXPIRED", "WITHDRAWN", anyState}

const anyState = "ANY"

func (q *questionState) String() string { return "" }
func (q *questionState) Type() string   { return "STATE" }

func (q *questionState) Set(text string) error {
	name := strings.ToUpper(text)
	if !slices.Contains(questionStates, name) {
		return fmt.Errorf("%.50q is no state: use PENDING, ANSWERED, DECLINED, EXPIRED, WITHDRAWN or ANY", text)
	}
	q.value = client.QuestionState(name)
	return nil
}

// set sets the state of a list.
func (q *questionState) set(params *client.QuestionListParams) {
	if params.AnyState = q.value == anyState; !params.AnyState {
		params.State = q.value
	}
}
