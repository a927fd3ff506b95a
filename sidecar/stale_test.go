package sidecar_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// beat sends a heartbeat with a promise.
func (s *service) beat(t *testing.T, id uuid.UUID, every time.Duration) {
	t.Helper()
	_, err := s.c.Heartbeat(t.Context(), id, every)
	require.NoError(t, err)
}

// state takes the next frame, which must be a state frame.
func (s *socket) state(t *testing.T, stale bool) message {
	t.Helper()
	m := s.next(t)
	require.Equal(t, "state", m.Type, m.raw)
	require.Equal(t, stale, m.Activity["stale"], m.raw)
	return m
}

// TestStaleIsAnnounced: subscribers get a frame when an activity becomes stale without a line. A heartbeat or a line ends it.
func TestStaleIsAnnounced(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.runs(t)
	so, one := s.open(t), s.dial(t, "/v1/feed/"+id.String())
	so.subscribe(t, id, 0)
	for _, each := range []*socket{so, one} {
		m := each.next(t)
		require.Equal(t, "snapshot", m.Type)
		require.Equal(t, false, m.Activity["stale"])
		each.lines(t, 0, 2)
	}
	s.beat(t, id, time.Second)
	keys := func(of map[string]any) (all []string) {
		for key := range of {
			all = append(all, key)
		}
		return all
	}
	var crossed message
	for _, each := range []*socket{so, one} {
		crossed = each.state(t, true)
		require.InDelta(t, 1, crossed.Activity["expect_every"], 0)
		require.InDelta(t, 2, crossed.Activity["last_seq"], 0)
	}
	s.beat(t, id, 24*time.Hour)
	so.state(t, false)
	one.state(t, false)

	s.beat(t, id, time.Second)
	so.state(t, true)
	one.state(t, true)
	s.append(t, id, "alive")
	m := so.next(t)
	require.Equal(t, "logs", m.Type, m.raw)
	require.Equal(t, false, m.Activity["stale"], m.raw)
	require.ElementsMatch(t, keys(m.Activity), keys(crossed.Activity), "the keys of both frames")
	require.Equal(t, "logs", one.next(t).Type)

	// The promise ends with the run.
	so.state(t, true)
	_, err := s.c.Complete(t.Context(), id, "")
	require.NoError(t, err)
	m = so.next(t)
	require.Equal(t, false, m.Activity["stale"], m.raw)
	require.Nil(t, m.Activity["expect_every"])
	require.Equal(t, "end", so.next(t).Type)
}

// TestStaleOnAnEventStream: an event stream announces it too. The event has no id, because it is not a line.
func TestStaleOnAnEventStream(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.runs(t)
	stream := s.events(t, "/v1/feed/"+id.String()+"?after_seq=2")
	e, err := stream.next()
	require.NoError(t, err)
	require.Equal(t, "snapshot", e.Type)
	s.beat(t, id, time.Second)
	e, err = stream.next()
	require.NoError(t, err)
	require.Equal(t, "state", e.Type, e.raw)
	require.Equal(t, true, e.Activity["stale"])
	require.Empty(t, e.id)
	stream.cancel()
}

// TestStaleLists: a change of stale, in both directions, changes the lists that hold the activity, the list of stale ones, and
// the counts.
func TestStaleLists(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *sidecar.Config) { c.Feed.ListRefresh = time.Hour }) // so that only the read of the stale activities can find it
	id, other := s.runs(t), s.runs(t)
	s.beat(t, other, 24*time.Hour)
	all := s.list(t, `{"agent_type":"research"}`)
	stale, fine := s.list(t, `{"stale":true}`), s.list(t, `{"stale":false,"statuses":["RUNNING"]}`)
	require.Len(t, all.items, 2)
	require.Empty(t, stale.items)
	require.Len(t, fine.items, 2)

	until := func(done func() bool) {
		for !done() {
			all.next(t)
		}
	}
	s.beat(t, id, time.Second)
	until(func() bool { return all.items[id]["stale"] == true && all.counts["stale"] == 1 })
	require.Equal(t, false, all.items[other]["stale"])
	for len(stale.items) != 1 {
		stale.next(t)
	}
	require.Contains(t, stale.items, id)
	for len(fine.items) != 1 {
		fine.next(t)
	}
	require.Contains(t, fine.items, other)

	s.beat(t, id, 24*time.Hour)
	until(func() bool { return all.items[id]["stale"] == false && all.counts["stale"] == 0 })
	for len(stale.items) != 0 {
		stale.next(t)
	}
	for len(fine.items) != 2 {
		fine.next(t)
	}
	s.await(t, "agentexec_stale_activities", 0)
}

