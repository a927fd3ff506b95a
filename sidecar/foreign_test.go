package sidecar_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/logtest"
	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/sidecar"
)

// dumped is what a dump of the data holds.
var dumped = []string{"agentexec.activity", "agentexec.activity_log"}

// dump copies the data out of one cluster.
func dump(t *testing.T, conn *pgx.Conn) (tables [][]byte) {
	t.Helper()
	for _, table := range dumped {
		var b bytes.Buffer
		_, err := conn.PgConn().CopyTo(t.Context(), &b, "copy "+table+" to stdout")
		require.NoError(t, err)
		tables = append(tables, b.Bytes())
	}
	return tables
}

// restore copies it into another one.
func restore(t *testing.T, conn *pgx.Conn, tables [][]byte) {
	t.Helper()
	for i, table := range dumped {
		_, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(tables[i]), "copy "+table+" from stdin")
		require.NoError(t, err)
	}
	_, err := conn.Exec(t.Context(), "select setval('agentexec.activity_log_id_seq', max(id)) from agentexec.activity_log")
	require.NoError(t, err)
}

// useUp has the cluster's counter of transactions go on.
func useUp(t *testing.T, conn *pgx.Conn, n int) (xid uint64) {
	t.Helper()
	for range n {
		require.NoError(t, conn.QueryRow(t.Context(), "select pg_current_xact_id()::text::bigint").Scan(&xid))
	}
	return xid
}

// A dump brings transaction ids of another cluster along, which lie in this one's future. They never count as new lines:
// neither when they come, nor when the counter here comes to them.
func TestRestoredIntoAnotherCluster(t *testing.T) {
	t.Parallel()
	const lines, step = 40, 20
	source := pgtest.NewServer(t, nil).New(t)
	there := source.Conn(t)
	useUp(t, there, 200)
	_, err := there.Exec(t.Context(), "select setval('agentexec.activity_log_id_seq', 1000)") // none of these ids is taken here
	require.NoError(t, err)
	elsewhere := start(t, source)
	id := elsewhere.create(t)
	for n := range lines {
		useUp(t, there, 3)
		elsewhere.append(t, id, fmt.Sprint("line ", n))
	}
	elsewhere.stop()
	highest := useUp(t, there, 1)
	data := dump(t, there)

	db := pgtest.NewServer(t, nil).New(t)
	here := db.Conn(t)
	require.Less(t, useUp(t, here, 1)+5*step, highest, "the lines must come from the future")
	log := new(logtest.Buffer)
	s := start(t, db, func(cfg *sidecar.Config) { cfg.PollInterval, cfg.Logger = 50*time.Millisecond, log.Logger() })
	other := s.create(t)
	so := s.open(t)
	so.subscribe(t, other, 1)
	require.Equal(t, "snapshot", so.next(t).Type)
	s.append(t, other, "live: the tail has a position")
	so.lines(t, 1, 1)

	// They come while the tail runs, and it notices.
	restore(t, here, data)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "restored from another cluster") }, patience, 20*time.Millisecond)

	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, lines+1)
	reads := func() float64 { return s.metric(t, "agentexec_tail_read_seconds_count") }
	last := lines + 1
	for xid := uint64(0); xid < highest; {
		xid = useUp(t, here, step)
		seen := reads()
		require.Eventually(t, func() bool { return reads() > seen+1 }, patience, time.Millisecond)
		s.append(t, id, "written here")
		so.lines(t, last, 1)
		last++
	}
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
	require.Equal(t, 1, strings.Count(log.String(), "restored from another cluster"), "found once")
}

