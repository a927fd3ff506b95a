package sidecar_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	s := setup(t)
	follow := func(t *testing.T, id uuid.UUID, after int) *socket {
		so := s.open(t)
		so.sub(t, "a", id, after)
		return so
	}

	t.Run("AfterTheLastLine", func(t *testing.T) {
		t.Parallel()
		for status, end := range map[string]func(id uuid.UUID) error{
			"COMPLETE": func(id uuid.UUID) error { _, err := s.c.Complete(t.Context(), id, ""); return err },
			"ERROR":    func(id uuid.UUID) error { _, err := s.c.Error(t.Context(), id, ""); return err },
			"CANCELED": func(id uuid.UUID) error { _, err := s.c.Cancel(t.Context(), id, ""); return err },
		} {
			id := s.create(t, "two")
			live := follow(t, id, 1)
			require.NoError(t, end(id))
			want := fmt.Sprintf("end:%s@3", status)
			require.Equal(t, "logs:2-3 "+want, live.frames(t, want))
			require.Equal(t, want, follow(t, id, 3).frames(t, want))
			require.Equal(t, "logs:1-3 "+want, follow(t, id, 0).frames(t, want))
			live.alive(t)
		}
	})

	t.Run("AgainForTrailingLines", func(t *testing.T) {
		t.Parallel()
		id := s.create(t)
		so := follow(t, id, 1)
		_, err := s.c.Complete(t.Context(), id, "")
		require.NoError(t, err)
		require.Equal(t, "logs:2-2 end:COMPLETE@2", so.frames(t, "end:COMPLETE@2"))
		s.append(t, id, "trailing")
		require.Equal(t, "logs:3-3 end:COMPLETE@3", so.frames(t, "end:COMPLETE@3"))
	})

	t.Run("GoesOnAfterARetry", func(t *testing.T) {
		t.Parallel()
		id := s.create(t)
		so := follow(t, id, 1)
		for n := 2; n < 20; n += 2 {
			_, err := s.c.Error(t.Context(), id, "")
			require.NoError(t, err)
			want := fmt.Sprintf("end:ERROR@%d", n)
			require.Equal(t, fmt.Sprintf("logs:%d-%d %s", n, n, want), so.frames(t, want))
			s.write(t, id, client.StatusRunning, "again")
			m := so.expect(t, "logs", "a")
			require.Equal(t, n+1, m.Logs[0].Seq)
			require.EqualValues(t, n/2+1, m.Activity["attempt"])
		}
	})

	t.Run("NotForAnErrorWhoseRetryIsOnItsWay", func(t *testing.T) {
		t.Parallel()
		id := s.create(t)
		so := follow(t, id, 1)
		var entries []client.Entry
		for range 500 { // one commit, many frames
			entries = append(entries, client.Entry{AgentID: id, Message: "broken", Status: client.StatusError},
				client.Entry{AgentID: id, Message: fmt.Sprintf("%2000d", 1), Status: client.StatusRunning})
		}
		_, err := s.c.AppendLogs(t.Context(), entries)
		require.NoError(t, err)
		_, err = s.c.Complete(t.Context(), id, "")
		require.NoError(t, err)
		require.Equal(t, "logs:2-1002 end:COMPLETE@1002", so.frames(t, "end:COMPLETE@1002"))
		require.Equal(t, "logs:1-1002 end:COMPLETE@1002", follow(t, id, 0).frames(t, "end:COMPLETE@1002"))
	})
}

// TestGaps: lines that the owner deleted are announced, and a seq that the database does not have is too.
func TestGaps(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, c := range map[string]struct {
		delete string
		after  int
		want   string
	}{
		"BeforeTheClient":   {"seq <= 3", 3, "logs:4-8 end:COMPLETE@8"},
		"AtTheBeginning":    {"seq <= 3", 0, "gap:pruned@0-4 logs:4-8 end:COMPLETE@8"},
		"BehindTheClient":   {"seq in (3,4,5)", 4, "gap:pruned@4-6 logs:6-8 end:COMPLETE@8"},
		"InTheMiddle":       {"seq in (3,4,6)", 0, "logs:1-2 gap:pruned@2-5 logs:5-5 gap:pruned@5-7 logs:7-8 end:COMPLETE@8"},
		"AtTheEnd":          {"seq >= 7", 0, "logs:1-6 gap:pruned@6-9 end:COMPLETE@8"},
		"AllOfThem":         {"true", 0, "gap:pruned@0-9 end:COMPLETE@8"},
		"AllBehindTheFirst": {"seq > 1", 1, "gap:pruned@1-9 end:COMPLETE@8"},
		"NothingIsMissing":  {"seq <= 8", 8, "end:COMPLETE@8"},
		"AboveTheEnd":       {"false", 12, "gap:reset@12-9 end:COMPLETE@8"},
		"AboveNothing":      {"true", 12, "gap:reset@12-9 end:COMPLETE@8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := s.create(t, "2", "3", "4", "5", "6", "7")
			_, err := s.c.Complete(t.Context(), id, "")
			require.NoError(t, err)
			s.db.Exec(t, `delete from agentexec.activity_log l using agentexec.activity a
				where a.id = l.activity_id and a.agent_id = $1 and `+c.delete, id)
			so := s.open(t)
			so.sub(t, "a", id, c.after)
			require.Equal(t, c.want, so.frames(t, "end:COMPLETE@8"))
		})
	}

	t.Run("GoesOnAfterAReset", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, "two")
		so := s.open(t)
		so.sub(t, "a", id, 7)
		require.Equal(t, "gap:reset@7-3", so.frames(t, "gap:reset@7-3"))
		s.append(t, id, "three", "four")
		so.lines(t, 2, 2)
	})

	t.Run("ASubscriberThatWaitsBehindTheDeletion", func(t *testing.T) {
		t.Parallel()
		id := s.create(t, "2", "3")
		so := s.open(t)
		so.sub(t, "a", id, 0)
		so.lines(t, 0, 3)
		s.db.Exec(t, `delete from agentexec.activity_log l using agentexec.activity a
			where a.id = l.activity_id and a.agent_id = $1`, id)
		s.append(t, id, "4") // nothing it has not seen is missing
		require.Equal(t, "4", so.lines(t, 3, 1)[0].Message)
	})
}

// TestDeletedWhileWatched: deleting an activity leaves no line behind, so it is found by looking.
func TestDeletedWhileWatched(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id, other := s.create(t), s.create(t)
	so, one := s.open(t), s.dial(t, "/v1/feed/"+id.String()+"?after_seq=1")
	so.sub(t, "a", id, 1)
	so.sub(t, "b", other, 1)
	one.expect(t, "snapshot", "")
	s.db.Exec(t, "delete from agentexec.activity where agent_id = $1", id)
	require.Equal(t, "not_found", so.expect(t, "error", "a").Code)
	require.Equal(t, "not_found", one.expect(t, "error", "").Code)
	require.Equal(t, 1000, one.closed(t))

	so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"a","agent_id":%q}`, id))
	require.Equal(t, "not_found", so.expect(t, "error", "a").Code)
	_, err := s.c.Create(t.Context(), "research", "anew", client.WithAgentID(id))
	require.NoError(t, err)
	so.sub(t, "a", id, 0)
	require.Equal(t, "anew", so.lines(t, 0, 1)[0].Message)
	s.append(t, other, "still here")
	so.expect(t, "logs", "b")
}
