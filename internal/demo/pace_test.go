package demo

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	t.Parallel()
	for total, want := range map[int64]time.Duration{
		0:                        0,
		1:                        25 * time.Second / 6,
		10 * minRate:             10 * time.Second,
		100 * minRate:            25 * time.Second,
		25 * int64(maxRate):      25 * time.Second,
		10 * 25 * int64(maxRate): 250 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPace(total, 25*time.Second)
			began := time.Now()
			require.NoError(t, p.spend(t.Context(), total/2))
			require.NoError(t, p.spend(t.Context(), total-total/2))
			require.InDelta(t, want.Seconds(), time.Since(began).Seconds(), 0.01)
		})
	}
}
