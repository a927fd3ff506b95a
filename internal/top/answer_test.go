package top

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// asks opens the form of a question with a schema.
func asks(t *testing.T, schema string, more ...client.AskedQuestion) *model {
	t.Helper()
	f := newFamily()
	m := shown(t, 100, 20, f.all()...)
	q := client.AskedQuestion{AgentID: f.waiting.AgentID, AgentType: "review", Key: "k", Prompt: "Go on?", Schema: json.RawMessage(schema), AskedAt: time.Now()}
	m.openForm(questionsMsg{items: append([]client.AskedQuestion{q}, more...)})
	require.Equal(t, answerPage, m.page)
	return m
}

// typeText presses the keys of a text one after another.
func typeText(m *model, text string) {
	for _, r := range text {
		m.Update(tea.KeyPressMsg(tea.Key{Text: string(r), Code: r}))
	}
}

// TestFormAnswers: what is typed or chosen becomes JSON as the schema wants it.
func TestFormAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ schema, keys, sends, problem string }{
		{`{"type": "string"}`, "red <1>", `"red <1>"`, ""},
		{`{"type": "string"}`, "5", `"5"`, ""},
		{`{"type": "string"}`, "", `""`, ""},
		{`{"type": "integer"}`, "5", `5`, ""},
		{`{"type": "integer"}`, "five", "", "that is no JSON; expected: integer"},
		{`{"type": "object"}`, `{"a": 1}`, `{"a": 1}`, ""},
		{`{"type": "object"}`, `{"a"`, "", "that is no JSON; expected: object"},
		{`{"type": "object"}`, "", "", "type an answer: object"},
		{"null", "true", "true", ""},
		{"null", "maybe", `"maybe"`, ""},
		{`{"type": "boolean"}`, "", "true", ""},
		{`{"type": "boolean"}`, "j", "false", ""},
		{`{"enum": ["a", 1, null]}`, "jj", "null", ""},
		{`{"enum": ["a", 1, null]}`, "k", "null", ""},
	} {
		m := asks(t, tc.schema)
		typeText(m, tc.keys)
		screen(t, m)
		answer, err := m.form.answer()
		if tc.problem != "" {
			require.EqualError(t, err, tc.problem)
			require.Nil(t, press(m, "enter"))
			require.Equal(t, tc.problem, m.form.problem)
			require.Contains(t, strings.Join(screen(t, m), "\n"), tc.problem)
			continue
		}
		require.NoError(t, err, tc.schema)
		require.Equal(t, tc.sends, string(answer), tc.schema+tc.keys)
		require.NotNil(t, press(m, "enter"))
		require.True(t, m.form.sending)
		require.Nil(t, press(m, "enter"), "it is sent once")
	}
}

// TestFormProblems: a refused answer stays in the field, with the reason; declining takes two keys; Esc leaves.
func TestFormProblems(t *testing.T) {
	t.Parallel()
	m := asks(t, `{"type": "integer", "minimum": 1}`)
	typeText(m, "0")
	press(m, "enter")
	m.Update(answeredMsg{question: m.form.question, err: errors.New("answer must be at least 1, got 0")})
	text := strings.Join(screen(t, m), "\n")
	require.Contains(t, text, "answer must be at least 1, got 0")
	require.Contains(t, text, "> 0")
	require.Contains(t, text, "Expects integer 1..")
	require.Contains(t, text, "Sends 0")

	decline := tea.KeyPressMsg(tea.Key{Code: 'd', Mod: tea.ModCtrl})
	_, cmd := m.Update(decline)
	require.Nil(t, cmd)
	require.Contains(t, strings.Join(screen(t, m), "\n"), "Ctrl-D again declines")
	typeText(m, "1")
	_, cmd = m.Update(decline)
	require.Nil(t, cmd, "another key came between")
	_, cmd = m.Update(decline)
	require.NotNil(t, cmd)
	require.NotNil(t, press(m, "esc"))
	require.Nil(t, m.form)
	require.Equal(t, tablePage, m.page)
	m.Update(answeredMsg{question: client.AskedQuestion{AgentID: uuid.New(), State: client.QuestionDeclined}})
	require.Contains(t, m.message, "is declined")
}

// TestFormOfSeveral: the next question of the activity follows, and where another person has closed them all, the form ends.
func TestFormOfSeveral(t *testing.T) {
	t.Parallel()
	second := client.AskedQuestion{Key: "second", Prompt: "And then?", AskedAt: time.Now()}
	m := asks(t, `{"type": "boolean"}`, second)
	require.Contains(t, strings.Join(screen(t, m), "\n"), "1 more after it")
	press(m, "enter")
	closed := m.form.question
	closed.State = client.QuestionAnswered
	_, cmd := m.Update(answeredMsg{question: closed})
	require.NotNil(t, cmd)
	m.Update(questionsMsg{items: []client.AskedQuestion{second}})
	require.Contains(t, strings.Join(screen(t, m), "\n"), "And then?")
	m.Update(questionsMsg{})
	require.Nil(t, m.form)
	require.Equal(t, tablePage, m.page)
	press(m, "G", "a")
	require.Contains(t, m.message, "asks nothing")
	m.Update(questionsMsg{err: errors.New("no answer in time")})
	require.True(t, m.wrong)
}
