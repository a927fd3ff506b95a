package sidecar

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A pooler in transaction mode gives every transaction another session. Prepared statements, SET and session locks do
// not hold there, and nothing is heard through LISTEN. What a pooler cannot hide is that the process id it announced
// at the start is not the server's.

// errStandby: in recovery a snapshot does not list the transactions that are running, so a position would lose lines.
var errStandby = errors.New("this is a standby; the sidecar needs the primary (target_session_attrs=read-write finds it)")

// behindPooler reports whether conn talks to Postgres through a pooler. It returns errStandby on a standby.
func behindPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	var standby bool
	err := conn.QueryRow(ctx, "select pg_backend_pid(), pg_is_in_recovery()", pgx.QueryExecModeSimpleProtocol).Scan(&pid, &standby)
	if err == nil && standby {
		err = errStandby
	}
	return pid != conn.PgConn().PID(), err
}

// typed lets statements that are not prepared carry lists of ids: without the server's word on a parameter's type, pgx
// needs to know what the Go type stands for.
func typed(conn *pgx.Conn) {
	conn.TypeMap().RegisterDefaultPgType(idArray{}, "_uuid")
	conn.TypeMap().RegisterDefaultPgType(uuid.UUID{}, "uuid")
}

// unprepared makes connections opened from now on do without prepared statements, once pooled says so.
func unprepared(c *pgxpool.Config, pooled *atomic.Bool) {
	c.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		if pooled.Load() && cc.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
			cc.DefaultQueryExecMode = pgx.QueryExecModeExec
		}
		return nil
	}
	c.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		typed(conn)
		return nil
	}
}