// TestStaleIsReadOnlyWhileWatched: the sidecar reads the stale activities only with a subscription.
func TestStaleIsReadOnlyWhileWatched(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.runs(t)
	s.beat(t, id, time.Second)
	s.await(t, "agentexec_stale_activities", -1)
	before := s.metric(t, "agentexec_sweep_seconds_count")
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_sweep_seconds_count") > before+1 }, patience, 100*time.Millisecond)
	require.Zero(t, s.metric(t, "agentexec_stale_read_seconds_count"))
	so := s.open(t)
	so.send(t, `{"type":"subscribe","sub":"l","list":{"agent_type":"another"}}`)
	s.await(t, "agentexec_stale_activities", 1)
	so.send(t, `{"type":"unsubscribe","sub":"l"}`)
	s.await(t, "agentexec_stale_activities", -1)
}

// TestStaleOutsideTheScope: a caller gets no frame about activities outside the scope of its token.
func TestStaleOutsideTheScope(t *testing.T) {
	t.Parallel()
	s := setup(t, withTokens)
	create := func(org string) uuid.UUID {
		id, err := s.c.Create(t.Context(), "research", "", client.WithMetadata(map[string]any{"org": org}))
		require.NoError(t, err)
		_, err = s.c.Update(t.Context(), id, "", client.WithStatus(client.StatusRunning))
		require.NoError(t, err)
		return id
	}
	ours, theirs := create("1"), create("2")
	grant := auth.Grant{Read: true}
	grant.Scope.Metadata = map[string]any{"org": "1"}
	so := s.dialWith(t, "/v1/feed", token(t, grant))
	require.Equal(t, "welcome", so.next(t).Type)
	so.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.subscribe(t, theirs, 2)
	m := so.next(t)
	require.Equal(t, "error", m.Type, m.raw)
	so.subscribe(t, ours, 2)
	require.Equal(t, "snapshot", so.next(t).Type)

	s.beat(t, theirs, time.Second)
	everything := s.dialWith(t, "/v1/feed", token(t, auth.Everything()))
	everything.send(t, `{"type":"subscribe","sub":"l","list":{"stale":true}}`)
	for m = everything.next(t); len(m.Items) == 0; m = everything.next(t) {
		require.NotEqual(t, "error", m.Type, m.raw)
	}
	require.Equal(t, theirs, m.Items[0].AgentID)

	s.beat(t, ours, time.Second)
	for told, listed := false, false; !told || !listed; {
		m = so.next(t)
		require.NotContains(t, m.raw, theirs.String())
		require.LessOrEqual(t, m.Counts["stale"], 1, m.raw)
		told = told || m.Type == "state"
		listed = listed || m.Counts["stale"] == 1
	}
}

// TestWelcomeTime: the welcome has the time of the database.
func TestWelcomeTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.await(t, "agentexec_tail_lag_rows", 0)
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_tail_age_seconds") >= 0 }, patience, 50*time.Millisecond)
	var welcome struct {
		Time time.Time `json:"time"`
	}
	m := s.dial(t, "/v1/feed").next(t)
	require.NoError(t, json.Unmarshal([]byte(m.raw), &welcome))
	require.Regexp(t, `"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"`, m.raw)
	var now time.Time
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(), "select clock_timestamp()").Scan(&now))
	require.WithinDuration(t, now, welcome.Time, patience)
}

// TestStaleAfterRestarts: the sidecar still finds stale activities after Postgres was restarted or has crashed.
func TestStaleAfterRestarts(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, nil)
	s := start(t, server.New(t))
	id, kept := s.runs(t), s.runs(t)
	s.beat(t, id, time.Second)
	s.beat(t, kept, 24*time.Hour)
	so, other := s.open(t), s.open(t)
	so.subscribe(t, id, 2)
	require.Equal(t, "snapshot", so.next(t).Type)
	other.subscribe(t, kept, 2)
	require.Equal(t, "snapshot", other.next(t).Type)
	shows := func(stale bool) {
		for so.next(t).Activity["stale"] != stale {
		}
	}
	shows(true)
	for _, stop := range []func() error{func() error { return nil }, server.Kill} {
		require.NoError(t, stop())
		require.NoError(t, server.Restart(t.Context()))
		require.Eventually(t, func() bool {
			_, err := s.c.Heartbeat(t.Context(), id, 24*time.Hour)
			return err == nil
		}, patience, 50*time.Millisecond)
		shows(false)
		s.beat(t, id, time.Second)
		shows(true)
	}
	s.append(t, kept, "alive")
	require.Equal(t, "logs", other.next(t).Type, "nothing was told of the other one")
}
