package top

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// form is a question that is being answered: with a choice where its schema has one, else with a line of text or JSON.
type form struct {
	question client.AskedQuestion
	others   int // open questions of the activity besides this one
	choices  []json.RawMessage
	chosen   int
	input    textinput.Model
	problem  string // why the answer was not taken
	sending  bool
	declines bool // the first of the two keys that decline was pressed
}

// questionsMsg has the open questions of an activity.
type questionsMsg struct {
	activity client.Activity
	items    []client.AskedQuestion
	err      error
}

// readQuestions reads the open questions of the selected activity, to answer one.
func (m *model) readQuestions() tea.Cmd {
	a := m.current()
	switch {
	case a == nil:
		return nil
	case a.OpenQuestions == 0:
		m.message = name(*a) + " asks nothing"
		return nil
	}
	activity, src, ctx := *a, m.config.Source, m.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		list, err := source.Questions(ctx, src, client.QuestionListParams{AgentID: activity.AgentID})
		msg := questionsMsg{activity: activity, err: err}
		if err == nil {
			msg.items = list.Items
		}
		return msg
	}
}

// openForm shows the oldest question.
func (m *model) openForm(msg questionsMsg) tea.Cmd {
	switch {
	case msg.err != nil:
		m.message, m.wrong = m.config.Describe(msg.err), true
		return m.closeForm()
	case m.page == helpPage || m.typing || m.asking != nil:
		return nil // the user went on to something else
	case len(msg.items) == 0:
		if m.page != answerPage {
			m.message = name(msg.activity) + " asks nothing any more"
		}
		return m.closeForm()
	}
	q := msg.items[0]
	input := textinput.New()
	input.Prompt = ""
	input.SetWidth(max(10, m.width-8))
	m.form = &form{question: q, others: len(msg.items) - 1, choices: source.Choices(q.Schema), input: input}
	if m.page != answerPage {
		m.help, m.page = m.page, answerPage
	}
	if m.form.choices != nil {
		return nil
	}
	return m.form.input.Focus()
}

// closeForm goes back to where the form was opened.
func (m *model) closeForm() tea.Cmd {
	m.form = nil
	if m.page == answerPage {
		m.page = m.help
	}
	return m.readSoon()
}

// formKey handles a key of the form.
func (m *model) formKey(msg tea.KeyPressMsg) tea.Cmd {
	f, key := m.form, msg.String()
	declines := f.declines
	f.declines, f.problem = false, ""
	switch {
	case key == "esc":
		return m.closeForm()
	case f.sending:
		return nil
	case key == "ctrl+d":
		if f.declines = !declines; f.declines {
			return nil
		}
		return m.send(nil)
	case key == "enter":
		answer, err := f.answer()
		if err != nil {
			f.problem = err.Error()
			return nil
		}
		return m.send(answer)
	case f.choices == nil:
		var cmd tea.Cmd
		f.input, cmd = f.input.Update(msg)
		return cmd
	case key == "down" || key == "j" || key == "tab":
		f.chosen = (f.chosen + 1) % len(f.choices)
	case key == "up" || key == "k" || key == "shift+tab":
		f.chosen = (f.chosen + len(f.choices) - 1) % len(f.choices)
	}
	return nil
}

// answer returns the JSON that was chosen or typed. Where the schema allows only a string, the text is one. Where it names no type,
// a text that is no JSON is one too.
func (f *form) answer() (json.RawMessage, error) {
	if f.choices != nil {
		return f.choices[f.chosen], nil
	}
	text := strings.TrimSpace(f.input.Value())
	expects := source.Expects(f.question.Schema)
	isText := source.IsText(f.question.Schema)
	switch {
	case text == "" && !isText:
		return nil, errors.New("type an answer: " + terminal.Printable(expects))
	case !isText && json.Valid([]byte(text)):
		return json.RawMessage(text), nil
	case !isText && expects != "JSON":
		return nil, errors.New("that is no JSON; expected: " + terminal.Printable(expects))
	case isText:
		text = f.input.Value()
	}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(text)
	return bytes.TrimSpace(quoted.Bytes()), err
}

// answeredMsg is the outcome of an answer, or of declining.
type answeredMsg struct {
	question client.AskedQuestion
	err      error
}

// send sends an answer; nil declines.
func (m *model) send(answer json.RawMessage) tea.Cmd {
	f := m.form
	f.sending, f.problem = true, ""
	q, src, ctx, by := f.question, m.config.Source, m.ctx, m.config.RequestedBy
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		var closed client.AskedQuestion
		var err error
		if answer == nil {
			closed, err = src.Decline(ctx, q.AgentID, q.Key, by)
		} else {
			closed, err = src.Answer(ctx, q.AgentID, q.Key, answer, by)
		}
		if err != nil {
			closed = q
		}
		return answeredMsg{question: closed, err: err}
	}
}

