package sidecar

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

// databaseProblem says what an error of pkg/client means to the caller of the API. What SQL refuses goes on in SQL's own
// words; of everything else the caller learns only whether to come back.
func databaseProblem(err error) *problem {
	if unreachable(err) {
		return newProblem(http.StatusServiceUnavailable, codeUnavailable, "the database cannot be reached; try again shortly")
	}
	db := (*client.DBError)(nil)
	if !errors.As(err, &db) {
		return internalProblem()
	}
	switch {
	case db.Code == codeNotFound:
		return newProblem(http.StatusNotFound, codeNotFound, db.Message)
	case db.Code == codeFinished:
		return newProblem(http.StatusConflict, codeFinished, db.Message)
	case errors.Is(err, client.ErrExists):
		// Postgres names the index; the id is all that can be taken.
		return newProblem(http.StatusConflict, codeExists, "an activity with this agent_id exists")
	case db.Code == codeInvalid,
		strings.HasPrefix(db.Code, "22"), // what cannot be a value of its type, such as a number of 200,000 digits
		strings.HasPrefix(db.Code, "54"): // what is beyond a limit of Postgres, such as JSON nested too deeply
		return newProblem(http.StatusUnprocessableEntity, codeInvalid, db.Message)
	case passing(db.Code):
		return newProblem(http.StatusServiceUnavailable, codeUnavailable, "the database cannot do this now; try again shortly")
	}
	return internalProblem()
}

func internalProblem() *problem {
	return newProblem(http.StatusInternalServerError, codeInternal, "something went wrong here; the log of the sidecar says more")
}

// unreachable reports whether no answer came from Postgres: it is down, or starting, or too slow to answer in time.
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

// passing reports whether the SQLSTATE is of an error that goes away by itself.
func passing(code string) bool {
	for _, class := range []string{
		"08",                      // connection exceptions
		"40",                      // serialization failures and deadlocks
		"53",                      // out of connections, memory or disk
		"55P03",                   // a lock was not to be had
		"57014",                   // statement_timeout
		"57P01", "57P02", "57P03", // shutting down, crashed, starting
		"25006", // a server that only reads: a failover is under way
	} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}
