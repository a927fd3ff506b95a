package source

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

// TestWatchReportsDatabaseOutage: the server closes every connection and takes none for a while.
func TestWatchReportsDatabaseOutage(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	r, outages := newRecorder()
	watcher := client.New(db.Pool(t, func(c *pgxpool.Config) { outages.Trace(c.ConnConfig) }))
	other := pgtest.New(t)
	c := client.New(db.Pool(t))
	id, err := c.Create(t.Context(), "research", "")
	require.NoError(t, err)
	lost, closed := make(chan error, 1), other.Conn(t)
	seq := 0
	for line, err := range NewDatabase(watcher, nil).Watch(t.Context(), id, 0) {
		require.NoError(t, err)
		seq++
		require.Equal(t, seq, line.Seq)
		if seq > 1 {
			continue
		}
		other.Exec(t, `alter database "`+db.Name+`" allow_connections false`)
		other.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, db.Name)
		go func() {
			lost <- <-r.events
			_, _ = closed.Exec(context.Background(), `alter database "`+db.Name+`" allow_connections true`)
			for range 10 { // the pool may have broken connections
				if _, err := c.Complete(context.Background(), id, ""); err == nil {
					break
				}
			}
		}()
	}
	require.Equal(t, 2, seq)
	require.Error(t, <-lost)
	require.NoError(t, r.next(t))
	require.Empty(t, r.events)
}

// TestWatchReportsOutageBehindSidecar: the connection to the sidecar stays, and the sidecar cannot read.
func TestWatchReportsOutageBehindSidecar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := pgtest.New(t)
	id := w.create(t, "research")
	r, outages := newRecorder()
	s, err := NewSidecar(SidecarConfig{URL: w.url, Outages: outages})
	require.NoError(t, err)
	s.probeEvery = 50 * time.Millisecond
	lines := make(chan client.Log, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for line, err := range s.Watch(ctx, id, 0) {
			if err == nil {
				lines <- line
			}
		}
	}()
	require.Equal(t, 1, (<-lines).Seq)
	other.Exec(t, `alter database "`+w.db.Name+`" allow_connections false`)
	other.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, w.db.Name)
	require.ErrorContains(t, r.next(t), ": the database cannot ")
	other.Exec(t, `alter database "`+w.db.Name+`" allow_connections true`)
	require.NoError(t, r.next(t))
	_, err = w.db.Conn(t).Exec(t.Context(), "select agentexec.append_log($1, 'more')", id)
	require.NoError(t, err)
	require.Equal(t, 2, (<-lines).Seq)
	cancel()
	<-ended
}

func TestDisconnected(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		&pgconn.PgError{Code: "57P01"}:                       true,
		&pgconn.PgError{Code: "53300"}:                       true,
		&pgconn.PgError{Code: "42883"}:                       false,
		&client.DBError{Code: "TA422"}:                       false,
		&RefusedError{Status: http.StatusServiceUnavailable}: true,
		&RefusedError{Status: http.StatusUnauthorized}:       false,
		&ConnectError{err: io.EOF}:                           true,
		&pgconn.ConnectError{}:                               true,
		context.DeadlineExceeded:                             true,
	} {
		require.Equal(t, want, Disconnected(err), "%#v", err)
	}
}
