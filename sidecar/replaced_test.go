package sidecar_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// replace deletes an activity and makes another under its agent_id, with lines, in one transaction or in two.
func (s *service) replace(t *testing.T, id uuid.UUID, lines int, atOnce bool) {
	t.Helper()
	do := func(tx *client.Client) {
		_, err := tx.Create(t.Context(), "research", "made again", client.WithAgentID(id))
		require.NoError(t, err)
		for n := 1; n < lines; n++ {
			_, err := tx.Update(t.Context(), id, fmt.Sprint("again ", n))
			require.NoError(t, err)
		}
	}
	if !atOnce {
		s.db.Exec(t, "delete from agentexec.activity where agent_id = $1", id)
		do(s.c)
		return
	}
	conn := s.db.Conn(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "delete from agentexec.activity where agent_id = $1", id)
	require.NoError(t, err)
	do(s.c.WithTx(tx))
	require.NoError(t, tx.Commit(t.Context()))
}

// An activity that is deleted and made again under its agent_id is another one: subscribers are told to forget the lines
// they have, however many the new one has, and also where the feed has none of the old lines in memory because they resumed.
func TestActivityMadeAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const old = 6
	for _, after := range []int{0, old} {
		for _, lines := range []int{1, 3, old, old + 3} {
			for _, atOnce := range []bool{true, false} {
				t.Run(fmt.Sprintf("After%d/%dLines/AtOnce%t", after, lines, atOnce), func(t *testing.T) {
					t.Parallel()
					ids := []uuid.UUID{s.create(t, "2", "3", "4", "5", "6"), s.create(t, "2", "3", "4", "5", "6")}
					so := s.open(t)
					so.subscribe(t, ids[0], after)
					require.Equal(t, "snapshot", so.next(t).Type)
					so.lines(t, after, old-after)
					events := s.events(t, fmt.Sprintf("/v1/feed/%s?after_seq=%d", ids[1], after))
					event := func(kind string) message {
						t.Helper()
						ev, err := events.next()
						for ; err == nil && ev.comment != ""; ev, err = events.next() {
						}
						require.NoError(t, err)
						require.Equal(t, kind, ev.kind, ev.raw)
						return ev.message
					}
					event("snapshot")
					if after == 0 {
						event("logs")
					}

					for _, id := range ids {
						s.replace(t, id, lines, atOnce)
					}
					for _, gap := range []message{so.next(t), event("gap")} {
						require.Equal(t, "gap", gap.Type, gap.raw)
						require.Equal(t, "reset", gap.Reason)
						require.Equal(t, old, gap.AfterSeq, gap.raw)
						require.Equal(t, 1, gap.NextSeq, gap.raw)
					}
					require.Equal(t, "made again", so.lines(t, 0, lines)[0].Message)
					require.Equal(t, "made again", event("logs").Logs[0].Message)
					s.append(t, ids[0], "live")
					so.lines(t, lines, 1)
				})
			}
		}
	}
}
