package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentexec/agentexec/internal/pgtest"
	"github.com/agentexec/agentexec/pkg/client"
)

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must[client.Log](t)(b.c.Update(b.ctx, b.create(t), "m"))
	for name, c := range watchers(t, b, nil) {
		t.Run(name, func(t *testing.T) {
			id := b.create(t)
			must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
			ctx, cancel := context.WithCancel(b.ctx)
			n := 0
			var end error
			for _, err := range c.Watch(ctx, id, 0) { // ended in the middle of a page
				n++
				end = err
				cancel()
			}
			require.Equal(t, 2, n)
			require.Equal(t, context.Canceled, end)

			// Ended while it waits, or while a statement runs. A connection is usable afterwards.
			for i := range 20 {
				ctx, cancel = context.WithCancel(b.ctx)
				next, stop := pull(ctx, c, id, 1)
				_, err := next()
				require.NoError(t, err)
				time.AfterFunc(time.Duration(i)*time.Millisecond/2, cancel)
				_, err = next()
				require.ErrorIs(t, err, context.Canceled)
				stop()
				must[uuid.UUID](t)(c.Create(b.ctx, "still there", ""))
			}
		})
	}
}

func TestWatchLeavesAConnAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.db.Conn(t)
	c, id := client.New(conn, wakeupsOnly), b.create(t)
	for line, err := range c.Watch(b.ctx, id, 0) {
		require.NoError(t, err)
		var channels int
		require.NoError(t, conn.QueryRow(b.ctx, "select count(*) from pg_listening_channels()").Scan(&channels))
		require.Zero(t, channels, "it only listens while it waits")
		if line.Seq == 4 {
			break
		}
		must[client.Log](t)(b.c.Update(b.ctx, id, "m"))
	}
	ended, cancel := context.WithCancel(b.ctx)
	cancel()
	n, err := conn.WaitForNotification(ended)
	require.Nil(t, n)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, conn.IsClosed())
}

func TestWatchGivesUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create(t)

	t.Run("TheConnBroke", func(t *testing.T) {
		conn := b.db.Conn(t)
		var end error
		for _, err := range client.New(conn).Watch(b.ctx, id, 0) {
			if end = err; err == nil {
				b.db.Exec(t, "select pg_terminate_backend($1)", int32(conn.PgConn().PID()))
			}
		}
		require.Error(t, end)
		require.NoError(t, b.ctx.Err())
		_, err := collect(t, client.New(conn).Watch(b.ctx, id, 0))
		require.Error(t, err)
	})
	t.Run("ThePoolWasClosed", func(t *testing.T) {
		pool := b.db.Pool(t)
		var end error
		for _, err := range client.New(pool).Watch(b.ctx, id, 0) {
			if end = err; err == nil {
				pool.Close()
			}
		}
		require.ErrorContains(t, end, "closed pool")
	})
	t.Run("WrongFromTheStart", func(t *testing.T) {
		for want, change := range map[string]func(*pgxpool.Config){
			"3D000": func(c *pgxpool.Config) { c.ConnConfig.Database = "agentexec_none" },
			"28000": func(c *pgxpool.Config) { c.ConnConfig.User = "agentexec_none" },
			"42501": func(c *pgxpool.Config) {
				c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
					return second(conn.Exec(ctx, "set role pg_signal_backend"))
				}
			},
		} {
			_, err := collect(t, client.New(b.db.Pool(t, change)).Watch(b.ctx, id, 0))
			var dbErr *client.DBError
			require.ErrorAs(t, err, &dbErr)
			if want == "28000" && dbErr.Code == "28P01" { // with passwords, the server does not tell which is wrong
				continue
			}
			require.Equal(t, want, dbErr.Code)
		}
	})
}

// A server without the schema, whose database is another's: Watch says so at once.
func TestWatchWithoutTheSchema(t *testing.T) {
	t.Parallel()
	_, err := collect(t, client.New(pgtest.Empty(t).Pool(t)).Watch(t.Context(), uuid.New(), 0))
	var dbErr *client.DBError
	require.ErrorAs(t, err, &dbErr)
	require.Equal(t, "3F000", dbErr.Code)
}
