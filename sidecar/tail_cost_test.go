package sidecar_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/auth"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// TestTailReadCostFollowsChanges: the tail sends the same to Postgres for a line with one watcher and with 2,000
// sockets whose lists have 2,000 scopes and filters, and which watch 2,000 activities.
func TestTailReadCostFollowsChanges(t *testing.T) {
	t.Parallel()
	const lines = 100
	sockets := 2000
	if raceEnabled {
		sockets /= 4
	}
	db := pgtest.New(t)
	p, through := before(t, db.URL)
	s := start(t, db, withTokens, func(c *sidecar.Config) {
		c.ListenURL = through // the tail and the listener
		c.Feed.ListRefresh, c.PollInterval = time.Hour, time.Hour
		c.Feed.PongTimeout = time.Hour // most of the sockets are not read from
	})
	id := s.create(t)
	watcher := s.dialWith(t, "/v1/feed", token(t, auth.Everything()))
	require.Equal(t, "welcome", watcher.next(t).Type)
	watcher.subscribe(t, id, 1)
	watcher.expect(t, "snapshot", id.String())
	last := 1
	cost := func() float64 {
		t.Helper()
		s.append(t, id, "the first after a pause")
		watcher.lines(t, last, 1)
		last++
		sent := p.sent.Load()
		for range lines {
			s.append(t, id, "a line")
			watcher.lines(t, last, 1)
			last++
		}
		return float64(p.sent.Load()-sent) / lines
	}
	alone := cost()

	for n := range sockets {
		so := s.dialWith(t, "/v1/feed", token(t, auth.Grant{
			Subject: fmt.Sprint("ada", n), Read: true,
			Scope: client.Scope{Metadata: map[string]any{"org": fmt.Sprint(n)}},
		}))
		require.Equal(t, "welcome", so.next(t).Type)
		so.send(t, fmt.Sprintf(`{"type":"subscribe","sub":"l","list":{"metadata":{"team":"%d"}}}`, n))
		so.expect(t, "snapshot", "l")
	}
	withSockets := cost()
	t.Logf("bytes to Postgres for a line: %.0f, with %d sockets %.0f", alone, sockets, withSockets)
	require.Less(t, withSockets, 1.5*alone)
}
