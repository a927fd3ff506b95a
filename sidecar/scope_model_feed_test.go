package sidecar_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/scopetest"
	"github.com/agentexec/agentexec/pkg/client"
)

// watcher is a holder's socket, with a live list and some activities, and what it was told.
type watcher struct {
	so     *socket
	scopes []client.Scope // the one in force, and those that tokens were sent for and not answered yet

	filter   client.Scope
	statuses []client.Status
	stale    *bool
	place    scopetest.Place
	limit    int
	items    map[uuid.UUID]client.ListItem // nil before the snapshot
	counts   map[client.Status]int64
	moment   int // no earlier than that in the past are the counts

	lastSeq map[uuid.UUID]int // of each subscription; over once it was said not to exist
}

const over404 = -1

// watch opens the socket and waits for every subscription's first answer.
func (w *scopeWorld) watch(h *holder) {
	if !h.Read {
		_, r := w.s.shake(w.t, "/v1/feed", []string{"agentexec.v1"}, h.bearer()...)
		r.problem(w.t, 403, "forbidden")
		return
	}
	v := &watcher{
		so: w.s.dialWith(w.t, "/v1/feed", h.token), scopes: []client.Scope{h.Scope},
		filter: w.Filter(), statuses: w.Statuses(), stale: w.someStale(), place: w.Place(), limit: scopetest.Pick(w.World, 3, 50), lastSeq: make(map[uuid.UUID]int),
	}
	h.watcher = v
	require.Equal(w.t, "welcome", v.so.next(w.t).Type)
	list := map[string]any{"limit": v.limit, "statuses": v.statuses, "stale": v.stale, "metadata": v.filter.Metadata}
	if v.filter.AgentTypes != nil {
		list["agent_type"] = v.filter.AgentTypes[0]
	}
	placed(v.place, func(name string, value any) { list[name] = value })
	v.send(w, map[string]any{"type": "subscribe", "sub": "list", "list": list})
	// Of few, so that one that is outside is watched by another client.
	for range 5 {
		a := w.All[w.IntN(10)]
		if _, ok := v.lastSeq[a.ID]; !ok {
			v.lastSeq[a.ID] = 0
			v.so.subscribe(w.t, a.ID, 0)
		}
	}
	for v.items == nil || slices.Contains(slices.Collect(maps.Values(v.lastSeq)), 0) {
		w.take(v)
	}
}

func (v *watcher) send(w *scopeWorld, message any) {
	text, err := json.Marshal(message)
	require.NoError(w.t, err)
	v.so.send(w.t, string(text))
}

// renew gives a holder a token of another scope, and sends it to the open socket.
func (w *scopeWorld) renew(h *holder) {
	w.grant(h, h.Read)
	if v := h.watcher; v != nil {
		v.scopes = append(v.scopes, h.Scope)
		v.send(w, map[string]any{"type": "auth", "token": h.token})
	}
}

// take reads one frame, and looks for what does not belong to the scope in force.
func (w *scopeWorld) take(v *watcher) {
	m, scope := v.so.next(w.t), v.scopes[0]
	require.NotContains(w.t, m.raw, "metadata")
	switch m.Type {
	case "auth":
		if v.scopes = v.scopes[1:]; v.scopes[0].String() != scope.String() {
			v.items, v.moment = nil, 0 // another list, which begins with a snapshot
		}
		return
	case "error":
		require.Equal(w.t, "not_found", m.Code, m.raw)
		id := uuid.MustParse(m.sub())
		a, ok := w.find(id)
		require.False(w.t, ok && a.Within(scope), m.raw)
		v.lastSeq[id] = over404
		return
	}
	w.requireWithin(scope, m.raw)
	if m.sub() == "list" {
		w.takeList(v, m)
		return
	}
	id := uuid.MustParse(m.sub())
	seq, ok := v.lastSeq[id]
	require.True(w.t, ok && seq != over404, m.raw)
	if m.Type == "gap" {
		require.Equal(w.t, "pruned", m.Reason, m.raw)
		seq = m.NextSeq - 1
	}
	if m.Type == "snapshot" {
		w.requireTree(decode[struct{ Activity client.ListItem }](w.t, refusal{status: 200, body: m.raw}).Activity, scope, w.past)
	}
	for _, l := range m.Logs {
		seq++
		require.Equal(w.t, seq, l.Seq, m.raw)
	}
	v.lastSeq[id] = seq
}

