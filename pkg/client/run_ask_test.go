package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// awaitQuestion returns when a question of the activity is open.
func awaitQuestion(ctx context.Context, c *client.Client, id uuid.UUID, key string) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for ctx.Err() == nil {
		if q, err := c.Question(ctx, id, key); err == nil && q.State == client.QuestionPending {
			return
		}
		<-poll.C
	}
}

// No read of the question is due for hours, so only the notification can bring the answer.
func TestRunIsNotifiedOfAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("s", 63)
	for _, schema := range []string{"agentexec", long} {
		if schema != "agentexec" {
			require.NoError(t, migrate.Up(b.ctx, b.db.Conn(t), &migrate.Options{Schema: schema}))
		}
		c := client.New(b.pool, &client.Config{Schema: schema})
		err := c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 24 * time.Hour}, func(ctx context.Context, run *client.Run) error {
			require.NoError(t, run.Log(ctx, "before"))
			answered := make(chan error, 1)
			go func() {
				awaitQuestion(ctx, c, run.AgentID(), "color")
				_, err := c.Answer(ctx, run.AgentID(), "color", "red", "ada")
				answered <- err
			}()
			answer, err := run.Ask(ctx, client.Question{Key: "color", Prompt: "Which color?", Schema: map[string]any{"type": "string"}})
			require.NoError(t, err)
			require.NoError(t, <-answered)
			var color string
			require.NoError(t, answer.Decode(&color))
			require.Equal(t, "red", color)
			require.Equal(t, "ada", answer.By)
			require.WithinDuration(t, time.Now(), answer.At, time.Minute)

			again, err := run.Ask(ctx, client.Question{Key: "color", Prompt: "Which color?"})
			require.NoError(t, err)
			require.Equal(t, answer, again)
			return run.Log(ctx, "after")
		})
		require.NoError(t, err)
		list, err := c.List(b.ctx, client.ListParams{})
		require.NoError(t, err)
		detail, err := c.Detail(b.ctx, list.Items[0].AgentID, client.DetailParams{})
		require.NoError(t, err)
		var messages []string
		for _, line := range detail.Logs[2:] {
			messages = append(messages, line.Message)
		}
		require.Equal(t, []string{"before", "Which color?", `Answered by ada: "red"`, "after", "Agent completed"}, messages)
	}
}

func TestAskEndsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for want, closing := range map[error]func(ctx context.Context, id uuid.UUID) error{
		client.ErrDeclined: func(ctx context.Context, id uuid.UUID) error {
			_, err := b.c.Decline(ctx, id, "k", "ada")
			return err
		},
		client.ErrWithdrawn: func(ctx context.Context, id uuid.UUID) error {
			_, err := b.c.Withdraw(ctx, id, "k")
			return err
		},
		client.ErrExpired: func(context.Context, uuid.UUID) error { return nil },
		client.ErrCanceled: func(ctx context.Context, id uuid.UUID) error {
			_, err := b.c.Cancel(ctx, id, "enough")
			return err
		},
	} {
		err := b.c.Run(b.ctx, client.RunParams{TaskName: "n"}, func(ctx context.Context, run *client.Run) error {
			closed := make(chan error, 1)
			go func() {
				awaitQuestion(ctx, b.c, run.AgentID(), "k")
				closed <- closing(context.WithoutCancel(ctx), run.AgentID())
			}()
			question := client.Question{Key: "k", Prompt: "Go on?", ExpiresIn: time.Hour}
			if errors.Is(want, client.ErrExpired) {
				question.ExpiresIn = time.Second
			}
			_, err := run.Ask(ctx, question)
			require.NoError(t, <-closed)
			return err
		})
		require.ErrorIs(t, err, want)
	}
}

// Without LISTEN, Ask reads the question again.
func TestAskPolls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := client.New(b.pool, &client.Config{PollOnly: true})
	err := c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: time.Second}, func(ctx context.Context, run *client.Run) error {
		go func() {
			awaitQuestion(ctx, c, run.AgentID(), "k")
			_, _ = c.Answer(ctx, run.AgentID(), "k", map[string]any{"ok": true}, "")
		}()
		answer, err := run.Ask(ctx, client.Question{Key: "k", Prompt: "Go on?"})
		require.NoError(t, err)
		require.JSONEq(t, `{"ok": true}`, string(answer.Value))
		return nil
	})
	require.NoError(t, err)
}

// The connections break while Ask waits: the answer still arrives.
func TestAskOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	err := b.c.Run(b.ctx, client.RunParams{TaskName: "n", ExpectEvery: 24 * time.Hour}, func(ctx context.Context, run *client.Run) error {
		go func() {
			awaitQuestion(ctx, b.c, run.AgentID(), "k")
			b.db.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
			for {
				if _, err := b.c.Answer(ctx, run.AgentID(), "k", 5, ""); err == nil {
					return
				}
			}
		}()
		answer, err := run.Ask(ctx, client.Question{Key: "k", Prompt: "How many?"})
		require.NoError(t, err)
		require.Equal(t, "5", string(answer.Value))
		return nil
	})
	require.NoError(t, err)
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	parent, err := b.c.Create(b.ctx, "plan", "", client.WithMetadata(map[string]any{"org": 1}))
	require.NoError(t, err)
	id, err := b.c.Create(b.ctx, "part", "", client.WithParent(parent))
	require.NoError(t, err)
	asked, err := b.c.Ask(b.ctx, id, client.Question{Key: "k", Prompt: "Go on?", ExpiresIn: time.Hour, Schema: map[string]any{"type": "boolean"}})
	require.NoError(t, err)
	require.Equal(t, client.QuestionPending, asked.State)
	list, err := b.c.Questions(b.ctx, client.QuestionListParams{MetadataFilter: map[string]any{"org": 1}})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, "part", list.Items[0].AgentType)
	list.Items[0].AgentType = ""
	require.Equal(t, asked, list.Items[0])

	_, err = b.c.Answer(b.ctx, id, "k", "yes", "")
	require.ErrorIs(t, err, client.ErrInvalid)
	_, err = b.c.Answer(b.ctx, id, "other", true, "")
	require.ErrorIs(t, err, client.ErrNotFound)
	_, err = b.c.Answer(b.ctx, id, "k", true, "")
	require.NoError(t, err)
	_, err = b.c.Decline(b.ctx, id, "k", "")
	require.ErrorIs(t, err, client.ErrFinished)
	list, err = b.c.Questions(b.ctx, client.QuestionListParams{AnyState: true})
	require.NoError(t, err)
	require.Equal(t, client.QuestionAnswered, list.Items[0].State)

	detail, err := b.c.Detail(b.ctx, parent, client.DetailParams{})
	require.NoError(t, err)
	require.Equal(t, &client.Children{Total: 1, Queued: 1}, detail.Children)
	_, err = b.c.Cancel(b.ctx, parent, "", client.WithTree())
	require.NoError(t, err)
	detail, err = b.c.Detail(b.ctx, id, client.DetailParams{})
	require.NoError(t, err)
	require.Equal(t, client.StatusCanceled, detail.Status)
	require.Equal(t, &parent, detail.ParentAgentID)
}
