package sidecar_test

import (
	"fmt"
	"net/http"
	"os"
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

// TestNotificationQueueFillsUp: long before the queue is full, writers stop ringing for the sidecar. What Postgres says
// of the queue is made up here: it takes gigabytes to fill one.
func TestNotificationQueueFillsUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `create schema fake;
		create table fake.queue as select 0.1::float8 as usage;
		create function fake.pg_notification_queue_usage() returns float8 language sql as 'select q.usage from fake.queue q'`)
	s := start(t, db, func(cfg *sidecar.Config) {
		cfg.DatabaseURL += "&search_path=fake,pg_catalog" // in front of the real one
		cfg.PollInterval = 2 * patience
	})
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	last := 1
	write := func(rings int, why string) {
		t.Helper()
		ears := listen(t, db)
		for range 3 {
			s.append(t, id, "a line")
			last++
			require.Equal(t, last, so.expect(t, "logs", "a").Logs[0].Seq)
		}
		require.Equal(t, rings, ears.heard(t), why)
	}
	s.await(t, "agentexec_bell_hooked", 1)
	write(3, "there is room")
	db.Exec(t, "update fake.queue set usage = 0.51")
	s.await(t, "agentexec_bell_hooked", 0)
	require.InDelta(t, 0.51, s.metric(t, "agentexec_notification_queue_usage"), 0)
	write(0, "the queue is half full")
	s.awaitReadiness(t, http.StatusOK, "hearing")
	db.Exec(t, "update fake.queue set usage = 0.1")
	s.await(t, "agentexec_bell_hooked", 1)
	write(3, "there is room again")
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// TestStartsWhileTheNotificationQueueIsFull: no pulse finds room in the queue, so nothing is heard until it empties. That
// is no fault of the sidecar, which says why and reads on a timer. That NOTIFY fails is made up here.
func TestStartsWhileTheNotificationQueueIsFull(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `create schema fake;
		create table fake.queue as select 1.0::float8 as usage;
		create function fake.pg_notification_queue_usage() returns float8 language sql as 'select q.usage from fake.queue q';
		create table fake.echo (payload text);
		create function fake.refuse() returns trigger language plpgsql as $$ begin
			if (select q.usage from fake.queue q) >= 1 then raise 'too many notifications in the NOTIFY queue'; end if;
			return null; end $$;
		create constraint trigger refuse after insert on fake.echo deferrable initially deferred
			for each row execute function fake.refuse();
		create function fake.pg_notify(channel text, payload text) returns void language plpgsql as $$ begin
			insert into fake.echo values (payload); perform pg_catalog.pg_notify(channel, payload); end $$`)
	log := new(logtest.Buffer)
	s := start(t, db, func(cfg *sidecar.Config) {
		cfg.DatabaseURL += "&search_path=fake,pg_catalog"
		cfg.PollInterval = 2 * patience
		cfg.Logger = log.Logger()
	})
	s.awaitReadiness(t, http.StatusOK, "polling")
	require.Contains(t, log.String(), "the notification queue fills up")
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	for n := range 3 {
		s.append(t, id, "a line")
		so.lines(t, 1+n, 1)
	}
	db.Exec(t, "update fake.queue set usage = 0")
	s.awaitReadiness(t, http.StatusOK, "hearing")
	s.await(t, "agentexec_bell_hooked", 1)
	s.append(t, id, "rung")
	so.lines(t, 4, 1)
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// TestFullNotificationQueue fills a real queue, which Postgres has let be small since version 17. Nobody's commit
// fails because of the bell, and no line is late for long or lost.
func TestFullNotificationQueue(t *testing.T) {
	t.Parallel()
	found, err := devpg.Find(t.Context(), devpg.Options{BinDir: os.Getenv("AGENTEXEC_TEST_PG_BIN")})
	require.NoError(t, err)
	if found.Major < 17 {
		t.Skipf("Postgres %d cannot have a small queue; make test-matrix runs this with a newer one", found.Major)
	}
	server := pgtest.NewServer(t, map[string]string{"max_notify_queue_pages": "64"}) // half a megabyte
	db := server.New(t)
	s := start(t, db)
	id := s.create(t)
	so := s.open(t)
	so.sub(t, "a", id, 1)
	s.await(t, "agentexec_bell_hooked", 1)

	// The culprit listens, and forgets a transaction.
	culprit := db.Conn(t)
	for _, sql := range []string{"listen gossip", "begin", "select 1"} {
		_, err := culprit.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	writer := db.Conn(t)
	fill := func(until float64) {
		t.Helper()
		for usage, n := 0.0, 0; usage < until; n++ {
			err := writer.QueryRow(t.Context(), "select pg_notification_queue_usage() from pg_notify('gossip', $1)",
				fmt.Sprint(n, strings.Repeat("x", 4000))).Scan(&usage)
			var full *pgconn.PgError
			if err != nil {
				require.ErrorAs(t, err, &full)
				require.Contains(t, full.Message, "too many notifications")
				return
			}
			require.Less(t, n, 1000)
		}
	}
	fill(0.6)
	s.await(t, "agentexec_bell_hooked", 0)
	fill(2) // to the end
	require.Greater(t, s.usage(t, db), 0.9)
	for n := range 20 {
		s.append(t, id, "while the queue is full")
		so.lines(t, 1+n, 1)
	}
	require.Eventually(t, func() bool { return s.metric(t, "agentexec_notification_queue_usage") > 0.9 },
		patience, 50*time.Millisecond, "the metric shows it though the pulse finds no room")

	_, err = culprit.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	s.await(t, "agentexec_bell_hooked", 1)
	s.append(t, id, "rung again")
	so.lines(t, 21, 1)
	s.awaitReadiness(t, http.StatusOK, "hearing")
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
	s.await(t, "agentexec_bell_hooked", 1)
	conn := s.db.Conn(t)
	type session struct {
		Name    string
		PID     int32
		Idle    bool
		Since   time.Time // when that began
		Holding bool
	}
	seen := make(map[string]int)
	held := make(map[int32]time.Time)
	for range 500 {
		rows, err := conn.Query(t.Context(), `
			select a.application_name as name, a.pid, a.state = 'idle' as idle, a.state_change as since,
			       a.state like 'idle in%' or a.backend_xmin is not null or a.backend_xid is not null as holding
			from pg_stat_activity a
			where a.datname = current_database() and a.application_name like 'agentexec%' and a.state like 'idle%'`)
		require.NoError(t, err)
		sessions, err := pgx.CollectRows(rows, pgx.RowToStructByName[session])
		require.NoError(t, err)
		for _, session := range sessions {
			seen[session.Name]++
			require.True(t, session.Idle, "%s does nothing within a transaction", session.Name)
			if !session.Holding {
				continue
			}
			// The view reads state and snapshot one after the other, and a query may begin between the two. Seen twice
			// within one stretch of idleness, it is no such moment.
			require.NotEqual(t, held[session.PID], session.Since, "%s does nothing, and holds a snapshot", session.Name)
			held[session.PID] = session.Since
		}
	}
	require.Positive(t, seen["agentexec listener"])
	require.Positive(t, seen["agentexec tail"])
	require.Positive(t, seen["agentexec sidecar"])
	calm()
}
