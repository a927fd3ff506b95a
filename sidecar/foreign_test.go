package sidecar_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

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

// A dump brings transaction ids of another cluster along, which lie in this one's future. They are never taken for news:
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
	s := start(t, db, func(cfg *sidecar.Config) { cfg.PollInterval = 50 * time.Millisecond })
	other := s.create(t)
	so := s.open(t)
	so.subscribe(t, other, 1)
	require.Equal(t, "snapshot", so.next(t).Type)

	// They come while the tail runs, and it notices.
	restore(t, here, data)
	require.Eventually(t, func() bool {
		var known int64
		require.NoError(t, here.QueryRow(t.Context(), "select foreign_id from agentexec.installation").Scan(&known))
		return known > 1000
	}, patience, 20*time.Millisecond)

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
}
