package sql_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// question is a row of agentexec.question.
type question struct {
	State      string
	Answer     *string
	AnsweredBy *string
	Closed     bool
}

// question calls a function that returns a question.
func (b *bundle) question(call string, args ...any) (question, error) {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), "select q.state::text, q.answer::text, q.answered_by, q.closed_at is not null from agentexec."+call+" q", args...)
	require.NoError(b, err)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[question])
}

func (b *bundle) requireQuestion(state string, call string, args ...any) question {
	b.Helper()
	q, err := b.question(call, args...)
	require.NoError(b, err, call)
	require.Equal(b, state, q.State, call)
	require.Equal(b, state != "PENDING", q.Closed || state == "EXPIRED", call)
	return q
}

func (b *bundle) requireNoQuestion(sqlstate, problem, call string, args ...any) {
	b.Helper()
	_, err := b.question(call, args...)
	requireRefused(b.T, err, sqlstate, problem)
}

// openQuestions returns activity.open_questions, and checks that it is the number of PENDING questions.
func (b *bundle) openQuestions(agent uuid.UUID) int {
	b.Helper()
	n := one[int](b.T, b.pool, "select open_questions from agentexec.activity where agent_id = $1", agent)
	require.Equal(b, n, one[int](b.T, b.pool, `select count(*) from agentexec.question q join agentexec.activity a on a.id = q.activity_id
		where a.agent_id = $1 and q.state = 'PENDING'`, agent))
	return n
}

func TestQuestionIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	before := one[int](t, b.pool, "select last_seq from agentexec.activity where agent_id = $1", agent)

	b.requireQuestion("PENDING", `ask($1, 'color', 'Which color?', '{"type": "string", "enum": ["red", "blue"]}')`, agent)
	require.Equal(t, 1, b.openQuestions(agent))
	b.requireQuestion("PENDING", `ask($1, 'color', 'Which color?')`, agent) // asked again after a restart
	require.Equal(t, before+1, one[int](t, b.pool, "select last_seq from agentexec.activity where agent_id = $1", agent))
	b.requireNoQuestion("TA409", "asked another question", `ask($1, 'color', 'Which colour?')`, agent)

	b.requireNoQuestion("TA422", "answer must be one of", `answer($1, 'color', '"green"')`, agent)
	b.requireNoQuestion("TA422", "answer must not be null", `answer($1, 'color', null)`, agent)
	q := b.requireQuestion("ANSWERED", `answer($1, 'color', '"red"', 'ada')`, agent)
	require.Equal(t, `"red"`, *q.Answer)
	require.Equal(t, "ada", *q.AnsweredBy)
	require.Zero(t, b.openQuestions(agent))
	b.requireQuestion("ANSWERED", `answer($1, 'color', '"red"', 'bob')`, agent)
	b.requireQuestion("ANSWERED", `ask($1, 'color', 'Which color?')`, agent)
	b.requireQuestion("ANSWERED", `get_question($1, 'color')`, agent)
	b.requireNoQuestion("TA409", "is ANSWERED by ada with another answer", `answer($1, 'color', '"blue"')`, agent)
	b.requireNoQuestion("TA409", "is ANSWERED", `decline($1, 'color')`, agent)
	b.requireNoQuestion("TA409", "is ANSWERED", `withdraw($1, 'color')`, agent)
	b.requireNoQuestion("TA404", "no question with key", `answer($1, 'size', '1')`, agent)
	b.requireNoQuestion("TA404", "no activity", `answer(gen_random_uuid(), 'size', '1')`)

	rows, err := b.pool.Query(t.Context(), `select l.message || ' ' || (l.data ->> 'question') || ' ' || l.status from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id where a.agent_id = $1 and l.seq > $2 order by l.seq`, agent, before)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"Which color? color RUNNING", `Answered by ada: "red" color RUNNING`}, lines)
}

func TestQuestionIsClosedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("QUEUED")
	for _, key := range []string{"declined", "withdrawn", "expired", "ended"} {
		b.requireQuestion("PENDING", "ask($1, $2, 'Go on?')", agent, key)
	}
	require.Equal(t, 4, b.openQuestions(agent))
	b.requireQuestion("DECLINED", "decline($1, 'declined', 'ada')", agent)
	b.requireQuestion("DECLINED", "decline($1, 'declined')", agent)
	b.requireNoQuestion("TA409", "is DECLINED", "answer($1, 'declined', '1')", agent)
	b.requireQuestion("WITHDRAWN", "withdraw($1, 'withdrawn')", agent)
	b.requireQuestion("WITHDRAWN", "withdraw($1, 'withdrawn')", agent)
	b.requireNoQuestion("TA409", "is WITHDRAWN", "decline($1, 'withdrawn')", agent)

	// A question is EXPIRED for every reader at once; sweep writes it down.
	b.exec("update agentexec.question set expires_at = now() where key = 'expired'")
	b.requireQuestion("EXPIRED", "get_question($1, 'expired')", agent)
	b.requireNoQuestion("TA409", "is EXPIRED", "answer($1, 'expired', '1')", agent)
	require.JSONEq(t, `{"forced": 0, "expired": 1, "pruned": 0}`, one[string](t, b.pool, "select agentexec.sweep()::text"))
	require.Equal(t, 1, b.openQuestions(agent))
	b.requireQuestion("EXPIRED", "ask($1, 'expired', 'Go on?')", agent)

	b.exec("select agentexec.complete($1)", agent)
	b.requireQuestion("WITHDRAWN", "get_question($1, 'ended')", agent)
	require.Zero(t, b.openQuestions(agent))
	b.requireNoQuestion("TA409", "is WITHDRAWN", "answer($1, 'ended', '1')", agent)
	b.requireNoQuestion("TA409", "asks no question", "ask($1, 'late', 'Go on?')", agent)
}

// The questions of an activity are withdrawn through every door that ends it.
func TestEveryEndWithdrawsQuestions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for what, end := range map[string]string{
		"append_log":     "select agentexec.append_log($1, 'x', status => 'ERROR')",
		"append_logs":    "select agentexec.append_logs(jsonb_build_array(jsonb_build_object('agent_id', $1::uuid, 'message', 'x', 'status', 'COMPLETE')))",
		"error":          "select agentexec.error($1)",
		"cancel":         "select agentexec.cancel($1, grace => '0')",
		"cancel_pending": "select agentexec.cancel_pending('research') from (select $1::uuid) one",
		"direct insert":  "insert into agentexec.activity_log (activity_id, message, status) select id, 'x', 'CANCELED' from agentexec.activity where agent_id = $1",
	} {
		agent := b.in("RUNNING")
		b.requireQuestion("PENDING", "ask($1, 'k', 'Go on?')", agent)
		b.exec(end, agent)
		q, err := b.question("get_question($1, 'k')", agent)
		require.NoError(t, err)
		require.Equal(t, "WITHDRAWN", q.State, what)
		require.Zero(t, b.openQuestions(agent), what)
	}
}

