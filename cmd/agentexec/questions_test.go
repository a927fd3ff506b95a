package main

import (
	"encoding/json"
	"os/user"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ask asks a question of a RUNNING activity.
func (c *cli) ask(t *testing.T, id, key, prompt, schema string) {
	t.Helper()
	c.db.Exec(t, "select agentexec.ask($1::uuid, $2, $3, $4::jsonb)", id, key, prompt, schema)
}

// TestQuestions: listing, answering and declining, from a database and from a sidecar with the same output.
func TestQuestions(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		t.Run(map[bool]string{false: "Database", true: "Sidecar"}[remote], func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			from := c
			var by string
			if remote {
				server := c.with("AGENTEXEC_JWT_SECRET=a secret of thirty-two characters")
				_, url := server.serve(t, "--addr", "127.0.0.1:0")
				from, by = bare(t).with("AGENTEXEC_URL="+url, "AGENTEXEC_TOKEN="+server.ok(t, "token", "--read", "--answer", "--subject", "ada")), "ada"
				require.Contains(t, from.refused(t, 1, "answer", c.running(t), "k", "1", "--token", server.ok(t, "token", "--read", "--cancel")), "the token does not allow it")
			} else {
				u, err := user.Current()
				require.NoError(t, err)
				by = u.Username
			}
			id, other := c.running(t), c.ok(t, "create", "review", "--metadata", `{"org": 7}`)
			require.Equal(t, "AGENT_ID  KEY  STATE  AGE  TYPE  ANSWER  PROMPT", from.ok(t, "questions"))
			c.ask(t, id, "go on", "Go \x1b[31mon?", `{"type": "boolean"}`)
			c.ask(t, id, "color", "Which color?", `{"enum": ["red", "green", 7]}`)
			c.ask(t, other, "limits", "Which limits?", `{"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 5}, "note": {"type": ["string", "null"]}}}`)
			c.ask(t, other, "..", "Anything?", `null`)

			rows := strings.Split(from.ok(t, "questions"), "\n")
			require.Len(t, rows, 5)
			require.Regexp(t, `^`+id+`  go on   PENDING  \d+s +research  true\|false  .*  Go \\x1b\[31mon\?$`, rows[1])
			require.Regexp(t, `^`+id+`  color   PENDING  \d+s +research  "red"\|"green"\|7 `, rows[2])
			require.Regexp(t, `^`+other+`  limits  PENDING  \d+s +review    \{"count": integer 1\.\.5, "note"\?: string\|null\}  Which limits\?$`, rows[3])
			require.Regexp(t, `^`+other+`  \.\.      PENDING  \d+s +review    JSON `, rows[4])
			require.NotContains(t, from.ok(t, "questions", other[:8]), id)
			require.Len(t, strings.Split(from.ok(t, "questions", "--metadata", "org=7"), "\n"), 3)
			require.Len(t, strings.Split(from.ok(t, "questions", "--agent-type", "research"), "\n"), 3)
			page := from.run(t, "questions", "--page-size", "1")
			require.Contains(t, page.stderr, "More with --after '")
			after := strings.TrimSuffix(strings.TrimPrefix(page.stderr, "More with --after '"), "'\n")
			require.Contains(t, from.run(t, "questions", "--page-size", "1", "--after", after).stdout, "  color  ")

			require.Contains(t, from.refused(t, 2, "answer", id, "go on", "1"), "answer must be of type boolean, got number")
			require.Contains(t, from.refused(t, 2, "answer", other, "limits", `{"count": 0}`), "answer.count must be at least 1, got 0")
			require.Contains(t, from.refused(t, 1, "answer", id, "gone", "1"), `has no question with key "gone"`)
			require.Equal(t, "answered", from.ok(t, "answer", id[:8], "go on", "true"))
			require.Equal(t, "answered", from.ok(t, "answer", id, "go on", "true"))
			require.Contains(t, from.refused(t, 1, "answer", id, "go on", "false"), "with another answer")
			require.Contains(t, from.refused(t, 1, "answer", id, "go on", "--decline"), "is ANSWERED")
			require.Equal(t, "answered", from.ok(t, "answer", id, "color", "--text", "red"))
			require.Equal(t, "declined", from.ok(t, "answer", other, "limits", "--decline"))
			require.Equal(t, "answered", from.ok(t, "answer", other, "..", "--", "-5"))
			require.Equal(t, by, query[string](t, c, "select answered_by from agentexec.question where key = 'color'"))

			require.Equal(t, "AGENT_ID  KEY  STATE  AGE  TYPE  ANSWER  PROMPT", from.ok(t, "questions"))
			rows = strings.Split(from.ok(t, "questions", "--state", "any"), "\n")
			require.Regexp(t, `  color   ANSWERED  .*  "red"   Which`, rows[2])
			require.Regexp(t, `  limits  DECLINED  .*  -  `, rows[3])
			require.Len(t, strings.Split(from.ok(t, "questions", "--state", "DECLINED"), "\n"), 2)
			var list struct{ Items []struct{ Key string } }
			require.NoError(t, json.Unmarshal([]byte(from.ok(t, "questions", "--state", "ANSWERED", "--json")), &list))
			require.Len(t, list.Items, 3)
		})
	}
}

