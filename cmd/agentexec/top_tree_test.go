package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// sources are the places that top reads from: a database, or a sidecar with a token that may answer.
func sources(t *testing.T, test func(t *testing.T, c, from *cli)) {
	t.Helper()
	t.Parallel()
	t.Run("Database", func(t *testing.T) {
		t.Parallel()
		c := setup(t)
		test(t, c, c)
	})
	t.Run("Sidecar", func(t *testing.T) {
		t.Parallel()
		c := setup(t).with("AGENTEXEC_JWT_SECRET=a secret of thirty-two characters")
		_, url := c.serve(t, "--addr", "127.0.0.1:0")
		test(t, c, bare(t).with("AGENTEXEC_URL="+url, "AGENTEXEC_TOKEN="+c.ok(t, "token", "--read", "--cancel", "--answer")))
	})
}

// TestTopTree: children are counted in the row of their parent, unfold below it, and a cancel takes the tree.
func TestTopTree(t *testing.T) {
	sources(t, func(t *testing.T, c, from *cli) {
		root := c.ok(t, "create", "plan")
		c.ok(t, "log", root, "Divided", "--status", "RUNNING")
		child := c.ok(t, "create", "part", "--parent", root)
		c.ok(t, "log", child, "Reading", "--status", "RUNNING")
		c.ok(t, "create", "piece", "--parent", child)
		c.ok(t, "complete", c.ok(t, "create", "part", "--parent", root))
		c.ok(t, "error", c.ok(t, "create", "part", "--parent", root))

		k := from.console(t, 120, 20, "top", "--interval", "250ms")
		k.await(t, `Running 1\n▌ ◐ ▸ plan +2/3 1✗  Divided`)
		require.NotContains(t, k.screen(), "Reading")
		k.send(t, "\x1b[C") // right
		k.await(t, `Running 1\n▌ ◐ ▾ plan .*\n  ◐   ▸ part +0/1  Reading`)
		require.Contains(t, k.screen(), "✗   part")
		k.send(t, "jl")
		k.await(t, `▌ ◐   ▾ part .*\n  ◌     piece `)
		c.ok(t, "log", child, "Comparing")
		k.await(t, `▾ part +0/1  Comparing`)
		k.send(t, "j\x1b[D\x1b[D\x1b[D") // left: the parent, fold, its parent
		k.await(t, `▌ ◐ ▾ plan .*\n  ◐   ▸ part`)
		k.send(t, "\r")
		k.await(t, `Children 3: 0 queued, 1 running, 1 complete, 1 error, 0 canceled`)
		k.send(t, "\x1b")
		k.await(t, `Running 1\n`)
		k.send(t, "c")
		k.await(t, `Cancel plan `+root[:8]+`\? Its worker has 30 s\.  y only it  t its tree  n no`)
		k.send(t, "t")
		k.await(t, `Cancel of the tree of plan `+root[:8]+` is requested`)
		k.await(t, `▌ ◉ ▾ plan +2/3  Stopping, \d+ s left`)
		k.await(t, `◉   . part +1/1  Stopping`)
		require.Equal(t, int64(2), query[int64](t, c, "select count(*) from agentexec.activity where status = 'CANCELED'"))
		k.send(t, "q")
		require.Equal(t, 0, k.end(t))
		k.restored(t)
	})
}

