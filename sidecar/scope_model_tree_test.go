package sidecar_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/scopetest"
	"github.com/agentexec/agentexec/pkg/client"
)

// requireTree checks the place of an activity in its tree, its open questions and the counts of its children: those within a scope, as
// they are now or were at an earlier moment.
func (w *scopeWorld) requireTree(item client.ListItem, scope client.Scope, past []moment) {
	for _, m := range slices.Backward(past) {
		at := slices.IndexFunc(m.all, func(a scopetest.Activity) bool { return a.ID == item.AgentID })
		if at < 0 || !sameTree(item, m.all, m.all[at], scope) {
			continue
		}
		return
	}
	text, _ := json.Marshal(item)
	w.t.Fatalf("parent, root, questions or children as they never were in scope %s: %s", scope, text)
}

func sameTree(item client.ListItem, all []scopetest.Activity, a scopetest.Activity, scope client.Scope) bool {
	same := func(id *uuid.UUID, want uuid.UUID) bool {
		return scopetest.SameID(id, scopetest.Visible(all, want, scope))
	}
	children := scopetest.Children(all, a.ID, scope)
	return same(item.ParentAgentID, a.Parent) && same(item.RootAgentID, a.Root) && item.OpenQuestions == a.Open() &&
		(children == nil) == (item.Children == nil) && (children == nil || *children == *item.Children)
}

// placed adds a filter by the place in a tree to a query or to the filter of a live list.
func placed(p scopetest.Place, set func(name string, value any)) {
	if p.Parent != uuid.Nil {
		set("parent_agent_id", p.Parent)
	}
	if p.Root != uuid.Nil {
		set("root_agent_id", p.Root)
	}
	if p.RootsOnly {
		set("roots_only", true)
	}
	if p.Waiting != nil {
		set("waiting", *p.Waiting)
	}
}

// filtered adds the metadata and the type of a filter to a query. Without quotes, a number is also a text.
func (w *scopeWorld) filtered(filter client.Scope, q url.Values) {
	for key, value := range filter.Metadata {
		text, _ := json.Marshal(value)
		switch value {
		case 1.0, "1":
			if w.IntN(2) == 0 || value == 1.0 {
				filter.Metadata[key], text = client.NumberOrText("1"), []byte("1")
			}
		}
		q.Set("metadata."+key, string(text))
	}
	if filter.AgentTypes != nil {
		q.Set("agent_type", filter.AgentTypes[0])
	}
}

// questionsOf reads all pages of questions.
func (w *scopeWorld) questionsOf(h *holder) {
	filter := w.Filter()
	q := url.Values{"page_size": {strconv.Itoa(1 + w.IntN(9))}}
	w.filtered(filter, q)
	state := scopetest.Pick(w.World, "", "PENDING", "ANSWERED", "DECLINED", "WITHDRAWN", "ANY")
	q.Set("state", state)
	of := w.In(filter)
	if a, _ := w.any(); w.IntN(3) == 0 {
		q.Set("agent_id", a.ID.String())
		of = scopetest.Within(of, client.Scope{AgentIDs: []uuid.UUID{a.ID}})
	}
	if !h.Read {
		w.ask(h, "GET", "/v1/questions?"+q.Encode(), nil).problem(w.t, 403, "forbidden")
		return
	}
	wanted := client.QuestionState(state)
	switch state {
	case "":
		wanted = client.QuestionPending
	case "ANY":
		wanted = ""
	}
	ids, keys := scopetest.Asked(scopetest.Within(of, h.Scope), wanted)
	var gotIDs []uuid.UUID
	var gotKeys []string
	for {
		page := decode[client.QuestionList](w.t, w.ask(h, "GET", "/v1/questions?"+q.Encode(), nil))
		for _, item := range page.Items {
			gotIDs, gotKeys = append(gotIDs, item.AgentID), append(gotKeys, item.Key)
			require.True(w.t, wanted == "" || item.State == wanted)
		}
		if page.Next == nil {
			break
		}
		q.Set("after", *page.Next)
	}
	require.Equal(w.t, ids, gotIDs)
	require.Equal(w.t, keys, gotKeys)
}

func questionPath(id uuid.UUID, more string) string {
	return "/v1/activities/" + id.String() + "/questions" + more
}

// askFor asks a question of an activity.
func (w *scopeWorld) askFor(h *holder) {
	a, at := w.any()
	key := scopetest.Pick(w.World, "a", "b")
	answer := w.ask(h, "POST", questionPath(a.ID, ""), map[string]any{"key": key, "prompt": "a question of " + a.ID.String()})
	switch {
	case !h.Write:
		answer.problem(w.t, 403, "forbidden")
	case at == len(w.All) || !a.Within(h.Scope):
		w.requireUnknown(answer, a.ID)
	case a.Question(key) >= 0:
		require.Equal(w.t, a.Questions[a.Question(key)].State, decode[client.AskedQuestion](w.t, answer).State)
	case a.Status.IsFinished():
		answer.problem(w.t, 409, "TA409")
	default:
		require.Equal(w.t, client.QuestionPending, decode[client.AskedQuestion](w.t, answer).State)
		w.Ask(&w.All[at], key)
		w.All[at].LastSeq++
		w.written()
	}
}

