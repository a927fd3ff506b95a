package sidecar_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/devpg"
	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// The queue of notifications is the whole instance's: 8 GB unless set otherwise. It is emptied up to where the slowest
// listening session has read, and one that holds a transaction open reads nothing. When it is full, every NOTIFY fails
// at the commit of its transaction.

// smallQueue starts a server whose notification queue holds half a megabyte, which Postgres allows since version 17.
func smallQueue(t *testing.T) *pgtest.Database {
	t.Helper()
	found, err := devpg.Find(t.Context(), devpg.Options{BinDir: os.Getenv("AGENTEXEC_TEST_PG_BIN")})
	require.NoError(t, err)
	if found.Major < 17 {
		t.Skipf("Postgres %d cannot have a small queue; make test-matrix runs this with a newer one", found.Major)
	}
	return pgtest.NewServer(t, map[string]string{"max_notify_queue_pages": "64"}).New(t)
}

// fillQueue notifies until the queue is as full as that, or refuses more. A session that listens and has forgotten a
// transaction keeps the queue from being emptied; the function that is returned ends that.
func fillQueue(t *testing.T, db *pgtest.Database, until float64) (empty func()) {
	t.Helper()
	culprit, writer := db.Conn(t), db.Conn(t)
	for _, sql := range []string{"listen gossip", "begin", "select 1"} {
		_, err := culprit.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for usage, n := 0.0, 0; usage < until; n++ {
		err := writer.QueryRow(t.Context(), "select pg_notification_queue_usage() from pg_notify('gossip', $1)",
			fmt.Sprint(n, strings.Repeat("x", 4000))).Scan(&usage)
		if err != nil {
			var full *pgconn.PgError
			require.ErrorAs(t, err, &full)
			require.Contains(t, full.Message, "too many notifications")
			break
		}
		require.Less(t, n, 1000)
	}
	return func() {
		_, err := culprit.Exec(t.Context(), "rollback")
		require.NoError(t, err)
	}
}

// TestNotificationQueueFillsUp: long before the queue is full, writers stop notifying the sidecar, which reads on a timer.
func TestNotificationQueueFillsUp(t *testing.T) {
	t.Parallel()
	db := smallQueue(t)
	s := start(t, db)
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	last := 1
	write := func(notifications int, why string) {
		t.Helper()
		channel := listen(t, db)
		for range 3 {
			s.append(t, id, "a line")
			last++
			require.Equal(t, last, so.expect(t, "logs", "a").Logs[0].Seq)
		}
		require.Equal(t, notifications, channel.received(t), why)
	}
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	write(3, "there is room")
	empty := fillQueue(t, db, 0.6)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 0)
	write(0, "the queue is half full")
	s.awaitReadiness(t, http.StatusOK, "healthy")
	empty()
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	write(3, "there is room again")
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// TestFullNotificationQueue: no commit fails because of a full queue, and no line is late for long or lost.
func TestFullNotificationQueue(t *testing.T) {
	t.Parallel()
	db := smallQueue(t)
	s := start(t, db)
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)

	halfEmpty := fillQueue(t, db, 0.6)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 0)
	empty := fillQueue(t, db, 2) // to the end
	require.Greater(t, s.usage(t, db), 0.9)
	for n := range 20 {
		status := s.post(t, "/v1/activities/"+id.String()+"/logs", `{"message":"while the queue is full"}`).status
		require.Contains(t, []int{http.StatusCreated, http.StatusServiceUnavailable}, status, "never as if the line were wrong")
		if status != http.StatusCreated {
			s.append(t, id, "once more")
		}
		so.lines(t, 1+n, 1)
	}
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_notification_queue_usage") > 0.9 },
		patience, 50*time.Millisecond, "the metric shows it though no probe finds room")

	halfEmpty()
	empty()
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	s.append(t, id, "notified again")
	so.lines(t, 21, 1)
	s.awaitReadiness(t, http.StatusOK, "healthy")
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// TestStartsWhileTheNotificationQueueIsFull: the queue has no room for a probe, so none arrives until it empties. The
// sidecar is ready meanwhile: it logs the reason and reads on a timer.
func TestStartsWhileTheNotificationQueueIsFull(t *testing.T) {
	t.Parallel()
	db := smallQueue(t)
	empty := fillQueue(t, db, 2)
	log := new(logtest.Buffer)
	s := start(t, db, func(cfg *sidecar.Config) { cfg.Logger = log.Logger() })
	s.awaitReadiness(t, http.StatusOK, "polling")
	require.Contains(t, log.String(), "notification queue near full")
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	for n := range 3 {
		s.append(t, id, "a line")
		so.lines(t, 1+n, 1)
	}
	empty()
	s.awaitReadiness(t, http.StatusOK, "healthy")
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	s.append(t, id, "notified")
	so.lines(t, 4, 1)
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// usage is how full the queue is.
func (s *service) usage(t testing.TB, db *pgtest.Database) (usage float64) {
	t.Helper()
	require.NoError(t, db.Conn(t).QueryRow(t.Context(), "select pg_notification_queue_usage()").Scan(&usage))
	return usage
}

// TestSessionsHoldNothing: between two reads no session of the sidecar holds a transaction or a snapshot, whatever
// happens. One that did would keep vacuum from its work, and on the session that listens the queue would fill.
func TestSessionsHoldNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	calm := s.bystander(t)
	so := s.open(t)
	so.send(t, `{"type":"subscribe","sub":"l","list":{}}`)
	sleepy := s.open(t)
	sleepy.sub(t, "a", s.create(t, "two"), 0)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	conn := s.db.Conn(t)
	type session struct {
		Name string
		PID  int32
		Idle bool
		// Since is when the transaction began that holds; the view reads state and transaction one after the other, and
		// one that delivers notifications runs while the session is idle.
		Since   time.Time
		Holding bool
	}
	seen := make(map[string]int)
	held := make(map[int32]time.Time)
	sessions := func() (all []session) {
		rows, err := conn.Query(t.Context(), `
			select a.application_name as name, a.pid, a.state = 'idle' as idle, coalesce(a.xact_start, a.state_change) as since,
			       a.state like 'idle in%' or a.backend_xmin is not null or a.backend_xid is not null as holding
			from pg_stat_activity a
			where a.datname = current_database() and a.application_name like 'agentexec%' and a.state like 'idle%'`)
		require.NoError(t, err)
		all, err = pgx.CollectRows(rows, pgx.RowToStructByName[session])
		require.NoError(t, err)
		return all
	}
	for range 500 {
		for _, session := range sessions() {
			seen[session.Name]++
			require.True(t, session.Idle, "%s does nothing within a transaction", session.Name)
			if session.Holding {
				held[session.PID] = session.Since
			}
		}
	}
	for pid, since := range held {
		require.Eventually(t, func() bool {
			return !slices.ContainsFunc(sessions(), func(s session) bool { return s.PID == pid && s.Holding && s.Since.Equal(since) })
		}, 30*time.Second, 10*time.Millisecond, "a session does nothing, and holds a snapshot")
	}
	require.Positive(t, seen["agentexec listener"])
	require.Positive(t, seen["agentexec tail"])
	require.Positive(t, seen["agentexec sidecar"])
	calm()
}
