package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// parts plants a directory of so many parts.
func parts(t *testing.T, n int) string {
	t.Helper()
	files := map[string]string{}
	for i := range n * (partFiles/2 + 1) {
		files[fmt.Sprintf("part%d/file%d", i%n, i)] = "x"
	}
	return plant(t, files)
}

// TestCoordinatorHasPartsAsChildren: a round ends when its parts have ended, and the next one follows.
func TestCoordinatorHasPartsAsChildren(t *testing.T) {
	t.Parallel()
	b := setup(t)
	config := fast
	config.Agents, config.AnswerWithin = 2, time.Second
	b.run(config, parts(t, 4))
	done := b.awaitAny(func(item client.ListItem) bool {
		return item.AgentType == CoordinatorName && item.Status == client.StatusComplete
	})
	require.Equal(t, &client.Children{Total: roundParts, Complete: roundParts, Percentage: 100}, done.Children)
	list, err := b.c.List(t.Context(), client.ListParams{ParentAgentID: done.AgentID, IncludeMetadata: true})
	require.NoError(t, err)
	for _, item := range list.Items {
		require.Equal(t, TaskName, item.AgentType)
		require.Equal(t, done.AgentID, *item.RootAgentID)
		require.Nil(t, item.Children)
		require.JSONEq(t, `{"source": "agentexec demo"}`, string(item.Metadata))
	}
	logs := b.detail(done.AgentID).Logs
	require.Contains(t, logs[1].Message, "into 12 parts")
	require.Condition(t, func() bool {
		for _, line := range logs {
			if strings.HasSuffix(line.Message, " is done (12 of 12 parts)") {
				return true
			}
		}
		return false
	})
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentType == CoordinatorName && item.AgentID != done.AgentID
	})
}

// pending returns the question that waits, once there is one.
func (b *bench) pending() client.AskedQuestion {
	b.t.Helper()
	var asked client.AskedQuestion
	require.Eventually(b.t, func() bool {
		list, err := b.c.Questions(context.Background(), client.QuestionListParams{})
		require.NoError(b.t, err)
		if len(list.Items) > 0 {
			asked = list.Items[0]
		}
		return len(list.Items) > 0
	}, time.Minute, 5*time.Millisecond)
	return asked
}

// said waits until an activity has a line with a text.
func (b *bench) said(id uuid.UUID, text string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		for _, line := range b.detail(id).Logs {
			if strings.Contains(line.Message, text) {
				return true
			}
		}
		return false
	}, time.Minute, 10*time.Millisecond)
}

// TestQuestionsInTurn: a boolean, a choice and an object, one at a time. The answers change the rounds that follow.
func TestQuestionsInTurn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	config := fast
	config.AnswerWithin = time.Hour
	b.run(config, parts(t, 3))
	for _, tc := range []struct{ key, kind, answer, says string }{
		{"largest-first", "boolean", "true", "It reads the largest files first from now on"},
		{"speed", "string", `"fast"`, "It reads at the speed fast from now on"},
		{"next-round", "object", `{"parts": 2, "note": "Please"}`, "It plans 2 parts for the next round: Please"},
		{"largest-first", "boolean", "false", "It reads the files by name from now on"},
	} {
		q := b.pending()
		require.Equal(t, tc.key, q.Key)
		require.Equal(t, CoordinatorName, q.AgentType)
		var schema struct{ Type string }
		require.NoError(t, json.Unmarshal(q.Schema, &schema))
		require.Equal(t, tc.kind, schema.Type)
		require.WithinDuration(t, q.AskedAt.Add(time.Hour), *q.ExpiresAt, time.Second)
		_, err := b.c.Answer(t.Context(), q.AgentID, q.Key, json.RawMessage(tc.answer), "ada")
		require.NoError(t, err)
		b.said(q.AgentID, tc.says)
	}
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentType == CoordinatorName && item.Children != nil && item.Children.Total == 2 && item.Status == client.StatusComplete
	})
}

// TestDemoGoesOnWithoutAnswers: while a question waits, the agents work; when it expires or is declined, its coordinator ends.
func TestDemoGoesOnWithoutAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	config := fast
	config.AnswerWithin, config.Abandoned = 5*time.Second, 3*time.Second // its coordinator is not taken for abandoned meanwhile
	b.run(config, parts(t, 3))
	q := b.pending()
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentType == CoordinatorName && item.AgentID != q.AgentID && item.Status == client.StatusComplete
	})
	b.said(q.AgentID, "No answer came in time")
	b.awaitAny(func(item client.ListItem) bool {
		return item.AgentID == q.AgentID && item.Status == client.StatusComplete
	})
	q = b.pending()
	_, err := b.c.Decline(t.Context(), q.AgentID, q.Key, "")
	require.NoError(t, err)
	b.said(q.AgentID, "The question was declined")
}

// TestCancelOfDemoTree: a canceled coordinator and its parts end, without a force, and another round begins.
func TestCancelOfDemoTree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(slow, parts(t, 3))
	part := b.await(func(item client.ListItem) bool { return item.Status == client.StatusRunning })
	root := *part.ParentAgentID
	_, err := b.c.Cancel(t.Context(), root, "Enough", client.WithTree(), client.WithoutForce())
	require.NoError(t, err)
	for _, id := range []uuid.UUID{root, part.AgentID} {
		b.awaitAny(func(item client.ListItem) bool {
			return item.AgentID == id && item.Status == client.StatusCanceled && !item.Cancel.Forced
		})
	}
	b.await(func(item client.ListItem) bool { return *item.ParentAgentID != root })
}
