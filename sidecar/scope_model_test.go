package sidecar_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/scopetest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// TestScopeModel compares every way through HTTP and the feed with the model of scopes, while activities change. No
// caller reads, counts or changes an activity outside the scope of its token. A verb that was not granted is denied
// alike whether the activity exists or not. The test of the same name in pkg/client compares SQL with the same model.
//
// A run is its seed's: to see one again, put the seed into the list.
func TestScopeModel(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			t.Parallel()
			w := &scopeWorld{World: scopetest.NewWorld(seed), t: t, silent: make(map[uuid.UUID]bool), asked: make(map[uuid.UUID]int)}
			w.s = setup(t, withTokens, func(c *sidecar.Config) {
				c.Limits.RequestsPerSecond, c.Feed.ListRefresh = -1, time.Second // a prune writes no line
			})
			w.run()
		})
	}
}

// scopeWorld is the model, the service that is compared with it, and the holders of tokens for it.
type scopeWorld struct {
	*scopetest.World
	t       *testing.T
	s       *service
	holders []*holder
	past    []moment // the state after each write
	// silent are the activities that are stale while they are RUNNING: no worker can keep their promise.
	silent map[uuid.UUID]bool
	// asked is the line that requested the cancel of an activity: no retry follows.
	asked map[uuid.UUID]int
}

// holder is a client with a token.
type holder struct {
	auth.Grant
	token   string
	watcher *watcher // nil: may not read
}

func (w *scopeWorld) run() {
	for range 30 {
		w.add()
	}
	for n := range 6 {
		h := &holder{}
		h.Subject = strconv.Itoa(n)
		w.grant(h, w.IntN(5) > 0)
		w.holders = append(w.holders, h)
		w.watch(h)
	}
	for range 160 {
		h := scopetest.Pick(w.World, w.holders...)
		switch w.IntN(19) {
		case 0:
			w.renew(h)
		case 1:
			w.create(h)
		case 2:
			w.cancelPending(h)
		case 3, 4:
			w.line(h)
		case 5:
			w.list(h)
		case 6:
			w.stats(h)
		case 7, 8:
			w.detail(h)
		case 9:
			w.follow(h)
		case 10:
			w.add()
		case 11:
			w.silence()
		case 12:
			w.questionsOf(h)
		case 13, 14:
			w.askFor(h)
		case 15:
			w.question(h)
		case 16, 17:
			w.closeQuestion(h)
		case 18:
			w.prune()
		default:
			w.move()
		}
	}
	for _, h := range w.holders {
		if h.watcher != nil {
			w.catchUp(h.watcher)
		}
	}
}

// grant gives a holder a new token, of another scope.
func (w *scopeWorld) grant(h *holder, read bool) {
	may := func() bool { return w.IntN(4) > 0 }
	h.Grant = auth.Grant{Subject: h.Subject, Read: read, Write: may(), Cancel: may(), Answer: may(), IncludeMetadata: may(), Scope: w.Scope()}
	h.token = token(w.t, h.Grant)
}

func (h *holder) bearer() []string { return []string{"Authorization", "Bearer " + h.token} }

// lineOf is the message of a line: wherever it leaks to, it tells what of.
func lineOf(id uuid.UUID) string { return "a line of " + id.String() }

// add creates an activity, and move writes to one, as a client without a scope.
func (w *scopeWorld) add() {
	a := w.Fresh(client.Scope{})
	opts := []client.CreateOption{client.WithAgentID(a.ID), client.WithMetadata(a.Metadata)}
	if len(w.All) > 0 && w.IntN(2) == 0 {
		parent := scopetest.Pick(w.World, w.All...)
		opts = append(opts, client.WithParent(parent.ID))
		a.PutBelow(parent)
	}
	_, err := w.s.c.Create(w.t.Context(), a.Type, lineOf(a.ID), opts...)
	require.NoError(w.t, err)
	w.All = append(w.All, a)
	w.written()
}

func (w *scopeWorld) move() {
	a := &w.All[w.IntN(len(w.All))]
	if next := scopetest.Pick(w.World, client.Statuses()...); w.mayBecome(*a, next) {
		a.Become(next)
	}
	a.LastSeq++
	_, err := w.s.c.Update(w.t.Context(), a.ID, lineOf(a.ID), client.WithStatus(a.Status))
	require.NoError(w.t, err)
	w.written()
}

// ask sends a request of a holder; what is answered, other than a problem, must lie in the scope.
func (w *scopeWorld) ask(h *holder, method, path string, body any) refusal {
	var sent bytes.Buffer
	require.NoError(w.t, json.NewEncoder(&sent).Encode(body))
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.s.url+path, &sent)
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	answer := refused(w.t, resp)
	if answer.status < 300 {
		w.requireWithin(h.Scope, answer.body)
	}
	return answer
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// requireWithin looks for everything in a text that is the agent_id of an activity.
func (w *scopeWorld) requireWithin(scope client.Scope, text string) {
	for _, id := range uuids.FindAllString(text, -1) {
		if a, ok := w.find(uuid.MustParse(id)); ok {
			require.True(w.t, a.Within(scope), "outside the scope %s: %s", scope, text)
		}
	}
}

