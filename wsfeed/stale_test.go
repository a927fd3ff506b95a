package wsfeed

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestStateFrames: a subscription gets each change of stale once, in a state frame or with a line.
func TestStateFrames(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	p := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-2", p.frames())
	src.lookStale(hub)
	require.Empty(t, p.frames())

	src.setStale(id, true)
	src.lookStale(hub)
	require.Equal(t, "state:true@2", p.frames())
	src.lookStale(hub)
	require.Empty(t, p.frames())
	require.Equal(t, "snapshot logs:1-2", follow(t, hub, id, 0).frames(), "the snapshot has it")

	src.setStale(id, false)
	src.lookStale(hub)
	require.Equal(t, "state:false@2", p.frames())

	src.setStale(id, true)
	src.lookStale(hub)
	hub.Publish(id, src.append(id, 1))
	require.Equal(t, "logs:3", p.frames(), "the line says it all")
	src.lookStale(hub)
	require.Empty(t, p.frames())

	src.setStale(id, true)
	src.lookStale(hub)
	require.Equal(t, "state:true@3", p.frames())
	hub.Publish(id, src.write(id, 1, "CANCELED", "forced"))
	require.Equal(t, "logs:4 end:CANCELED@4", p.frames())
}

// TestEveryReadAnnouncesAChangeOfStale: all subscribers get a change that another subscriber's snapshot or a new session of
// the tail finds.
func TestEveryReadAnnouncesAChangeOfStale(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	p := follow(t, hub, id, 2)
	var woken atomic.Int64
	s := hub.joinTopic(id, "", 2, sinkFunc(func() { woken.Add(1) }))
	t.Cleanup(s.leave)
	for range 2 { // the snapshot, and nothing
		_, err := s.next(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, "snapshot", p.frames())
	for _, read := range []func(){
		func() { src.confirm(hub, id) },
		func() {
			hub.topic(id).snapshotAt = time.Time{}
			follow(t, hub, id, 2).frames()
		},
	} {
		src.setStale(id, !src.stale()[id])
		before := woken.Load()
		read()
		require.Eventually(t, func() bool { return woken.Load() > before }, patience, time.Millisecond)
		require.Equal(t, fmt.Sprintf("state:%t@2", src.stale()[id]), p.frames())
	}
}

// TestOldSnapshotsServeWithoutTheDatabase: a new subscriber of a watched activity gets the old snapshot.
func TestOldSnapshotsServeWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	require.Equal(t, "snapshot", follow(t, hub, id, 2).frames())
	hub.topic(id).snapshotAt = time.Time{}
	src.setDown(true)
	require.Equal(t, "snapshot", follow(t, hub, id, 2).frames())
	src.remove(id)
	src.setDown(false)
	require.Equal(t, "error: subscription is over", follow(t, hub, id, 2).frames())
}

// TestStateWaitsForItsLines: a state that is ahead of the lines is sent after them.
func TestStateWaitsForItsLines(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	id := src.create(2)
	p := follow(t, hub, id, 0)
	require.Equal(t, "snapshot logs:1-2", p.frames())
	b := src.append(id, 1)
	src.setStale(id, true)
	src.lookStale(hub)
	require.Empty(t, p.frames())
	hub.Publish(id, b)
	require.Equal(t, "logs:3", p.frames())
	src.lookStale(hub)
	require.Equal(t, "state:true@3", p.frames())
}

// TestSnapshotsOfARunningActivityAreRecent: heartbeats change last_seen_at without a line, so a new subscriber gets no
// old snapshot.
func TestSnapshotsOfARunningActivityAreRecent(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	running, done := src.create(2), src.create(1)
	src.write(done, 1, "COMPLETE", "end")
	for _, id := range []uuid.UUID{running, done} {
		follow(t, hub, id, 2).frames()
		topic := hub.topic(id)
		topic.mu.Lock()
		topic.snapshotAt = topic.snapshotAt.Add(-2 * snapshotLife)
		topic.mu.Unlock()
		follow(t, hub, id, 2).frames()
	}
	require.Equal(t, 3, src.calls("Snapshot"))
}

