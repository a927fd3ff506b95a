package sidecar

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestReadsRestWhenTheyAreSlow(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{
		0:                       unhookedPoll,
		time.Millisecond:        unhookedPoll,
		3 * time.Millisecond:    9 * time.Millisecond,
		200 * time.Millisecond:  unhookedMost,
		200 * time.Microsecond:  unhookedPoll,
		3500 * time.Microsecond: 10500 * time.Microsecond,
	} {
		pause, listen := (&hook{fast: true, took: took}).pause()
		assert.Equal(t, want, pause, "after a read of %s", took)
		assert.False(t, listen, "nobody rings")
	}
}
