package wsfeed

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestConcurrentSubscribersShareOneRead: subscribers that connect to one activity at once cost one read of its existence; one that
// comes into being after that look is found all the same.
func TestConcurrentSubscribersShareOneRead(t *testing.T) {
	t.Parallel()
	const subscribers = 50
	for name, made := range map[string]bool{"Before": true, "Meanwhile": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := unserved()
				defer b.hub.Shutdown(t.Context())
				id := b.src.create(1)
				activity := b.src.activities[id]
				if !made {
					b.src.remove(id)
				}
				goOn := make(chan struct{})
				b.src.after = func(context.Context, string) { <-goOn } // the answer is known, and under way
				answers := make(chan error, subscribers)
				for range subscribers {
					go func() { answers <- b.hub.exists(t.Context(), id, nil, nil) }()
				}
				synctest.Wait()
				require.EqualValues(t, 1, b.hub.Stats().Reads.Snapshots, "they share one")
				b.src.mu.Lock()
				b.src.activities[id] = activity
				b.src.mu.Unlock()
				close(goOn)
				for range subscribers {
					require.NoError(t, <-answers)
				}
			})
		})
	}
}

// TestReconnectingSubscribersShareReads: subscribers that lack the same lines wait for the few read slots, and what the
// first ones read is there for the others when it is their turn.
func TestReconnectingSubscribersShareReads(t *testing.T) {
	t.Parallel()
	const subscribers = 50
	synctest.Test(t, func(t *testing.T) {
		b := unserved()
		defer b.hub.Shutdown(t.Context())
		id := b.src.create(9)
		goOn := make(chan struct{})
		b.src.before = func(_ context.Context, kind string) {
			if kind == "Replay" {
				<-goOn
			}
		}
		got := make(chan string, subscribers)
		for range subscribers {
			p := follow(t, b.hub, id, 4)
			go func() { got <- p.frames() }()
		}
		synctest.Wait()
		close(goOn)
		for range subscribers {
			require.Equal(t, "snapshot logs:5-9", <-got)
		}
		require.LessOrEqual(t, b.src.calls("Replay"), b.hub.cfg.CatchUpReads)
	})
}
