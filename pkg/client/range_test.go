package client_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestParseWhen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"15m": "15m0s", "1h": "1h0m0s", "60m": "1h0m0s", "24h": "24h0m0s", "7d": "168h0m0s", "1d12h": "36h0m0s", "90s": "1m30s", "0s": "0s", "1.5h": "1h30m0s",
		"36500d": "876000h0m0s", "2026-01-02T15:04:05Z": "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.123456+02:00": "2026-01-02T13:04:05.123456Z",
	} {
		w, err := client.ParseWhen(text)
		require.NoError(t, err, text)
		require.False(t, w.IsZero())
		require.Equal(t, want, w.String(), text)
		again, err := client.ParseWhen(w.String())
		require.NoError(t, err)
		require.Equal(t, w, again)
		var decoded client.When
		require.NoError(t, json.Unmarshal(must[[]byte](t)(json.Marshal(w)), &decoded))
		require.Equal(t, w.String(), decoded.String())
	}
	for _, text := range []string{"", "1", "d", "-1h", "1h-5m", "1d-5m", "+1h", "7", "7w", "yesterday", "2026-01-02", "36501d", "99999999d", "1d1d", "1.5d", "2026-01-02T15:04:05", "NaN"} {
		w, err := client.ParseWhen(text)
		require.ErrorIs(t, err, client.ErrInvalid, text)
		require.True(t, w.IsZero())
	}
	require.True(t, client.When{}.IsZero())
	require.True(t, client.At(time.Time{}).IsZero())
	require.Empty(t, client.When{}.String())
}

// listed returns the agent_ids of a list.
func (b *bundle) listed(t *testing.T, params client.ListParams) []uuid.UUID {
	t.Helper()
	ids := []uuid.UUID{}
	for _, item := range must[*client.List](t)(b.c.List(b.ctx, params)).Items {
		ids = append(ids, item.AgentID)
	}
	return ids
}

// Sort, Order, Since, Until and IDPrefix reach SQL, in List and in CountByStatus; a duration counts from the clock of the database.
func TestListRange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old, quick, slow := b.create(t), b.create(t), b.create(t)
	for _, id := range []uuid.UUID{old, quick, slow} {
		must[client.Log](t)(b.c.Complete(b.ctx, id, ""))
	}
	b.db.Exec(t, `update agentexec.activity set created_at = now() - interval '3 h', finished_at = now() - interval '2 h' where agent_id = $1`, old)
	b.db.Exec(t, `update agentexec.activity set created_at = now() - interval '10 min', finished_at = now() - interval '9 min' where agent_id = $1`, quick)
	b.db.Exec(t, `update agentexec.activity set created_at = now() - interval '20 min', finished_at = now() - interval '10 min' where agent_id = $1`, slow)
	for _, c := range []struct {
		params client.ListParams
		want   []uuid.UUID
	}{
		{client.ListParams{}, []uuid.UUID{quick, slow, old}},
		{client.ListParams{Sort: client.SortCreated, Order: client.OrderAsc}, []uuid.UUID{old, slow, quick}},
		{client.ListParams{Sort: client.SortDuration}, []uuid.UUID{old, slow, quick}},
		{client.ListParams{Sort: client.SortDuration, Order: client.OrderAsc}, []uuid.UUID{quick, slow, old}},
		{client.ListParams{Sort: client.SortActivity, Order: client.OrderDesc}, []uuid.UUID{quick, slow, old}},
		{client.ListParams{Since: client.Ago(time.Hour)}, []uuid.UUID{quick, slow}},
		{client.ListParams{Since: client.At(time.Now().Add(-time.Hour)), Sort: client.SortDuration}, []uuid.UUID{slow, quick}},
		{client.ListParams{Until: client.Ago(time.Hour)}, []uuid.UUID{old}},
		{client.ListParams{Since: client.Ago(time.Hour), Until: client.Ago(15 * time.Minute)}, []uuid.UUID{slow}},
		{client.ListParams{IDPrefix: slow.String()[:20]}, []uuid.UUID{slow}},
	} {
		require.Equal(t, c.want, b.listed(t, c.params))
		if c.params.IDPrefix == "" {
			counts := must[client.Counts](t)(b.c.CountByStatus(b.ctx, client.CountParams{Since: c.params.Since, Until: c.params.Until}))
			require.EqualValues(t, len(c.want), counts.ByStatus[client.StatusComplete])
		}
	}
}

