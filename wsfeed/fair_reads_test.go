package wsfeed

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/wsfeed/internal/turns"
)

// someone is a subscriber on a socket of a name.
type someone struct {
	sinkFunc
	name string
}

func (s someone) socket() any { return s.name }

// orderly is a Source that notes the order in which it is asked, and answers when it is told to.
type orderly struct {
	*script
	answer chan struct{} // nil: at once

	mu    sync.Mutex
	order []string
}

func (o *orderly) asked(what string) {
	o.mu.Lock()
	o.order = append(o.order, what)
	answer := o.answer
	o.mu.Unlock()
	if answer != nil {
		<-answer
	}
}

// questions returns what it was asked so far.
func (o *orderly) questions() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.order)
}

// holdBack forgets what it was asked, and answers from now on when answer is received from or closed.
func (o *orderly) holdBack(answer chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.order, o.answer = nil, answer
}

func (o *orderly) Snapshot(ctx context.Context, id uuid.UUID, scope client.Scope) (Snapshot, error) {
	o.asked("snapshot")
	return o.script.Snapshot(ctx, id, scope)
}

func (o *orderly) List(ctx context.Context, f ListFilter, scope client.Scope, held []uuid.UUID) ([]ListItem, error) {
	o.asked("list of " + f.AgentType)
	return o.script.List(ctx, f, scope, held)
}

// TestReadTurnsAreFair: while a socket with 1,000 lists has all of them read again, the snapshot of a new subscriber is read next, and
// another socket's one list after at most one of the thousand. It looks at the order of service, not at its time.
func TestReadTurnsAreFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lists = 1000
		src := &orderly{script: newScript()}
		hub := New(src, Config{CatchUpReads: 1})
		defer hub.Shutdown(t.Context())
		at := func(name string) someone { return someone{func() {}, name} }
		for n := range lists {
			defer hub.joinList(ListFilter{AgentType: "greedy", Limit: n + 1}, fmt.Sprint(n), at("greedy")).leave()
		}
		defer hub.joinList(ListFilter{AgentType: "modest", Limit: 50}, "l", at("modest")).leave()
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		require.Len(t, src.questions(), lists+1)

		answer := make(chan struct{})
		src.holdBack(answer)
		require.NoError(t, hub.places.Take(t.Context(), turns.Subscriber, nil)) // others read
		hub.ListsChanged(hub.Watched())
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		_, waiting := hub.places.Numbers()
		require.Equal(t, lists+1, waiting)
		newcomer := hub.joinTopic(src.create(1), "", 0, at("newcomer"))
		defer newcomer.leave()
		got := make(chan error)
		go func() {
			_, err := newcomer.next(t.Context())
			got <- err
		}()
		synctest.Wait()
		hub.places.Done(turns.Subscriber)
		for range 3 {
			synctest.Wait()
			answer <- struct{}{}
		}
		require.NoError(t, <-got)
		order := src.questions()
		require.Equal(t, "snapshot", order[0])
		require.Contains(t, order[1:3], "list of modest", "%v", order)
		close(answer)
		synctest.Wait()
		require.Len(t, src.questions(), lists+2)
	})
}
