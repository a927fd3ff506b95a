package wsfeed

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPingsEveryTwentySeconds: proxies close a connection that is silent for 50 s or more.
func TestPingsEveryTwentySeconds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bundle) {
		c := b.pipe(t)
		_ = c.ws.SetReadDeadline(time.Time{})
		began := time.Now()
		var at []time.Duration
		answer := c.ws.PingHandler()
		c.ws.SetPingHandler(func(data string) error {
			at = append(at, time.Since(began))
			return answer(data)
		})
		ended := make(chan error)
		go func() {
			_, _, err := c.ws.ReadMessage()
			ended <- err
		}()
		time.Sleep(61 * time.Second) //nolint:forbidigo // the bubble's time
		_ = c.ws.Close()
		require.Error(t, <-ended)
		require.Equal(t, []time.Duration{20 * time.Second, 40 * time.Second, 60 * time.Second}, at)
	})
}
