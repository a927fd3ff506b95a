package sidecar_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// metric reads one value from /metrics.
func (s *service) metric(t testing.TB, name string) float64 {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.url+"/metrics", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Accept-Encoding", "identity") // tests poll this
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// await polls a metric until it has the value.
func (s *service) await(t testing.TB, name string, value float64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.metric(t, name) == value }, patience, 10*time.Millisecond, name)
}

// channelListener counts the notifications on the channel.
type channelListener struct{ conn *pgx.Conn }

func listen(t *testing.T, db *pgtest.Database) channelListener {
	t.Helper()
	conn := db.Conn(t)
	_, err := conn.Exec(t.Context(), "listen agentexec")
	require.NoError(t, err)
	return channelListener{conn}
}

// received returns how many wake-ups came since the last call. A notification of the test's own ends the wait.
func (l channelListener) received(t *testing.T) (n int) {
	t.Helper()
	_, err := l.conn.Exec(t.Context(), "select pg_notify('agentexec', 'enough')")
	require.NoError(t, err)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		m, err := l.conn.WaitForNotification(ctx)
		cancel()
		require.NoError(t, err)
		switch m.Payload {
		case "enough":
			return n
		case "":
			n++
		}
	}
}

func TestWritersNotifyOnlyForSubscribers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := client.New(db.Pool(t))
	channel := listen(t, db)
	id, err := c.Create(t.Context(), "research", "queued")
	require.NoError(t, err)
	write := func() {
		_, err := c.Update(t.Context(), id, "a line")
		require.NoError(t, err)
		_, err = c.AppendLogs(t.Context(), []client.Entry{{AgentID: id, Message: "one"}, {AgentID: id, Message: "two"}})
		require.NoError(t, err)
	}

	write()
	require.Zero(t, channel.received(t), "there is no sidecar")

	s := start(t, db)
	write()
	require.Zero(t, channel.received(t), "nothing is watched")

	so := s.open(t)
	so.subscribe(t, id, 0)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	write()
	require.Equal(t, 2, channel.received(t), "one notification a commit")

	require.NoError(t, so.ws.Close())
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 0)
	write()
	require.Zero(t, channel.received(t), "the last subscriber has gone")

	so = s.open(t)
	so.subscribe(t, id, 0)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	s.stop()
	write()
	require.Zero(t, channel.received(t), "the sidecar has gone")
}

// TestWakeupModeChanges drives two sidecars over the threshold and back many times. Every line arrives, and none of them
// had to be found by the backstop poll.
func TestWakeupModeChanges(t *testing.T) {
	t.Parallel()
	const crossings, writers, burst = 6, 4, 60
	db := pgtest.New(t)
	// The backstop is out of reach: a line without a wake-up fails the test by its absence, too.
	slow := func(cfg *sidecar.Config) { cfg.PollInterval = 2 * patience }
	sidecars := []*service{start(t, db, slow), start(t, db, slow)}
	s := sidecars[0]
	pool := db.Pool(t, func(c *pgxpool.Config) { c.MaxConns = writers })
	id := s.create(t)
	var sockets []*socket
	for _, s := range sidecars {
		so := s.open(t)
		so.subscribe(t, id, 1)
		require.Equal(t, "snapshot", so.next(t).Type)
		sockets = append(sockets, so)
	}
	last := 1
	for range crossings {
		// Calm: one sidecar holds the lock, and each line arrives on its own.
		require.Eventually(t, func() bool {
			return sidecars[0].metric(t, `agentexec_wakeup_mode{mode="notified"}`)+sidecars[1].metric(t, `agentexec_wakeup_mode{mode="notified"}`) == 1
		}, patience, 10*time.Millisecond)
		for n := range 5 {
			s.append(t, id, fmt.Sprint("calm ", n))
			for _, so := range sockets {
				so.lines(t, last, 1)
			}
			last++
		}
		// Rush.
		var writing sync.WaitGroup
		for range writers {
			writing.Go(func() { rush(t, pool, id, burst) })
		}
		writing.Wait()
		for _, so := range sockets {
			so.lines(t, last, writers*burst)
		}
		last += writers * burst
	}
	for _, s := range sidecars {
		require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
	}
	taken := sidecars[0].metric(t, "agentexec_wakeup_lock_taken_total") + sidecars[1].metric(t, "agentexec_wakeup_lock_taken_total")
	require.GreaterOrEqual(t, taken, float64(crossings), "the threshold was not crossed")
}

func rush(t *testing.T, pool *pgxpool.Pool, id uuid.UUID, lines int) {
	c := client.New(pool)
	for n := range lines {
		if _, err := c.Update(t.Context(), id, fmt.Sprint("rush ", n)); err != nil {
			t.Error(err)
		}
	}
}

// TestWakeupBarrier has a writer probe before the sidecar takes the wake-up lock and commit long after: no notification is
// sent for its line.
func TestWakeupBarrier(t *testing.T) {
	t.Parallel()
	s := setup(t, func(cfg *sidecar.Config) { cfg.PollInterval = 2 * patience })
	id := s.create(t)
	tx, err := s.db.Pool(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = s.c.WithTx(tx).Update(t.Context(), id, "written early, committed late")
	require.NoError(t, err)

	so := s.open(t)
	so.subscribe(t, id, 1)
	require.Equal(t, "snapshot", so.next(t).Type)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	require.NoError(t, tx.Commit(t.Context()))
	so.lines(t, 1, 1)
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}