// answered shows the outcome, and the next question where there is another one.
func (m *model) answered(msg answeredMsg) tea.Cmd {
	q := msg.question
	who := q.AgentID.String()[:8]
	open := m.form != nil && m.form.question.AgentID == q.AgentID && m.form.question.Key == q.Key
	switch {
	case msg.err != nil && open:
		m.form.sending, m.form.problem = false, m.config.Describe(msg.err)
		return nil
	case msg.err != nil:
		m.message, m.wrong = m.config.Describe(msg.err), true
		return nil
	}
	m.message = fmt.Sprintf("The question of %s is %s", who, strings.ToLower(string(q.State)))
	if !open {
		return m.readSoon()
	}
	if m.form.others > 0 {
		return m.readNext(q)
	}
	return m.closeForm()
}

// readNext reads the questions that are left of an activity.
func (m *model) readNext(after client.AskedQuestion) tea.Cmd {
	src, ctx := m.config.Source, m.ctx
	activity := client.Activity{AgentID: after.AgentID, AgentType: after.AgentType}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		list, err := source.Questions(ctx, src, client.QuestionListParams{AgentID: after.AgentID})
		if err != nil {
			return questionsMsg{activity: activity, err: err}
		}
		return questionsMsg{activity: activity, items: list.Items}
	}
}

// hints are the keys of the form.
func (f *form) hints() []string {
	if f.declines {
		return []string{"Ctrl-D again declines to answer", "any other key goes on"}
	}
	if f.choices != nil {
		return []string{"↑↓ choose", "Enter answer", "Ctrl-D decline", "Esc back"}
	}
	return []string{"Enter answer", "Ctrl-D decline", "Esc back"}
}

// formLines are the rows of the form.
func (m *model) formLines() []string {
	f := m.form
	if f == nil {
		return nil
	}
	q, faint, room := f.question, m.look.faint(), m.pageHeight()
	about := []string{terminal.Printable(q.Key), "asked " + roughly(m.clock().Sub(q.AskedAt)) + " ago"}
	if q.ExpiresAt != nil {
		about = append(about, roughly(q.ExpiresAt.Sub(m.clock()))+" left")
	}
	if f.others > 0 {
		about = append(about, fmt.Sprintf("%d more after it", f.others))
	}
	head := m.look.of(waiting).Render(looks[waiting].symbol) + " " + bold.Render(terminal.Clip(terminal.Printable(q.AgentType), m.width/2)) + " " + q.AgentID.String()[:8]
	lines := []string{head, faint.Render(terminal.Clip(strings.Join(about, "  "), m.width)), ""}
	below := f.answerLines(m)
	prompt := wrap(terminal.Printable(q.Prompt), m.width, max(1, room-len(lines)-1-min(len(below), room/2)))
	for _, part := range prompt {
		lines = append(lines, bold.Render(part))
	}
	lines = append(lines, "")
	if over := len(lines) + len(below) - room; over > 0 && f.choices != nil { // the chosen one stays in view
		first := min(max(0, f.chosen-(len(below)-over)/2), over)
		below = below[first:]
	}
	return append(lines, below...)
}

// answerLines are the choices, or the field with what it expects and what it sends.
func (f *form) answerLines(m *model) (lines []string) {
	if f.sending {
		return append(lines, m.look.faint().Render("Sending ..."))
	}
	for i, choice := range f.choices {
		text := terminal.Clip(terminal.Printable(string(choice)), m.width-2)
		if i == f.chosen {
			lines = append(lines, ink(m.look.accent).Render("▌ ")+bold.Render(text))
		} else {
			lines = append(lines, "  "+text)
		}
	}
	if f.choices != nil {
		return lines
	}
	expects := "Expects " + terminal.Printable(source.Expects(f.question.Schema))
	if source.IsText(f.question.Schema) {
		expects = "Expects a text"
	}
	sends := ""
	if answer, err := f.answer(); err == nil {
		sends = "Sends " + terminal.Printable(string(answer))
	}
	return append(lines, ink(m.look.accent).Render("> ")+lipgloss.NewStyle().MaxWidth(max(m.width-2, 1)).Render(f.input.View()),
		m.look.faint().Render(terminal.Clip(expects, m.width)), m.look.faint().Render(terminal.Clip(sends, m.width)))
}
