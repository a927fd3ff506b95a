package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// ask asks the question with the key deploy.
func (b *apiBundle) ask(t testing.TB, id uuid.UUID) {
	t.Helper()
	_, err := b.client.Ask(t.Context(), id, client.Question{Key: "deploy", Prompt: "Deploy?"})
	require.NoError(t, err)
}

func TestAPIQuestion(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	id := b.run(t)
	body := `{"key":"how many","prompt":"How many?","schema":{"type":"object","required":["n"],"properties":{"n":{"type":"integer","minimum":1}}},"expires_in":"30m"}`
	asked := decoded[client.AskedQuestion](t, b.post(t, path(id)+"/questions", body, 201).text)
	require.Equal(t, client.QuestionPending, asked.State)
	require.InDelta(t, 30*60, asked.ExpiresAt.Sub(asked.AskedAt).Seconds(), 1)
	require.Equal(t, 1, b.detail(t, id).OpenQuestions)
	require.Equal(t, asked, decoded[client.AskedQuestion](t, b.post(t, path(id)+"/questions", body, 201).text), "asked again")

	// It is in the list, and the activity in the list of those that wait.
	list := decoded[client.QuestionList](t, b.get(t, questionsPath+"?agent_id="+id.String(), 200).text)
	require.Len(t, list.Items, 1)
	require.Equal(t, "research", list.Items[0].AgentType)
	require.Contains(t, b.get(t, "/v1/activities?waiting=true", 200).text, id.String())
	require.NotContains(t, b.get(t, "/v1/activities?waiting=false", 200).text, id.String())
	require.Contains(t, b.get(t, "/v1/activities?stopping=false", 200).text, id.String())
	require.NotContains(t, b.get(t, "/v1/activities?stopping=true", 200).text, id.String())
	b.get(t, "/v1/activities?stopping=perhaps", 422)

	at := path(id) + "/questions/how%20many"
	for answer, fault := range map[string]string{
		`{"n":0}`: "answer.n must be at least 1", `{}`: "answer.n is required", `"x"`: "answer must be of type object", `{"n":1.5}`: "answer.n must be of type integer",
	} {
		require.Contains(t, b.post(t, at+"/answer", `{"answer":`+answer+`}`, 422).problem(t, 422, "TA422"), fault)
	}
	b.post(t, at+"/answer", `{}`, 422)
	closed := decoded[client.AskedQuestion](t, b.post(t, at+"/answer", `{"answer":{"n":2}}`, 200).text)
	require.Equal(t, client.QuestionAnswered, closed.State)
	require.Equal(t, "ada", *closed.AnsweredBy)
	require.JSONEq(t, `{"n":2}`, string(closed.Answer))
	require.Equal(t, closed, decoded[client.AskedQuestion](t, b.post(t, at+"/answer", `{"answer":{"n":2}}`, 200).text), "the same answer again")
	require.Contains(t, b.post(t, at+"/answer", `{"answer":{"n":3}}`, 409).problem(t, 409, "TA409"), "ANSWERED by ada")
	b.post(t, at+"/decline", "", 409)
	b.post(t, at+"/withdraw", "", 409)
	b.post(t, path(id)+"/questions", `{"key":"how many","prompt":"How few?"}`, 409)
	require.Equal(t, closed, decoded[client.AskedQuestion](t, b.get(t, at, 200).text))
	require.Equal(t, 0, b.detail(t, id).OpenQuestions)
	require.Contains(t, b.get(t, questionsPath+"?state=answered", 200).text, id.String())
	require.NotContains(t, b.get(t, questionsPath, 200).text, id.String())

	// null is an answer where the schema allows it.
	b.post(t, path(id)+"/questions", `{"key":"deadline","prompt":"Until when?","schema":{"type":["string","null"]}}`, 201)
	none := decoded[client.AskedQuestion](t, b.post(t, path(id)+"/questions/deadline/answer", `{"answer":null}`, 200).text)
	require.Equal(t, client.QuestionAnswered, none.State)
	require.JSONEq(t, "null", string(none.Answer))

	// Declined, withdrawn and ended are states of their own.
	for state, end := range map[string]func(){
		"DECLINED": func() { b.post(t, path(id)+"/questions/DECLINED/decline", "", 200) }, "WITHDRAWN": func() { b.post(t, path(id)+"/questions/WITHDRAWN/withdraw", "{}", 200) },
	} {
		b.post(t, path(id)+"/questions", `{"key":"`+state+`","prompt":"Go on?"}`, 201)
		end()
		require.Equal(t, client.QuestionState(state), decoded[client.AskedQuestion](t, b.get(t, path(id)+"/questions/"+state, 200).text).State)
	}
	b.ask(t, id)
	b.post(t, path(id)+"/complete", "", 200)
	require.Contains(t, b.post(t, path(id)+"/questions/deploy/answer", `{"answer":true}`, 409).problem(t, 409, "TA409"), "WITHDRAWN")
	b.post(t, path(id)+"/questions", `{"key":"late","prompt":"Late?"}`, 409)

	// Malformed requests.
	id = b.run(t)
	for _, body := range []string{
		`{"prompt":"x"}`, `{"key":"","prompt":"x"}`, `{"key":"` + strings.Repeat("k", 256) + `","prompt":"x"}`, `{"key":"k","prompt":""}`,
		`{"key":"k","prompt":"x","schema":7}`, `{"key":"k","prompt":"x","schema":{"type":"text"}}`, `{"key":"k","prompt":"x","expires_in":"0s"}`,
		`{"key":"k","prompt":"x","expires_in":"9000h"}`,
	} {
		b.post(t, path(id)+"/questions", body, 422)
	}
	b.get(t, path(id)+"/questions/k", 404)
	b.get(t, questionsPath+"?state=open", 422)
	require.Contains(t, b.get(t, path(id)+"/questions/k?wait=56s", 422).text, "a duration of at most 55s such as 30s")
}