// TestIsStale: only the top-level key of the state counts.
func TestIsStale(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"stale": true, "cancel": null, "status": "RUNNING"}`:                                     true,
		`{"stale": false, "cancel": {"requested_by": {"stale": true}}, "status": "RUNNING"}`:       false,
		`{"stale": false, "cancel": {"message": "\"stale\": true"}, "status": "RUNNING"}`:          false,
		`{"stale": true, "cancel": {"message": "\"stale\": true", "seq": 3}, "status": "RUNNING"}`: true,
		`{"stale": false, "cancel": null, "status": "COMPLETE"}`:                                   false,
	} {
		require.Equal(t, want, NewState(uuid.Nil, 1, "RUNNING", []byte(text)).Stale, text)
	}
}

// TestSameItem: two versions of an item are the same where they differ in last_seen_at alone.
func TestSameItem(t *testing.T) {
	t.Parallel()
	const item = `{"metadata": {"last_seen_at":"now"}, "agent_id":"a","last_seq":7,"expect_every":30,"stale":false,"cancel":null,"latest_log":"x","latest_log_truncated":false,"last_seen_at":"2026-03-01T09:30:00.123456Z"}`
	const later = `{"metadata": {"last_seen_at":"now"}, "agent_id":"a","last_seq":7,"expect_every":30,"stale":false,"cancel":null,"latest_log":"x","latest_log_truncated":false,"last_seen_at":"2026-03-01T09:30:10.123456Z"}`
	same := func(a, b string) bool { return sameItem(json.RawMessage(a), json.RawMessage(b)) }
	require.True(t, same(item, item))
	require.True(t, same(item, later))
	for _, other := range []string{
		`{"metadata": {"last_seen_at":"now"}, "agent_id":"a","last_seq":7,"expect_every":30,"stale":true,"cancel":null,"latest_log":"x","latest_log_truncated":false,"last_seen_at":"2026-03-01T09:30:10.123456Z"}`,
		`{"metadata": {"last_seen_at":"now"}, "agent_id":"a","last_seq":7,"expect_every":30,"stale":false,"cancel":null,"latest_log":"x","latest_log_truncated":true,"last_seen_at":"2026-03-01T09:30:10.123456Z"}`,
		`{"agent_id":"a","last_seq":7,"expect_every":30,"stale":false,"cancel":null,"latest_log":"x"}`, `{}`,
	} {
		require.False(t, same(item, other), other)
		require.False(t, same(other, item), other)
	}
	require.False(t, same(`{"version":1}`, `{"version":2}`))
}

// TestHeartbeatsChangeNoList: a list sends nothing for a heartbeat. A new subscriber gets last_seen_at as of the last whole read.
func TestHeartbeatsChangeNoList(t *testing.T) {
	t.Parallel()
	hub, src := newHub(t)
	filter := ListFilter{Limit: 50}
	key, _ := json.Marshal(filter)
	id := uuid.New()
	set := func(stale, seen string) {
		src.mu.Lock()
		defer src.mu.Unlock()
		src.lists[string(key)] = []ListItem{{AgentID: id, JSON: json.RawMessage(`{"agent_id":"` + id.String() + `","stale":` + stale + `,"last_seen_at":"` + seen + `"}`)}}
	}
	pull := func(s *listSub) string {
		f, err := s.next(context.Background())
		require.NoError(t, err)
		if f == nil {
			return ""
		}
		return string(f.Body)
	}
	set("false", "one")
	s := hub.joinList(filter, "l", noSink{})
	defer s.leave()
	require.Eventually(t, func() bool { return pull(s) != "" }, patience, time.Millisecond)
	set("false", "two")
	s.list.changes.all()
	s.list.reread()
	require.Empty(t, pull(s))
	late := hub.joinList(filter, "l", noSink{})
	defer late.leave()
	require.Contains(t, pull(late), `"last_seen_at":"two"`)
	set("true", "two")
	s.list.changes.of([]uuid.UUID{id})
	s.list.reread()
	require.Contains(t, pull(s), `"stale":true`)
}