// TestTopAnswers: the activity that waits comes first with its question, which is answered by a choice, with a text and with JSON, or declined.
func TestTopAnswers(t *testing.T) {
	sources(t, func(t *testing.T, c, from *cli) {
		root := c.ok(t, "create", "plan")
		c.ok(t, "log", root, "Divided", "--status", "RUNNING")
		id := c.ok(t, "create", "part", "--parent", root)
		c.ok(t, "log", id, "Reading", "--status", "RUNNING")
		c.db.Exec(t, `select agentexec.ask($1::uuid, 'go-on', e'Go \x1b[31mon?', '{"type": "boolean"}', '1 hour')`, id)
		c.ok(t, "log", id, "Reads meanwhile")
		c.ask(t, id, "color", "Which color?", `{"enum": ["red", "green", "blue"]}`)
		c.ask(t, id, "name", "Which name?", `{"type": "string", "minLength": 3}`)
		c.ask(t, id, "limits", "Which limits?", `{"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 1}}}`)
		c.ask(t, id, "last", "Anything else?", "null")

		k := from.console(t, 120, 20, "top", "--interval", "250ms")
		k.await(t, `2 running  1 waiting`)
		k.await(t, `Needs me 1\n▌ \? part +Waits for you, \d+ (min|h) left  Go \\x1b\[31mon\? .*\nRunning 1\n  ◐ ▸ plan +0/1  Divided`)
		k.send(t, "2")
		k.await(t, `Needs me 1\n▌ \? part [^\n]*\n\s*\n`) // without plan
		k.send(t, "\r")
		k.await(t, `Asks: Go .*on\?  \(and 4 more\)  a answers`)
		k.send(t, "a")
		k.await(t, `\? part `+id[:8]+`\ngo-on  asked .*left  4 more after it\n\nGo .*on\?\n\n▌ true\n  false`)
		k.send(t, "\x1b[B")
		k.await(t, `  true\n▌ false`)
		k.send(t, "\r")
		k.await(t, `(?s)color  asked .*▌ "red"\n  "green"\n  "blue".*The question of `+id[:8]+` is answered`)
		k.send(t, "kk\r")
		k.await(t, `Expects a text`)
		k.send(t, "x1")
		k.await(t, `> x1.*\n.*\nSends "x1"`)
		k.send(t, "\r")
		k.await(t, `answer must have at least 3 characters, got 2`)
		k.send(t, "2\r")
		k.await(t, `Expects \{"count": integer 1\.\.\}`)
		k.send(t, "red\r")
		k.await(t, `that is no JSON`)
		k.send(t, "\x15{\"count\": 0}\r")
		k.await(t, `answer\.count must be at least 1, got 0`)
		k.send(t, "\x15{\"count\": 7}\r")
		k.await(t, `Anything else\?`)
		k.send(t, "\x04")
		k.await(t, `Ctrl-D again declines`)
		k.send(t, "\x04")
		k.await(t, `(?s)◐ part  Running.*Declined`)
		require.Equal(t, []struct{ Key, State, Answer string }{
			{"go-on", "ANSWERED", "false"}, {"color", "ANSWERED", `"green"`}, {"name", "ANSWERED", `"x12"`}, {"limits", "ANSWERED", `{"count": 7}`}, {"last", "DECLINED", ""},
		}, queryAll[struct{ Key, State, Answer string }](t, c, "select key, state::text, coalesce(answer::text, '') from agentexec.question order by asked_at"))
		k.send(t, "\x1b")
		k.await(t, `Nothing waits for you, and nothing is stale`)
		k.send(t, "q")
		require.Equal(t, 0, k.end(t))
		k.restored(t)
	})
}

// TestTopRefusedAnswer: without the verb answer, the reason is shown and the question stays.
func TestTopRefusedAnswer(t *testing.T) {
	t.Parallel()
	c := setup(t).with("AGENTEXEC_JWT_SECRET=a secret of thirty-two characters")
	_, url := c.serve(t, "--addr", "127.0.0.1:0")
	c.ask(t, c.running(t), "k", "Go on?", `{"type": "boolean"}`)
	k := bare(t).with("AGENTEXEC_URL="+url, "AGENTEXEC_TOKEN="+c.ok(t, "token", "--read")).console(t, 120, 20, "top")
	k.await(t, `\? research +Waits for you  Go on\?`)
	k.send(t, "a")
	k.await(t, `▌ true`)
	k.send(t, "\r")
	k.await(t, `the token does not allow it`)
	require.Equal(t, "PENDING", query[string](t, c, "select state::text from agentexec.question"))
	k.send(t, "\x03")
	require.Equal(t, 0, k.end(t))
}