// TestQuestionsOnTerminal: the ids are short, and no line is longer than the terminal is wide.
func TestQuestionsOnTerminal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	k := c.console(t, 80, 10, "questions")
	require.Equal(t, 0, k.end(t))
	require.Equal(t, "No questions.", k.screen())
	id := c.running(t)
	c.ask(t, id, "a", strings.Repeat("Which of them? ", 20), `{"enum": ["one", "two", "three", "four", "five"]}`)
	c.ask(t, id, "b", "And now?", "null")
	k = c.console(t, 80, 10, "questions")
	require.Equal(t, 0, k.end(t))
	lines := strings.Split(k.screen(), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^`+id[:8]+`  a    PENDING .* "one"\|"two"\|"three"… +Which .*…$`, lines[1])
	require.Regexp(t, `^`+id[:8]+`  b    PENDING .* And now\?$`, lines[2])
}

// TestQuestionsOnNarrowTerminal: each question takes two lines, so that the prompt and what is expected have room.
func TestQuestionsOnNarrowTerminal(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	c.ask(t, id, "color", "Which of these colors is to be the new one?", `{"enum": ["red", "green", "blue"]}`)
	c.ask(t, id, strings.Repeat("long-key", 9), strings.Repeat("Which of them? ", 20), `{"enum": ["one", "two", "three", "four", "five", "six", "seven", "eight"]}`)
	k := c.console(t, 60, 10, "questions")
	require.Equal(t, 0, k.end(t))
	lines := strings.Split(k.screen(), "\n")
	require.Len(t, lines, 6)
	require.Regexp(t, `^AGENT_ID  KEY +STATE +AGE +ANSWER$`, lines[0])
	require.Regexp(t, `^  PROMPT$`, lines[1])
	require.Regexp(t, `^`+id[:8]+`  color +PENDING +\d+s +"red"\|"green"…$`, lines[2])
	require.Equal(t, "  Which of these colors is to be the new one?", lines[3])
	require.Regexp(t, `^`+id[:8]+`  long-key.*… +PENDING +\d+s +"one"\|"two"\|.*…$`, lines[4])
	require.Regexp(t, `^  Which of them\? Which .*…$`, lines[5])
}

func TestCompletionOfAnswers(t *testing.T) {
	t.Parallel()
	c := setup(t)
	id := c.running(t)
	c.ask(t, id, "go-on", "Go on?", `{"type": "boolean"}`)
	c.ask(t, id, "color", "Which?", `{"enum": ["red", 7]}`)
	c.running(t)
	require.Equal(t, []string{id}, c.complete(t, "answer", ""))
	require.Equal(t, []string{"go-on", "color"}, c.complete(t, "answer", id, ""))
	require.Equal(t, []string{"go-on"}, c.complete(t, "answer", id[:8], "g"))
	require.Equal(t, []string{"true", "false"}, c.complete(t, "answer", id, "go-on", ""))
	require.Equal(t, []string{`"red"`, "7"}, c.complete(t, "answer", id, "color", ""))
	require.Contains(t, c.complete(t, "questions", "--state", ""), "ANSWERED")
	require.Contains(t, c.complete(t, "create", "x", "--parent", ""), id)
	require.Contains(t, c.complete(t, "list", "--root", ""), id)
}