func TestAnswerSchema(t *testing.T) {
	t.Parallel()
	b := setup(t)
	problem := func(schema, answer string) string {
		return one[string](t, b.pool, "select coalesce(agentexec._schema_problem($1::jsonb), agentexec._answer_problem($2::jsonb, $1::jsonb), '')", schema, answer)
	}
	for _, c := range []struct{ schema, answer, problem string }{
		{`{}`, `null`, ``},
		{`true`, `[1]`, ``},
		{`false`, `1`, `answer is not allowed`},
		{`{"type": "integer"}`, `5`, ``},
		{`{"type": "integer"}`, `5.0`, ``},
		{`{"type": "integer"}`, `5.5`, `answer must be of type integer, got number`},
		{`{"type": "integer"}`, `"5"`, `answer must be of type integer, got string`},
		{`{"type": ["string", "null"]}`, `null`, ``},
		{`{"type": ["string", "null"]}`, `true`, `answer must be of type string or null, got boolean`},
		{`{"const": 4}`, `5`, `answer must be 4`},
		{`{"minimum": 3, "maximum": 9}`, `2`, `answer must be at least 3, got 2`},
		{`{"minimum": 3, "maximum": 9}`, `10`, `answer must be at most 9, got 10`},
		{`{"exclusiveMinimum": 3}`, `3`, `answer must be above 3, got 3`},
		{`{"exclusiveMaximum": 3}`, `3`, `answer must be below 3, got 3`},
		{`{"minLength": 2}`, `"ä"`, `answer must have at least 2 characters, got 1`},
		{`{"maxLength": 2}`, `"äöü"`, `answer must have at most 2 characters, got 3`},
		{`{"minItems": 1}`, `[]`, `answer must have at least 1 items, got 0`},
		{`{"items": {"type": "string"}}`, `["a", 1]`, `answer[1] must be of type string, got number`},
		{`{"type": "object", "required": ["a", "b"]}`, `{"a": 1}`, `answer.b is required`},
		{`{"properties": {"a": {"properties": {"b": {"enum": [1, 2]}}}}}`, `{"a": {"b": 3}}`, `answer.a.b must be one of [1, 2]`},
		{`{"properties": {"a": {"type": "string"}}}`, `{"c": 3}`, ``},
		{`5`, `1`, `schema must be a JSON object or a boolean, got number`},
		{`{"type": "text"}`, `1`, `schema.type must be one of`},
		{`{"type": []}`, `1`, `schema.type must be one of`},
		{`{"enum": []}`, `1`, `schema.enum must be an array of at least one value`},
		{`{"required": [1]}`, `1`, `schema.required must be an array of strings`},
		{`{"minLength": -1}`, `1`, `schema.minLength must be an integer of at least 0`},
		{`{"minLength": "1"}`, `1`, `schema.minLength must be an integer of at least 0`},
		{`{"maximum": "1"}`, `1`, `schema.maximum must be a number`},
		{`{"properties": {"a": {"items": {"type": 5}}}}`, `1`, `schema.properties.a.items.type must be one of`},
	} {
		if c.problem == "" {
			require.Empty(t, problem(c.schema, c.answer), "%s %s", c.schema, c.answer)
		} else {
			require.Contains(t, problem(c.schema, c.answer), c.problem, "%s %s", c.schema, c.answer)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	for call, problem := range map[string]string{
		"ask($1, '', 'p')":                    "key must be 1 to 255 characters, got 0",
		"ask($1, null, 'p')":                  "key must be 1 to 255 characters, got null",
		"ask($1, repeat('k', 256), 'p')":      "key must be 1 to 255 characters, got 256",
		"ask($1, 'k', '')":                    "prompt must not be empty",
		"ask($1, 'k', null)":                  "prompt must not be empty",
		"ask($1, 'k', repeat('p', 1048577))":  "prompt must be at most 1048576 bytes",
		"ask($1, 'k', 'p', '5')":              "schema must be a JSON object or a boolean",
		"ask($1, 'k', 'p', null, '0')":        "expires_in must be above 0",
		"ask($1, 'k', 'p', null, '366 days')": "at most 365 days",
		"ask($1, 'k', 'p', jsonb_build_object('title', repeat('t', 65536)))": "schema must be at most 65536 bytes",
		"answer($1, 'k', '1', repeat('n', 256))":                             "answered_by must be at most 255 characters",
	} {
		b.requireNoQuestion("TA422", problem, call, agent)
	}
	for range 100 {
		b.requireQuestion("PENDING", "ask($1, gen_random_uuid()::text, 'p')", agent)
	}
	b.requireNoQuestion("TA422", "has 100 open questions", "ask($1, 'k', 'p')", agent)
}

func TestListQuestions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []string
	for _, kind := range []string{"research", "review"} {
		agent := one[uuid.UUID](t, b.pool, "select agentexec.create_activity($1, metadata => jsonb_build_object('kind', $1::text))", kind)
		for _, key := range []string{"a", "b"} {
			b.requireQuestion("PENDING", "ask($1, $2, 'Go on?', expires_in => '1 h')", agent, key)
			want = append(want, kind+" "+key)
		}
	}
	list := func(args string) (found []string) {
		next := "null"
		for next != "" {
			page := one[string](t, b.pool, "select jsonb_build_object('items', coalesce((select jsonb_agg(i ->> 'agent_type' || ' ' || (i ->> 'key')) from jsonb_array_elements(l -> 'items') i), '[]'), 'next', coalesce(quote_literal(l ->> 'next'), ''))::text"+
				" from agentexec.list_questions("+args+"page_size => 1, after => "+next+") l")
			items := one[[]string](t, b.pool, "select array(select jsonb_array_elements_text($1::jsonb -> 'items'))", page)
			require.LessOrEqual(t, len(items), 1)
			found = append(found, items...)
			next = one[string](t, b.pool, "select $1::jsonb ->> 'next'", page)
		}
		return found
	}
	require.Equal(t, want, list(""))
	require.Equal(t, want[2:], list("agent_type => 'review', "))
	require.Equal(t, want[:2], list(`metadata_filter => '{"kind": "research"}', `))
	b.exec("update agentexec.question set expires_at = now() where key = 'a'")
	require.Equal(t, []string{want[1], want[3]}, list(""))
	require.Equal(t, want, list("null, "))
	_, err := b.pool.Exec(t.Context(), "select agentexec.list_questions(after => 'x')")
	require.Equal(t, "TA422", code(err))
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // nothing to keep
	_, err = tx.Exec(t.Context(), `set local agentexec.scope = '{"agent_types": ["review"]}'`)
	require.NoError(t, err)
	require.Equal(t, 1, one[int](t, tx, "select jsonb_array_length(agentexec.list_questions() -> 'items')"))
}

// A question that the end of an attempt withdrew is asked anew by the next attempt. One that its worker withdrew stays.
func TestQuestionOfTheNextAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	ask := func() string {
		return one[string](t, b.pool, `select q.state || ' ' || (q.closed_at is null) || ' ' || (q.schema ->> 'type') from agentexec.ask($1, 'k', 'Go on?', '{"type": "boolean"}') q`, agent)
	}
	open := func() int {
		return one[int](t, b.pool, "select open_questions from agentexec.activity where agent_id = $1", agent)
	}
	require.Equal(t, "PENDING true boolean", ask())
	b.exec("select agentexec.error($1)", agent)
	require.Zero(t, open())
	require.Equal(t, "WITHDRAWN false boolean", ask(), "the attempt is over")
	b.exec("select agentexec.append_log($1, 'again', status => 'RUNNING')", agent)
	require.Equal(t, "PENDING true boolean", ask())
	require.Equal(t, "PENDING true boolean", ask())
	require.Equal(t, 1, open())
	require.Equal(t, 2, one[int](t, b.pool, `select count(*) from agentexec.activity_log where data ->> 'question' = 'k'`), "each time it was asked is a line")
	b.exec("select agentexec.withdraw($1, 'k')", agent)
	require.Equal(t, "WITHDRAWN false boolean", ask(), "the worker withdrew it in this attempt")
	b.exec("select agentexec.error($1)", agent)
	b.exec("select agentexec.append_log($1, 'again', status => 'QUEUED')", agent)
	require.Equal(t, "PENDING true boolean", ask())
	b.exec("select agentexec.answer($1, 'k', 'true')", agent)
	b.exec("select agentexec.append_log($1, 'again', status => 'RUNNING')", agent)
	b.exec("select agentexec.error($1)", agent)
	b.exec("select agentexec.append_log($1, 'again', status => 'RUNNING')", agent)
	require.Equal(t, "ANSWERED false boolean", ask(), "an answer stays for every attempt")
}

// A question whose time is over is EXPIRED in every list, also before a sweep closes it.
func TestExpiredIsListedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agent := b.in("RUNNING")
	b.exec("select agentexec.ask($1, 'k', 'Go on?', expires_in => '1 ms')", agent)
	b.exec("select pg_sleep(0.01)")
	for state, want := range map[string]int{"PENDING": 0, "EXPIRED": 1, "ANSWERED": 0} {
		require.Equal(t, want, one[int](t, b.pool, "select jsonb_array_length(agentexec.list_questions(state => $1::text::agentexec.question_state) -> 'items')", state), state)
	}
}