func (w *scopeWorld) takeList(v *watcher, m message) {
	if m.Type == "snapshot" {
		v.items = make(map[uuid.UUID]client.ListItem)
	}
	require.NotNil(w.t, v.items, m.raw)
	for _, id := range m.Removed {
		delete(v.items, id)
	}
	for _, item := range m.Items {
		a, ok := w.find(item.AgentID)
		require.True(w.t, ok && a.Within(v.filter) || slices.Contains(w.Gone, item.AgentID), m.raw)
		w.requireTree(item, v.scopes[0], w.past)
		require.True(w.t, v.place.Waiting == nil || *v.place.Waiting == (item.OpenQuestions > 0), m.raw)
		require.True(w.t, !v.place.RootsOnly || item.ParentAgentID == nil, m.raw)
		require.True(w.t, v.statuses == nil || slices.Contains(v.statuses, item.Status), m.raw)
		require.True(w.t, v.stale == nil || *v.stale == item.Stale, m.raw)
		v.items[item.AgentID] = item
	}
	v.counts = make(map[client.Status]int64)
	for status, n := range m.Counts {
		v.counts[client.Status(status)] = int64(n)
	}
	for v.moment < len(w.past) && !maps.Equal(v.counts, w.counts(v, w.past[v.moment])) {
		v.moment++
	}
	require.Less(w.t, v.moment, len(w.past), "counts that never were, of scope %s and filter %s: %s", v.scopes[0], v.filter, m.raw)
}

// counts are what a watcher's list should have counted at a moment.
func (w *scopeWorld) counts(v *watcher, m moment) map[client.Status]int64 {
	return m.counts(v.place.Of(scopetest.Within(m.all, v.scopes[0], v.filter), scopetest.Within(m.all, v.scopes[0], client.Scope{})))
}

// catchUp reads until a watcher has received all that it should.
func (w *scopeWorld) catchUp(v *watcher) {
	for !w.caughtUp(v) {
		w.take(v)
	}
}

func (w *scopeWorld) caughtUp(v *watcher) bool {
	if len(v.scopes) > 1 || !maps.Equal(v.counts, w.counts(v, w.now())) {
		return false
	}
	want := w.now().stales(scopetest.Of(v.place.Of(w.In(v.scopes[0], v.filter), w.In(v.scopes[0], client.Scope{})), v.statuses), v.stale)
	want = want[:min(len(want), v.limit)]
	if len(want) != len(v.items) || slices.ContainsFunc(want, func(a scopetest.Activity) bool {
		item, ok := v.items[a.ID]
		return !ok || item.LastSeq != a.LastSeq || item.Status != a.Status || item.Stale != w.silent[a.ID] ||
			!sameTree(item, w.All, a, v.scopes[0])
	}) {
		return false
	}
	for id, seq := range v.lastSeq {
		if a, ok := w.find(id); seq != over404 && (!ok || seq != a.LastSeq || !a.Within(v.scopes[0])) {
			return false
		}
	}
	return true
}

// follow asks for one activity at its own URL, as a WebSocket and as an event stream.
func (w *scopeWorld) follow(h *holder) {
	a, at := w.any()
	path := "/v1/feed/" + a.ID.String()
	if !h.Read || at == len(w.All) || !a.Within(h.Scope) {
		_, socket := w.s.shake(w.t, path, []string{"agentexec.v1"}, h.bearer()...)
		stream := w.s.get(w.t, path, append(h.bearer(), "Accept", "text/event-stream")...)
		for _, answer := range []refusal{socket, stream} {
			if !h.Read {
				answer.problem(w.t, 403, "forbidden")
			} else {
				w.requireUnknown(answer, a.ID)
			}
		}
		return
	}
	after := w.IntN(a.LastSeq + 1)
	path += "?after_seq=" + strconv.Itoa(after)
	so := w.s.dialWith(w.t, path, h.token)
	stream := w.s.events(w.t, path+"&ticket="+w.s.ticket(w.t, h.token))
	for _, next := range []func() (message, error){
		so.read,
		func() (message, error) { e, err := stream.next(); return e.message, err },
	} {
		m, err := next()
		require.NoError(w.t, err)
		require.Equal(w.t, "snapshot", m.Type, m.raw)
		w.requireWithin(h.Scope, m.raw)
		for seq := after; seq < a.LastSeq; {
			m, err = next()
			require.NoError(w.t, err)
			require.NotContains(w.t, m.raw, "metadata")
			w.requireWithin(h.Scope, m.raw)
			for _, l := range m.Logs {
				seq++
				require.Equal(w.t, seq, l.Seq, m.raw)
			}
		}
	}
	stream.cancel()
	require.NoError(w.t, so.ws.Close())
}
