package tail

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLineTimes(t *testing.T) {
	t.Parallel()
	c := &clock{}
	at := time.Date(2026, 11, 24, 10, 11, 12, 345678000, time.UTC)
	line := []byte(`{"id": 1, "seq": 1, "data": {"created_at": "1999-01-01T00:00:00Z"}, "status": "RUNNING", ` +
		`"message": "\"created_at\": \"1998-01-01T00:00:00Z\"", "created_at": "2026-11-24T10:11:12.345678Z", "percentage": null}`)
	require.Equal(t, at.UnixNano(), c.written(line))
	c.ahead.Store(int64(3 * time.Second))
	require.Equal(t, at.Add(-3*time.Second).UnixNano(), c.written(line))
	for _, none := range []string{``, `{}`, `{"created_at": "`, `{"created_at": "soon"}`, `{"created_at": null}`} {
		require.Zero(t, c.written([]byte(none)))
	}
}

func TestLag(t *testing.T) {
	t.Parallel()
	var l lag
	require.Zero(t, l.seconds())
	now := time.Now()
	for _, age := range []time.Duration{time.Minute, time.Hour, time.Second} {
		l.add(now.Add(-age).UnixNano())
	}
	l.add(0) // of a line that does not say
	require.Equal(t, 4, l.lines)
	require.InDelta(t, time.Hour.Seconds(), l.seconds(), 30)
	l = lag{}
	l.add(now.Add(time.Hour).UnixNano())
	require.Zero(t, l.seconds(), "clocks are never exact")
}