func TestFindID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []uuid.UUID
	for _, text := range []string{"abcd0000-0000-4000-8000-000000000001", "abcd0000-0000-4000-8000-000000000002", "abce0000-0000-4000-8000-000000000003"} {
		ids = append(ids, must[uuid.UUID](t)(b.c.Create(b.ctx, "research", "", client.WithAgentID(uuid.MustParse(text)), client.WithMetadata(map[string]any{"org": text[35:]}))))
	}
	for prefix, want := range map[string]uuid.UUID{"abce": ids[2], "ABCE": ids[2], "abce0000-0": ids[2], ids[0].String(): ids[0], "abcd0000000040008000000000000002": ids[1]} {
		require.Equal(t, want, must[uuid.UUID](t)(b.c.FindID(b.ctx, prefix)))
	}
	for _, prefix := range []string{"", "abc", "xyzt", "abce%", ids[0].String() + "0", "\x00abcd"} {
		_, err := b.c.FindID(b.ctx, prefix)
		require.ErrorIs(t, err, client.ErrInvalid, prefix)
	}
	_, err := b.c.FindID(b.ctx, "abcd")
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "2 activities")
	_, err = b.c.FindID(b.ctx, "0123")
	require.ErrorIs(t, err, client.ErrNotFound)
	require.ErrorContains(t, err, "0123")
	// Activities outside the scope do not count.
	require.Equal(t, ids[1], must[uuid.UUID](t)(b.c.WithScope(org("2")).FindID(b.ctx, "abcd")))
	_, err = b.c.WithScope(org("2")).FindID(b.ctx, "abce")
	require.ErrorIs(t, err, client.ErrNotFound)
}

// Stats is what the SQL function returns, in a scope and for a range.
func TestStats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failed := b.create(t, client.WithMetadata(map[string]any{"org": "1"}))
	must[client.Log](t)(b.c.Error(b.ctx, failed, "out of memory\nat line 1"))
	must[client.Log](t)(b.c.Complete(b.ctx, b.create(t), ""))
	b.create(t)
	s := must[*client.Stats](t)(b.c.Stats(b.ctx, client.StatsParams{}))
	require.Equal(t, time.Minute, s.Bucket.Duration())
	require.InDelta(t, 60, len(s.Series), 1)
	require.Equal(t, client.StatsEnded{Complete: 1, Error: 1}, s.Ended)
	require.EqualValues(t, 1, s.Active)
	require.EqualValues(t, 1, s.Counts.ByStatus[client.StatusQueued])
	require.NotNil(t, s.OldestQueuedAt)
	require.Nil(t, s.OldestStaleAt)
	require.Equal(t, []client.StatsFailure{{Message: "out of memory", AgentType: "research", Count: 1, LastAt: s.Failures[0].LastAt, AgentID: failed}}, s.Failures)
	require.Len(t, s.Types, 1)
	require.Nil(t, s.Types[0].P50)

	s = must[*client.Stats](t)(b.c.WithScope(org("1")).Stats(b.ctx, client.StatsParams{Since: client.Ago(24 * time.Hour), Bucket: 10 * time.Minute}))
	require.Equal(t, client.StatsEnded{Error: 1}, s.Ended)
	require.InDelta(t, 144, len(s.Series), 1)
	raw := must[json.RawMessage](t)(b.c.StatsJSON(b.ctx, client.StatsParams{Since: client.At(time.Now().Add(-time.Hour))}))
	var again client.Stats
	require.NoError(t, json.Unmarshal(raw, &again))
	require.JSONEq(t, asGoWritesTimes(raw), string(must[[]byte](t)(json.Marshal(again))))
	for _, params := range []client.StatsParams{{Since: client.Ago(-time.Hour)}, {Since: client.Ago(400 * 24 * time.Hour)}, {Bucket: time.Millisecond}, {Bucket: -time.Hour},
		{Since: client.Ago(24 * time.Hour), Bucket: time.Second}} {
		_, err := b.c.Stats(b.ctx, params)
		require.ErrorIs(t, err, client.ErrInvalid)
	}
}
