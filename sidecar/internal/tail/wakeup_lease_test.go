package tail

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSlowReadsHaveLongerCooldown(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{
		0:                       minCooldown,
		time.Millisecond:        minCooldown,
		3 * time.Millisecond:    9 * time.Millisecond,
		200 * time.Millisecond:  maxCooldown,
		200 * time.Microsecond:  minCooldown,
		3500 * time.Microsecond: 10500 * time.Microsecond,
	} {
		pause, listen := (&wakeupLease{fast: true, took: took}).pause()
		assert.Equal(t, want, pause, "after a read of %s", took)
		assert.False(t, listen, "no writer notifies")
	}
}