func (w *scopeWorld) find(id uuid.UUID) (scopetest.Activity, bool) {
	at := slices.IndexFunc(w.All, func(a scopetest.Activity) bool { return a.ID == id })
	if at < 0 {
		return scopetest.Activity{}, false
	}
	return w.All[at], true
}

// any is one of all activities, or now and then one that does not exist: then at is len(All).
func (w *scopeWorld) any() (a scopetest.Activity, at int) {
	if at = w.IntN(len(w.All) + 3); at < len(w.All) {
		return w.All[at], at
	}
	if len(w.Gone) > 0 && w.IntN(2) == 0 {
		return scopetest.Activity{ID: scopetest.Pick(w.World, w.Gone...)}, len(w.All)
	}
	return scopetest.Activity{ID: w.ID()}, len(w.All)
}

// requireUnknown checks the answer for what is not there, or lies outside.
func (w *scopeWorld) requireUnknown(answer refusal, id uuid.UUID) {
	require.Equal(w.t, "no activity with agent_id "+id.String(), answer.problem(w.t, 404, "TA404"))
}

// line writes to an activity, or cancels it.
func (w *scopeWorld) line(h *holder) {
	a, at := w.any()
	body := map[string]any{"message": lineOf(a.ID)}
	path, next, may := "logs", a.Status, h.Write
	switch w.IntN(5) {
	case 0:
		path, next = "complete", client.StatusComplete
	case 1:
		path, next = "error", client.StatusError
	case 2:
		path, may = "cancel", h.Cancel
		if next = client.StatusCanceled; w.IntN(2) == 0 {
			body["force"] = true
		} else if body["grace"] = "24h"; a.Status == client.StatusRunning {
			next = client.StatusRunning // a request
		}
	case 3:
		next = scopetest.Pick(w.World, client.Statuses()...)
		body["status"], may = next, h.Write && (next != client.StatusCanceled || h.Cancel)
	}
	answer := w.ask(h, "POST", "/v1/activities/"+a.ID.String()+"/"+path, body)
	switch {
	case !may:
		require.Regexp(w.t, "^the token does not grant (write|cancel)$", answer.problem(w.t, 403, "forbidden"))
	case at == len(w.All) || !a.Within(h.Scope):
		w.requireUnknown(answer, a.ID)
	case !w.mayBecome(a, next):
		answer.problem(w.t, 409, "TA409")
	case path == "cancel" && next == client.StatusRunning && w.asked[a.ID] != 0:
		require.Equal(w.t, w.asked[a.ID], decode[client.Log](w.t, answer).Seq, "there is no second request")
	default:
		line := decode[client.Log](w.t, answer)
		require.Equal(w.t, a.LastSeq+1, line.Seq)
		require.Equal(w.t, next, line.Status)
		if path == "cancel" && w.asked[a.ID] == 0 && a.Status != client.StatusCanceled {
			w.asked[a.ID] = line.Seq
		}
		require.Equal(w.t, w.asked[a.ID] != 0, line.CancelRequested)
		w.All[at].LastSeq = line.Seq
		w.All[at].Become(next)
		w.written()
	}
}

// create makes an activity; of an id that is named, or not.
func (w *scopeWorld) create(h *holder) {
	a, named := w.Fresh(h.Scope), w.IntN(3) > 0
	body := map[string]any{"task_name": a.Type, "message": "a first line"}
	if named {
		body["agent_id"] = a.ID
	}
	if a.Metadata != nil {
		body["metadata"] = a.Metadata
	}
	parent, below := w.any()
	child := w.IntN(2) == 0
	if child {
		body["parent_agent_id"] = parent.ID
	}
	answer := w.ask(h, "POST", "/v1/activities", body)
	switch visible := below < len(w.All) && parent.Within(h.Scope); {
	case child && h.Write && !visible:
		require.Equal(w.t, fmt.Sprintf("no activity with agent_id %s to be the parent", parent.ID), answer.problem(w.t, 404, "TA404"))
		return
	case child && visible:
		a.PutBelow(parent)
	}
	switch {
	case !h.Write, !named && h.Scope.AgentIDs != nil, !a.Within(h.Scope):
		answer.problem(w.t, 403, "forbidden")
	case named && w.Taken(a.ID):
		answer.problem(w.t, 409, "23505")
	default:
		made := decode[client.ListItem](w.t, answer).AgentID
		require.True(w.t, !named || made == a.ID)
		a.ID = made
		w.All = append(w.All, a)
		w.written()
	}
}