// New lines arrive at once whatever ids they have: a truncated table begins again at 1, below the ids that a dump brought.
func TestTruncatedAfterARestore(t *testing.T) {
	t.Parallel()
	source := pgtest.NewServer(t, nil).New(t)
	there := source.Conn(t)
	useUp(t, there, 300)
	_, err := there.Exec(t.Context(), "select setval('agentexec.activity_log_id_seq', 1000), agentexec.create_activity('research')")
	require.NoError(t, err)
	db := pgtest.NewServer(t, nil).New(t)
	here := db.Conn(t)
	restore(t, here, dump(t, there))

	s := start(t, db)
	so := s.open(t)
	so.subscribe(t, s.create(t), 1) // the tail takes up its position beside the foreign lines
	require.Equal(t, "snapshot", so.next(t).Type)
	s.append(t, s.create(t), "another activity's")
	// In the order in which the tail's statements lock the tables: in another one, both could wait for each other.
	_, err = here.Exec(t.Context(), "truncate agentexec.activity_log, agentexec.activity_heartbeat, agentexec.question, agentexec.activity restart identity")
	require.NoError(t, err)
	id := s.create(t)
	so = s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 1)
	for n := range 3 {
		s.append(t, id, "written here")
		so.lines(t, n+1, 1)
	}
	var low bool
	require.NoError(t, here.QueryRow(t.Context(), "select max(id) < 1000 from agentexec.activity_log").Scan(&low))
	require.True(t, low)
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}

// A logical subscriber is live: the lines that it applies have transaction ids of its own, also where the publisher's
// counter is lower, and are notified.
func TestLogicalSubscriberIsLive(t *testing.T) {
	t.Parallel()
	// Its keepalives tell the subscriber how far it has come: a quiet publisher sends one in half of this time.
	publisher := pgtest.NewServer(t, map[string]string{"wal_level": "logical", "wal_sender_timeout": "2s"}).New(t)
	subscriber := pgtest.NewServer(t, nil).New(t)
	there, here := publisher.Conn(t), subscriber.Conn(t)
	require.Greater(t, useUp(t, here, 500), useUp(t, there, 1)+200, "the subscriber's counter must be ahead")
	exec := func(conn *pgx.Conn, sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	var id uuid.UUID
	require.NoError(t, there.QueryRow(t.Context(), "select agentexec.create_activity('research')").Scan(&id))
	// An append that takes over 10 ms sets the time of its line again: an UPDATE, with the publisher's transaction id in it.
	exec(there, `create function public.slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.02); return new; end'`)
	exec(there, "create trigger slow before insert on agentexec.activity_log for each row when (new.seq % 2 = 0) execute function public.slow()")
	exec(there, "create publication p for table agentexec.activity, agentexec.activity_log")
	exec(here, fmt.Sprintf("create subscription s connection '%s' publication p", publisher.URL))
	t.Cleanup(func() {
		_, err := here.Exec(context.Background(), "drop subscription s")
		require.NoError(t, err)
	})

	// Rarely enough that only a notification brings a line in time.
	s := start(t, subscriber, func(cfg *sidecar.Config) { cfg.PollInterval = 2 * patience })
	require.Eventually(t, func() bool {
		var tables int // that have been copied, and are followed together
		require.NoError(t, here.QueryRow(t.Context(), "select count(*) from pg_subscription_rel where srsubstate = 'r'").Scan(&tables))
		return tables == 2
	}, patience, 10*time.Millisecond)
	so := s.open(t)
	so.subscribe(t, id, 0)
	require.Equal(t, "snapshot", so.next(t).Type)
	so.lines(t, 0, 1)
	s.await(t, `agentexec_wakeup_mode{mode="notified"}`, 1)
	for n := range 5 {
		_, err := there.Exec(t.Context(), "select agentexec.append_log($1, 'from the publisher')", id)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var lines int
			require.NoError(t, here.QueryRow(t.Context(), "select count(*) from agentexec.activity_log").Scan(&lines))
			return lines == n+2
		}, patience, time.Millisecond, "Postgres did not apply the line")
		so.lines(t, n+1, 1)
	}
	require.Zero(t, s.metric(t, "agentexec_missed_lines_total"))
}
