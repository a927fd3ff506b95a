package client_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	b := setup(t)
	day := client.Seconds(24 * time.Hour)
	for _, rule := range []client.RetentionRule{{Keep: 30 * day}, {AgentType: "research", Keep: 7 * day}, {AgentType: "research", Status: client.StatusError, Keep: 90 * day}} {
		require.NoError(t, b.c.SetRetention(b.ctx, rule))
	}
	require.NoError(t, b.c.SetRetention(b.ctx, client.RetentionRule{AgentType: "research"})) // removes it
	rules, err := b.c.Retention(b.ctx)
	require.NoError(t, err)
	require.Equal(t, []client.RetentionRule{{AgentType: "research", Status: client.StatusError, Keep: 90 * day}, {Keep: 30 * day}}, rules)
	require.ErrorIs(t, b.c.SetRetention(b.ctx, client.RetentionRule{Status: client.StatusRunning, Keep: day}), client.ErrInvalid)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, kind := range []string{"research", "review"} {
		id, err := b.c.Create(b.ctx, kind, "")
		require.NoError(t, err)
		_, err = b.c.Complete(b.ctx, id, "")
		require.NoError(t, err)
	}
	params := client.PruneParams{FinishedBefore: time.Now().Add(time.Minute), AgentType: "review", Statuses: []client.Status{client.StatusComplete}, DryRun: true}
	pruned, err := b.c.Prune(b.ctx, params)
	require.NoError(t, err)
	require.Equal(t, client.Pruned{Activities: 1, Lines: 2}, pruned)
	params.DryRun = false
	pruned, err = b.c.Prune(b.ctx, params)
	require.NoError(t, err)
	require.Equal(t, client.Pruned{Activities: 1, Lines: 2}, pruned)
	list, err := b.c.List(b.ctx, client.ListParams{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, "research", list.Items[0].AgentType)
	_, err = b.c.Prune(b.ctx, client.PruneParams{})
	require.ErrorIs(t, err, client.ErrInvalid)
}
