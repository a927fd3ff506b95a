package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
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
			return connect.WithSource(cmd.Context(), s, cmd, func(src source.Source) (err error) {
				if params.AgentID, err = one.Find(cmd.Context(), src.FindID); err != nil {
					return err
				}
				return showQuestions(cmd, src, params, asJSON)
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

// showQuestions prints a page of questions.
func showQuestions(cmd *cobra.Command, src source.Source, params client.QuestionListParams, asJSON bool) error {
	out := output.NewScreen(cmd.OutOrStdout())
	if asJSON {
		answer, err := src.QuestionsJSON(cmd.Context(), params)
		if err != nil {
			return err
		}
		return out.JSON(answer)
	}
	list, err := source.Questions(cmd.Context(), src, params)
	if err != nil {
		return err
	}
	if err := out.Questions(list.Items); err != nil {
		return err
	}
	switch {
	case list.Next != nil:
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "More with --after '%s'\n", terminal.Printable(*list.Next))
	case len(list.Items) == 0 && out.Terminal:
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "No questions.")
	}
	return nil
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
			value, err := answerValue(cmd, args[2:], text, decline)
			if err != nil {
				return err
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

// answerValue returns the answer: the argument JSON, which args holds if it was given, or the text of --text. It returns nil for
// --decline. Exactly one of the three must be given.
func answerValue(cmd *cobra.Command, args []string, text string, decline bool) (value json.RawMessage, err error) {
	given := len(args)
	if given > 0 {
		if value = json.RawMessage(args[0]); !json.Valid(value) {
			return nil, notJSON(cmd, args[0])
		}
	}
	if cmd.Flags().Changed("text") {
		given++
		if value, err = json.Marshal(text); err != nil {
			return nil, err
		}
	}
	if decline {
		given++
	}
	if given != 1 {
		return nil, exit.UsageError(cmd, "give one of these: the answer as JSON, --text TEXT, or --decline")
	}
	return value, nil
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
