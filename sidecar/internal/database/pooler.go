package database

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/pgurl"
)

// A pooler in transaction mode gives every transaction another session. Prepared statements, SET and session locks do not last
// there, and notifications do not arrive.

// errStandby rejects a standby. In recovery, a snapshot does not list the running transactions, so a position would lose
// lines.
var errStandby = errors.New("this is a standby; the sidecar needs the primary (target_session_attrs=read-write finds it)")

// behindPooler reports whether conn talks to Postgres through a pooler. It returns errStandby on a standby.
func behindPooler(ctx context.Context, conn *pgx.Conn) (bool, error) {
	pooled, standby, err := pgurl.BehindPooler(ctx, conn)
	if err == nil && standby {
		err = errStandby
	}
	return pooled, err
}

// typed lets unprepared statements carry lists of ids. Without the parameter types from the server, pgx must know what the Go
// type stands for.
func typed(conn *pgx.Conn) {
	conn.TypeMap().RegisterDefaultPgType(IDs{}, "_uuid")
	conn.TypeMap().RegisterDefaultPgType(uuid.UUID{}, "uuid")
}

// unprepared configures a connection without prepared statements.
func unprepared(c *pgx.ConnConfig) {
	if c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
}
