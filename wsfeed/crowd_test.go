package wsfeed

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestThoseWhoComeAtOnceShareOneLook: a crowd that connects to one activity costs one look whether it exists; one that
// comes into being after that look is found all the same.
func TestThoseWhoComeAtOnceShareOneLook(t *testing.T) {
	t.Parallel()
	const crowd = 50
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
				answers := make(chan error, crowd)
				for range crowd {
					go func() { answers <- b.hub.exists(t.Context(), id, nil, nil) }()
				}
				synctest.Wait()
				require.EqualValues(t, 1, b.hub.Stats().Reads.Snapshots, "they share one")
				b.src.mu.Lock()
				b.src.activities[id] = activity
				b.src.mu.Unlock()
				close(goOn)
				for range crowd {
					require.NoError(t, <-answers)
				}
			})
		})
	}
}

// TestThoseWhoComeBackAtOnceShareReads: a crowd that lacks the same lines waits for the few places there are, and what the
// first ones read is there for the others when it is their turn.
func TestThoseWhoComeBackAtOnceShareReads(t *testing.T) {
	t.Parallel()
	const crowd = 50
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
		got := make(chan string, crowd)
		for range crowd {
			p := follow(t, b.hub, id, 4)
			go func() { got <- p.frames() }()
		}
		synctest.Wait()
		close(goOn)
		for range crowd {
			require.Equal(t, "snapshot logs:5-9", <-got)
		}
		require.LessOrEqual(t, b.src.calls("Replay"), b.hub.cfg.CatchUpReads)
	})
}