// question reads one question.
func (w *scopeWorld) question(h *holder) {
	a, at := w.any()
	key := scopetest.Pick(w.World, "a", "b")
	answer := w.ask(h, "GET", questionPath(a.ID, "/"+key), nil)
	switch {
	case !h.Read:
		answer.problem(w.t, 403, "forbidden")
	case at == len(w.All) || !a.Within(h.Scope) || a.Question(key) < 0:
		w.requireNoQuestion(answer, a.ID, key)
	default:
		require.Equal(w.t, a.Questions[a.Question(key)].State, decode[client.AskedQuestion](w.t, answer).State)
	}
}

// requireNoQuestion checks the answer where there is no such question, or its activity lies outside.
func (w *scopeWorld) requireNoQuestion(answer refusal, id uuid.UUID, key string) {
	require.Equal(w.t, fmt.Sprintf("activity %s has no question with key %q", id, key), answer.problem(w.t, 404, "TA404"))
}

// closeQuestion answers, declines or withdraws a question.
func (w *scopeWorld) closeQuestion(h *holder) {
	a, at := w.any()
	if open := w.Place(); w.IntN(2) == 0 && open.Waiting != nil { // one that is open, more often
		if waiting := (scopetest.Place{Waiting: new(true)}).Of(w.All, w.All); len(waiting) > 0 {
			a = scopetest.Pick(w.World, waiting...)
			at = slices.IndexFunc(w.All, func(b scopetest.Activity) bool { return a.ID == b.ID })
		}
	}
	key, how := scopetest.Pick(w.World, "a", "b"), scopetest.Pick(w.World, "answer", "decline", "withdraw")
	state, may := client.QuestionAnswered, h.Answer
	body := map[string]any{}
	switch how {
	case "answer":
		body["answer"] = true
	case "decline":
		state = client.QuestionDeclined
	case "withdraw":
		state, may = client.QuestionWithdrawn, h.Write
	}
	answer := w.ask(h, "POST", questionPath(a.ID, "/"+key+"/"+how), body)
	question := a.Question(key)
	switch {
	case !may:
		require.Regexp(w.t, "^the token does not grant (answer|write)$", answer.problem(w.t, 403, "forbidden"))
	case at == len(w.All) || !a.Within(h.Scope):
		w.requireUnknown(answer, a.ID)
	case question < 0:
		w.requireNoQuestion(answer, a.ID, key)
	case a.Questions[question].State == client.QuestionPending:
		require.Equal(w.t, state, decode[client.AskedQuestion](w.t, answer).State)
		w.All[at].Close(question, state)
		w.All[at].LastSeq++
		w.written()
	case a.Questions[question].State == state:
		require.Equal(w.t, state, decode[client.AskedQuestion](w.t, answer).State)
	default:
		answer.problem(w.t, 409, "TA409")
	}
}

// prune deletes finished trees in a scope, as a client of the library does: in turns, after each of which a list may be read.
func (w *scopeWorld) prune() {
	if len(w.All) < 40 {
		return
	}
	scope := scopetest.Pick(w.World, w.Scope(), scopetest.Pick(w.World, w.holders...).Scope)
	before := w.All
	gone := w.Prune(scope)
	pool := w.s.db.Pool(w.t)
	c := client.New(pool).WithScope(scope)
	var got client.Pruned
	for {
		pruned, err := c.Prune(w.t.Context(), client.PruneParams{FinishedBefore: time.Now().Add(time.Hour), MaxRows: 5})
		require.NoError(w.t, err)
		if pruned == (client.Pruned{}) {
			break
		}
		got.Activities += pruned.Activities
		got.Lines += pruned.Lines
		left := ids(w.t, pool)
		w.past = append(w.past, moment{slices.DeleteFunc(slices.Clone(before), func(a scopetest.Activity) bool { return !slices.Contains(left, a.ID) }), maps.Clone(w.silent)})
	}
	lines := 0
	for _, a := range gone {
		lines += a.LastSeq
		delete(w.silent, a.ID)
	}
	require.Equal(w.t, client.Pruned{Activities: len(gone), Lines: lines}, got, "scope %s", scope)
	w.written()
}

// ids are those of all activities in the database.
func ids(t *testing.T, pool *pgxpool.Pool) []uuid.UUID {
	t.Helper()
	rows, err := pool.Query(t.Context(), "select agent_id from agentexec.activity")
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	return all
}
