package top

import (
	"context"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// question is a cancel that waits for its confirmation.
type question struct {
	activity client.Activity
	force    bool // the second step: end it without its worker
	tree     bool // with what is below it
}

// askCancel asks whether to cancel the selected activity, alone or with its tree. Where a cancel is requested already, it asks
// whether to force it.
func (m *model) askCancel() {
	a := m.current()
	switch {
	case a == nil:
	case a.Status.IsFinal() && a.Children == nil:
		m.message, m.wrong = fmt.Sprintf("%s is %s and cannot be canceled", name(*a), a.Status), true
	default:
		m.asking = &question{activity: *a, force: stateOf(*a) == stopping}
	}
}

// name names an activity in a sentence.
func name(a client.Activity) string {
	return terminal.Clip(terminal.Printable(a.AgentType), 16) + " " + a.AgentID.String()[:8]
}

// choice is a key that confirms a question.
type choice struct{ key, label string }

// treeKey confirms a cancel of the whole tree.
const treeKey = "t"

// text returns the question, and the keys that confirm it.
func (q question) text() (text string, choices []choice) {
	text, choices = "Cancel "+name(q.activity)+"?", []choice{{"y", "yes"}}
	switch {
	case q.force:
		text, choices = "Force the cancel of "+name(q.activity)+", without its worker?", []choice{{"f", "yes"}}
	case q.activity.Status == client.StatusRunning:
		text += " Its worker has 30 s."
	}
	switch {
	case q.activity.Status.IsFinal():
		return "Cancel what is below " + name(q.activity) + "?", []choice{{treeKey, "yes"}}
	case q.activity.Children != nil:
		choices[0].label = "only it"
		choices = append(choices, choice{treeKey, "its tree"})
	}
	return text, choices
}

// confirm handles a key while a question is open.
func (m *model) confirm(key string) tea.Cmd {
	q := *m.asking
	_, choices := q.text()
	m.asking = nil
	if !slices.ContainsFunc(choices, func(c choice) bool { return c.key == key }) {
		m.message = "Nothing was canceled"
		return nil
	}
	request := source.Cancel{RequestedBy: m.config.RequestedBy, Tree: key == treeKey}
	if q.force {
		request.Grace = new(time.Duration(0))
	}
	q.tree = request.Tree
	m.message = "Canceling " + q.name() + " ..."
	src, ctx := m.config.Source, m.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		line, err := src.Cancel(ctx, q.activity.AgentID, request)
		return canceledMsg{question: q, line: line, err: err}
	}
}

// name names what is canceled in a sentence.
func (q question) name() string {
	if q.tree {
		return "the tree of " + name(q.activity)
	}
	return name(q.activity)
}

// canceledMsg is the answer to a cancel.
type canceledMsg struct {
	question question
	line     client.Log
	err      error
}

// taken shows the answer to a cancel.
func (m *model) taken(msg canceledMsg) {
	name := msg.question.name()
	switch {
	case msg.err != nil:
		m.message, m.wrong = m.config.Describe(msg.err), true
	case msg.line.Status.IsFinal():
		m.message = name + " is canceled"
	default:
		m.message = "Cancel of " + name + " is requested; c again forces it"
	}
}
