package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelay(t *testing.T) {
	t.Parallel()
	for _, each := range []struct {
		failures int
		want     time.Duration
	}{
		{-1, time.Second}, {0, time.Second}, {1, 2 * time.Second}, {4, 16 * time.Second}, {5, 30 * time.Second}, {31, 30 * time.Second},
		{33, 30 * time.Second}, {1 << 40, 30 * time.Second},
	} {
		for range 100 {
			d := Delay(each.failures, time.Second, 30*time.Second)
			require.LessOrEqual(t, d, each.want)
			require.GreaterOrEqual(t, d, each.want/2)
		}
	}
}

func TestDelaysDiffer(t *testing.T) {
	t.Parallel()
	seen := make(map[time.Duration]bool)
	for range 100 {
		seen[Delay(3, time.Second, time.Minute)] = true
	}
	require.Greater(t, len(seen), 50)
}

func TestGrowing(t *testing.T) {
	t.Parallel()
	g := Growing{Least: time.Second, Most: 4 * time.Second}
	for range 2 {
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
			d := g.Next()
			require.LessOrEqual(t, d, want)
			require.GreaterOrEqual(t, d, want/2)
		}
		g.Reset()
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.NoError(t, Wait(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, Wait(ctx, time.Minute), context.DeadlineExceeded)
		require.ErrorIs(t, Wait(ctx, 0), context.DeadlineExceeded)
	})
}
