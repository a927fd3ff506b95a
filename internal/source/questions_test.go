package source

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
)

// TestQuestions: both sources give the same questions, answers and errors, also for keys that are special in a URL.
func TestQuestions(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		id := w.create(t, "research", "Go")
		keys := []string{"plain", "..", ".", "a/b", "a?b#c%20d", "é \x01", "'\""}
		for _, key := range keys {
			_, err := w.c.Ask(ctx, id, client.Question{Key: key, Prompt: "Go on with " + key + "?", Schema: json.RawMessage(`{"type": ["boolean", "null"]}`), ExpiresIn: time.Hour})
			require.NoError(t, err)
		}
		list, err := Questions(ctx, s, client.QuestionListParams{AgentID: id})
		require.NoError(t, err)
		require.Len(t, list.Items, len(keys))
		for i, q := range list.Items {
			require.Equal(t, keys[i], q.Key)
			require.Nil(t, q.Answer)
			require.JSONEq(t, `{"type": ["boolean", "null"]}`, string(q.Schema))
		}
		for i, key := range keys {
			if i%2 == 0 {
				q, err := s.Answer(ctx, id, key, json.RawMessage("true"), "ada")
				require.NoError(t, err, key)
				require.Equal(t, client.QuestionAnswered, q.State)
				require.Equal(t, "true", string(q.Answer))
				continue
			}
			q, err := s.Decline(ctx, id, key, "ada")
			require.NoError(t, err, key)
			require.Equal(t, client.QuestionDeclined, q.State)
			require.Nil(t, q.Answer)
			_, err = s.Answer(ctx, id, key, true, "")
			require.ErrorIs(t, err, client.ErrFinished)
		}
		_, err = s.Answer(ctx, id, "none", true, "")
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = s.Decline(ctx, uuid.New(), "plain", "")
		require.ErrorIs(t, err, client.ErrNotFound)

		first, err := Questions(ctx, s, client.QuestionListParams{AnyState: true, AgentType: "research", PageSize: 3})
		require.NoError(t, err)
		require.Len(t, first.Items, 3)
		rest, err := Questions(ctx, s, client.QuestionListParams{AnyState: true, After: *first.Next})
		require.NoError(t, err)
		require.Len(t, rest.Items, len(keys)-3)
		require.Equal(t, "true", string(first.Items[0].Answer))
		declined, err := Questions(ctx, s, client.QuestionListParams{State: client.QuestionDeclined})
		require.NoError(t, err)
		require.Len(t, declined.Items, len(keys)/2)
		_, err = Questions(ctx, s, client.QuestionListParams{PageSize: 1001})
		require.ErrorIs(t, err, client.ErrInvalid)
	})
}

// TestTrees: both sources list by parent, root and open question, and cancel a tree.
func TestTrees(t *testing.T) {
	both(t, func(t *testing.T, w *world, s Source) {
		ctx := t.Context()
		root := w.create(t, "plan", "Go")
		child, err := w.c.Create(ctx, "part", "", client.WithParent(root))
		require.NoError(t, err)
		_, err = w.c.Ask(ctx, child, client.Question{Key: "k", Prompt: "Go on?"})
		require.NoError(t, err)
		for name, params := range map[string]client.ListParams{
			"Parent": {ParentAgentID: root}, "Waiting": {Waiting: new(true)}, "Both": {ParentAgentID: root, Waiting: new(true)},
		} {
			list, err := List(ctx, s, params)
			require.NoError(t, err, name)
			require.Len(t, list.Items, 1, name)
			require.Equal(t, child, list.Items[0].AgentID, name)
			require.Equal(t, 1, list.Items[0].OpenQuestions)
		}
		list, err := List(ctx, s, client.ListParams{Stopping: new(true)})
		require.NoError(t, err)
		require.Empty(t, list.Items)
		list, err = List(ctx, s, client.ListParams{RootsOnly: true})
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		require.Equal(t, &client.Children{Total: 1, Queued: 1}, list.Items[0].Children)
		_, err = s.Cancel(ctx, root, Cancel{Tree: true})
		require.NoError(t, err)
		a, err := Activity(ctx, s, child)
		require.NoError(t, err)
		require.Equal(t, client.StatusCanceled, a.Status)
	})
}