func (w *scopeWorld) cancelPending(h *holder) {
	filter, body := w.Filter(), map[string]any{}
	if filter.Metadata != nil {
		body["metadata_filter"] = filter.Metadata
	}
	if filter.AgentTypes != nil {
		body["agent_type"] = filter.AgentTypes[0]
	}
	if len(filter.Metadata) == 0 && filter.AgentTypes == nil {
		body["all"] = true
	}
	answer := w.ask(h, "POST", "/v1/activities/cancel-pending", body)
	if !h.Cancel {
		answer.problem(w.t, 403, "forbidden")
		return
	}
	canceled := scopetest.IDs(scopetest.Pending(w.In(h.Scope, filter)))
	require.Equal(w.t, len(canceled), decode[struct{ Canceled int }](w.t, answer).Canceled)
	for i := range w.All {
		if a := &w.All[i]; slices.Contains(canceled, a.ID) {
			a.Become(client.StatusCanceled)
			a.LastSeq++
			if w.asked[a.ID] == 0 {
				w.asked[a.ID] = a.LastSeq
			}
		}
	}
	w.written()
}

// list reads all pages, by number and by key.
func (w *scopeWorld) list(h *holder) {
	filter, statuses := w.Filter(), w.Statuses()
	q := url.Values{"page_size": {strconv.Itoa(1 + w.IntN(9))}}
	w.filtered(filter, q)
	place := w.Place()
	placed(place, func(name string, value any) { q.Set(name, fmt.Sprint(value)) })
	for _, s := range statuses {
		q.Add("status", string(s))
	}
	stale := w.someStale()
	if stale != nil {
		q.Set("stale", strconv.FormatBool(*stale))
	}
	withMetadata := w.IntN(2) == 0
	if withMetadata {
		q.Set("include_metadata", "true")
	}
	if !h.Read || withMetadata && !h.IncludeMetadata {
		w.ask(h, "GET", "/v1/activities?"+q.Encode(), nil).problem(w.t, 403, "forbidden")
		return
	}
	want := w.now().stales(scopetest.Of(place.Of(w.In(h.Scope, filter), w.In(h.Scope, client.Scope{})), statuses), stale)
	for _, after := range []string{"", "2.99999999999999999.ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		got, more := []uuid.UUID{}, true
		for page := 1; more; page++ {
			q.Set("page", strconv.Itoa(page))
			q.Set("after", after)
			list := decode[client.List](w.t, w.ask(h, "GET", "/v1/activities?"+q.Encode(), nil))
			for _, item := range list.Items {
				got = append(got, item.AgentID)
				w.requireMetadata(item.AgentID, item.Metadata, withMetadata)
				require.Equal(w.t, w.silent[item.AgentID], item.Stale)
				w.requireTree(item, h.Scope, []moment{w.now()})
			}
			if after == "" {
				require.Equal(w.t, len(want), *list.Total)
				more = page < *list.Pages
				continue
			}
			if more = list.Next != nil; more {
				after = *list.Next
			}
		}
		require.Equal(w.t, scopetest.IDs(want), got)
	}
}

func (w *scopeWorld) requireMetadata(id uuid.UUID, got json.RawMessage, asked bool) {
	a, ok := w.find(id)
	require.True(w.t, ok)
	if !asked {
		require.Nil(w.t, got)
		return
	}
	want, err := json.Marshal(a.Metadata)
	require.NoError(w.t, err)
	require.JSONEq(w.t, string(want), string(got))
}

func (w *scopeWorld) stats(h *holder) {
	answer := w.ask(h, "GET", "/v1/stats", nil)
	if !h.Read {
		answer.problem(w.t, 403, "forbidden")
		return
	}
	stats := decode[struct {
		Counts map[client.Status]int64
		Active int
	}](w.t, answer)
	require.Equal(w.t, w.now().counts(w.In(h.Scope)), stats.Counts)
	require.Len(w.t, scopetest.Pending(w.In(h.Scope)), stats.Active)
}

func (w *scopeWorld) detail(h *holder) {
	a, at := w.any()
	path, withMetadata := "/v1/activities/"+a.ID.String(), w.IntN(2) == 0
	if withMetadata {
		path += "?include_metadata=true"
	}
	answer := w.ask(h, "GET", path, nil)
	switch {
	case !h.Read, withMetadata && !h.IncludeMetadata:
		answer.problem(w.t, 403, "forbidden")
	case at == len(w.All) || !a.Within(h.Scope):
		w.requireUnknown(answer, a.ID)
	default:
		detail := decode[client.Detail](w.t, answer)
		require.Equal(w.t, a.ID, detail.AgentID)
		require.Equal(w.t, a.Status, detail.Status)
		require.Equal(w.t, w.silent[a.ID], detail.Stale)
		require.Len(w.t, detail.Logs, a.LastSeq)
		w.requireTree(decode[client.ListItem](w.t, answer), h.Scope, []moment{w.now()})
		w.requireMetadata(a.ID, detail.Metadata, withMetadata)
	}
}

// decode reads an answer that is no problem.
func decode[T any](t *testing.T, answer refusal) (v T) {
	t.Helper()
	require.Less(t, answer.status, 300, answer.body)
	require.NoError(t, json.Unmarshal([]byte(answer.body), &v), answer.body)
	return v
}