// TestAPIQuestionLongPoll: a read that waits is answered when the question is closed, by whichever way, and at the end of its
// time. It holds no connection to the database meanwhile.
func TestAPIQuestionLongPoll(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	for name, end := range map[string]func(id uuid.UUID) error{
		"sidecar": func(id uuid.UUID) error {
			_, err := b.try(t.Context(), "POST", path(id)+"/questions/deploy/answer", `{"answer":7}`)
			return err
		},
		"SQL": func(id uuid.UUID) error { _, err := b.client.Answer(t.Context(), id, "deploy", 7, "bob"); return err },
	} {
		id := b.run(t)
		b.ask(t, id)
		type result struct {
			reply
			err error
		}
		const waiters = 40 // more than there are connections
		answers := make(chan result, waiters)
		for range waiters {
			go func() {
				r, err := b.try(t.Context(), "GET", path(id)+"/questions/deploy?wait=55s", "")
				answers <- result{r, err}
			}()
		}
		require.Eventually(t, func() bool { return len(answers) == 0 && b.get(t, path(id), 200).status == 200 }, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, end(id), name)
		for range waiters {
			select {
			case r := <-answers:
				require.NoError(t, r.err, name)
				require.Equal(t, 200, r.status, r.text)
				require.Equal(t, client.QuestionAnswered, decoded[client.AskedQuestion](t, r.text).State, name)
			case <-time.After(40 * time.Second):
				t.Fatalf("%s: a waiting read has no answer", name)
			}
		}
	}
	id := b.run(t)
	b.ask(t, id)
	require.Contains(t, b.get(t, path(id)+"/questions/deploy?wait=10ms", 200).text, `"state":"PENDING"`)
}

// TestAPITree: children by every parameter, and a cancel of the whole tree.
func TestAPITree(t *testing.T) {
	t.Parallel()
	b := serveGuardedAPI(t)
	root := b.run(t)
	create := func(parent uuid.UUID) uuid.UUID {
		return decoded[created](t, b.post(t, "/v1/activities", fmt.Sprintf(`{"task_name":"part","parent_agent_id":"%s"}`, parent), 201).text).AgentID
	}
	child := create(root)
	leaf := create(child)
	alone := b.create(t)
	for query, want := range map[string][]uuid.UUID{
		"parent_agent_id=" + root.String(): {child}, "root_agent_id=" + root.String(): {root, child, leaf}, "roots_only=true": {root, alone},
		"parent_agent_id=" + alone.String(): nil, "roots_only=false": {root, child, leaf, alone},
	} {
		var got []uuid.UUID
		for _, item := range decoded[client.List](t, b.get(t, "/v1/activities?"+query, 200).text).Items {
			got = append(got, item.AgentID)
		}
		require.ElementsMatch(t, want, got, query)
	}
	require.Equal(t, client.Children{Total: 1, Queued: 1}, *b.detail(t, root).Children)
	require.Equal(t, root, *b.detail(t, leaf).RootAgentID)
	b.get(t, "/v1/activities?parent_agent_id=x", 422)
	b.post(t, "/v1/activities", fmt.Sprintf(`{"task_name":"part","parent_agent_id":"%s"}`, uuid.New()), 404).problem(t, 404, "TA404")

	deepest := leaf
	for range 30 {
		deepest = create(deepest)
	}
	b.post(t, "/v1/activities", fmt.Sprintf(`{"task_name":"part","parent_agent_id":"%s"}`, deepest), 422).problem(t, 422, "TA422")

	b.post(t, path(root)+"/cancel", `{"tree":true}`, 200)
	require.Equal(t, client.StatusCanceled, b.detail(t, deepest).Status)
	require.Equal(t, client.StatusQueued, b.detail(t, alone).Status)
	require.NotNil(t, b.detail(t, root).Cancel)
}
