package sidecar_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/sidecar"
)

// TestCrashesOfAnAsynchronousServer: writers that do not wait for the disk, and a server that is killed under them again
// and again. Each time lines are lost that subscribers have seen, and the transaction ids of the lost ones are handed
// out anew. Subscribers that stay connected are told which lines are void, and have in the end what the table has.
func TestCrashesOfAnAsynchronousServer(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{
		// WAL stays in memory, so that a kill loses it.
		"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "wal_buffers": "64MB",
		"bgwriter_lru_maxpages": "0", "autovacuum": "off", // it would flush as it commits
	})
	s := start(t, server.New(t), func(cfg *sidecar.Config) { // no client reads until it is over, however long that takes
		cfg.Feed.WriteTimeout, cfg.Feed.PongTimeout = time.Hour, time.Hour
	})
	ids := []uuid.UUID{s.create(t), s.create(t), s.create(t)}
	s.db.Exec(t, "checkpoint") // that there are such activities is not lost
	var sockets []*socket
	for n := range 9 {
		so := s.open(t)
		so.sub(t, "a", ids[n%3], 0)
		sockets = append(sockets, so)
	}

	pool := s.db.Pool(t, func(c *pgxpool.Config) { c.MaxConns = 4 })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			c := client.New(pool)
			for n := 0; ctx.Err() == nil; n++ {
				// After an error, the table shows whether the line was written.
				_, _ = c.Update(ctx, ids[n%3], fmt.Sprintf("writer %d, line %d", w, n))
			}
		})
	}
	crashes, lost, reused := 0, 0, 0
	for ; crashes < 8 && (crashes < 2 || lost == 0 || reused == 0); crashes++ {
		s.stopWALWriter(t)
		s.grow(t, ids[0], 30)
		last := s.last(t, ids[0])
		require.NoError(t, server.Kill())
		killed := time.Now()
		require.NoError(t, server.Restart(t.Context()))
		s.grow(t, ids[0], 30)
		gone, again := s.compare(t, ids[0], last, killed)
		lost, reused = lost+gone, reused+again
	}
	s.grow(t, ids[1], 20)
	stop()
	writers.Wait()
	for _, id := range ids {
		s.bulkLines(t, id, 1, "after all")
		_, err := s.c.Complete(t.Context(), id, "done")
		require.NoError(t, err)
	}
	told := 0
	for n, so := range sockets {
		told += s.has(t, so, ids[n%3])
	}
	t.Logf("of %d crashes %d lost lines that were there, %d handed out transaction ids again; %d resets were sent", crashes, lost, reused, told)
	require.Positive(t, lost, "nothing was lost: this proves nothing") // whether a socket had seen it is chance; TestLostLines makes sure of that
	require.Positive(t, reused)
}

// stopWALWriter stops the process that every full page of the log wakes to write it out, whatever its delay: it would leave
// only the last page to lose. The kill ends it with the others.
func (s *service) stopWALWriter(t testing.TB) {
	t.Helper()
	conn := s.db.Conn(t)
	require.Eventually(t, func() bool { // it may start a moment after the first session
		var pid int
		err := conn.QueryRow(t.Context(), "select a.pid from pg_stat_activity a where a.backend_type = 'walwriter'").Scan(&pid)
		return err == nil && syscall.Kill(pid, syscall.SIGSTOP) == nil
	}, patience, 10*time.Millisecond, "there is no WAL writer")
}

// lastLine is a line, and the transaction that wrote it.
type lastLine struct {
	seq     int
	written time.Time
	xid     int64
}

func (s *service) last(t testing.TB, id uuid.UUID) (l lastLine) {
	t.Helper()
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(), `
		select l.seq, l.created_at, l.xid
		from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id
		where a.agent_id = $1
		order by l.seq desc
		limit 1`, id).Scan(&l.seq, &l.written, &l.xid))
	return l
}

// compare returns 1 for: that line is not there any more; a transaction since then has an id that was used before.
func (s *service) compare(t testing.TB, id uuid.UUID, last lastLine, killed time.Time) (gone, again int) {
	t.Helper()
	require.NoError(t, s.db.Conn(t).QueryRow(t.Context(), `
		select (count(*) filter (where l.seq = $2 and l.created_at = $3) = 0)::int,
		       (count(*) filter (where l.created_at > $4 and l.xid <= $5::text::bigint) > 0)::int
		from agentexec.activity_log l
		join agentexec.activity a on a.id = l.activity_id
		where a.agent_id = $1`, id, last.seq, last.written, killed, fmt.Sprint(last.xid)).Scan(&gone, &again))
	return gone, again
}
