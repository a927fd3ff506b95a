package sidecar_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestFeed(t *testing.T) {
	t.Parallel()
	s := setup(t)

	t.Run("SnapshotReplayLiveEnd", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, "two", "three")
		so := s.open(t)
		so.subscribe(t, id, 1)

		m := so.next(t)
		require.Equal(t, "snapshot", m.Type)
		require.Equal(t, id.String(), *m.Sub)
		require.Equal(t, id.String(), m.Activity["agent_id"])
		require.NotContains(t, m.Activity, "logs")
		require.NotContains(t, m.Activity, "metadata")

		logs := so.lines(t, 1, 2)
		require.Equal(t, "two", logs[0].Message)

		for n := range 20 {
			s.append(t, id, fmt.Sprint("live ", n))
			require.Equal(t, fmt.Sprint("live ", n), so.lines(t, 3+n, 1)[0].Message)
		}
		_, err := s.c.Complete(t.Context(), id, "done")
		require.NoError(t, err)
		require.Equal(t, client.StatusComplete, so.lines(t, 23, 1)[0].Status)
		end := so.next(t)
		require.Equal(t, "end", end.Type)
		require.Equal(t, "COMPLETE", end.Status)
		require.Equal(t, 24, end.LastSeq)
	})

	t.Run("LiveList", func(t *testing.T) {
		t.Parallel()
		so := s.open(t)
		so.send(t, `{"type":"subscribe","sub":"l","list":{"agent_type":"only-here"}}`)
		m := so.next(t)
		require.Equal(t, "snapshot", m.Type)
		require.Empty(t, m.Items)
		require.Equal(t, map[string]int{"QUEUED": 0, "RUNNING": 0, "COMPLETE": 0, "ERROR": 0, "CANCELED": 0, "stale": 0}, m.Counts)

		id, err := s.c.Create(t.Context(), "only-here", "hello")
		require.NoError(t, err)
		m = so.next(t)
		require.Equal(t, "changes", m.Type)
		require.Len(t, m.Items, 1)
		require.Equal(t, id, m.Items[0].AgentID)
		require.Equal(t, "hello", *m.Items[0].LatestLog)
		for m.Counts["QUEUED"] != 1 {
			m = so.next(t)
		}
	})
}
