package problem

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentexec/agentexec/pkg/client"
)

// OfDatabase maps an error of pkg/client to a problem. A refusal of SQL keeps SQL's own text. 422 means that the same request
// can never succeed, so that a client may drop it; 503 means a condition that may end by itself. For any other error, the
// caller learns only that the request was not the cause.
func OfDatabase(err error) *Problem {
	if unreachable(err) {
		return New(http.StatusServiceUnavailable, CodeUnavailable, "the database cannot be reached; try again shortly")
	}
	db := (*client.DBError)(nil)
	if !errors.As(err, &db) {
		return Internal()
	}
	pg := (*pgconn.PgError)(nil)
	_ = errors.As(err, &pg)
	switch {
	case db.Code == codeNotFound:
		return New(http.StatusNotFound, codeNotFound, db.Message)
	case db.Code == codeFinished:
		return New(http.StatusConflict, codeFinished, db.Message)
	case errors.Is(err, client.ErrExists):
		return New(http.StatusConflict, codeExists, "an activity with this agent_id exists")
	case db.Code == codeLocked:
		return Locked()
	case passing(db.Code), queueFull(pg):
		return New(http.StatusServiceUnavailable, CodeUnavailable, "the database cannot do this now; try again shortly")
	case db.Code == CodeInvalid,
		strings.HasPrefix(db.Code, "22"), // a value that its type cannot hold, such as a number of 200,000 digits
		strings.HasPrefix(db.Code, "54"): // a value beyond a limit of Postgres, such as JSON nested too deeply
		return New(http.StatusUnprocessableEntity, CodeInvalid, db.Message)
	}
	return Internal()
}

// Locked returns the answer for a row that stays locked.
func Locked() *Problem {
	return New(http.StatusServiceUnavailable, codeLocked,
		"another transaction has kept the activity locked for seconds, such as a worker that is idle in a transaction; try again shortly")
}

// queueFull reports whether the instance's notification queue is full. Its SQLSTATE (54000) is shared with other limits, and
// its message may be in any language; its source file in Postgres is always the same.
func queueFull(pg *pgconn.PgError) bool {
	return pg != nil && pg.Code == "54000" && pg.File == "async.c"
}

// Internal returns the answer to a failure of the sidecar's own.
func Internal() *Problem {
	return New(http.StatusInternalServerError, codeInternal, "something went wrong here; the log of the sidecar says more")
}

// unreachable reports whether Postgres did not answer: it is down, or starting, or too slow to answer in time.
func unreachable(err error) bool {
	var (
		refused *pgconn.ConnectError
		network net.Error
	)
	return errors.As(err, &refused) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// passing reports whether the SQLSTATE is of a temporary error.
func passing(code string) bool {
	for _, class := range []string{
		"08",    // connection exceptions, also of a pooler
		"25006", // a read-only server: a failover is in progress
		"25P03", // idle_in_transaction_session_timeout
		"25P04", // transaction_timeout
		"26000", // a prepared statement that a pooler has lost
		"40",    // serialization failures and deadlocks
		"53",    // out of connections, memory or disk
		"55006", // an object in use
		"55P03", // a lock was not available in time
		"57",    // canceled, shutting down, crashed, starting, idle for too long
		"58",    // files and disks
	} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}
