package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentexec/agentexec/pkg/client/internal/sqlcall"
)

// The kinds of errors a caller can handle, for errors.Is. The [DBError] that matches one has the message of Postgres.
var (
	// ErrNotFound: there is no such activity (SQLSTATE TA404), or it does not match the metadata filter.
	ErrNotFound = errors.New("no such activity")
	// ErrFinished: the activity's status does not allow the requested one (SQLSTATE TA409). The activity is COMPLETE or
	// CANCELED, or it is ERROR and the requested status is neither QUEUED nor RUNNING.
	ErrFinished = errors.New("the activity is finished")
	// ErrInvalid: an argument is out of its bounds (SQLSTATE TA422), or is no value of its type at all, such as text with a
	// NUL or an unknown status (SQLSTATE class 22).
	ErrInvalid = errors.New("invalid argument")
	// ErrExists: the agent_id given to Create is taken (SQLSTATE 23505 of the constraint activity_agent_id_key).
	ErrExists = errors.New("the activity exists")
	// ErrRunning: Run cannot take over the activity because it is RUNNING, so it may have a worker.
	ErrRunning = errors.New("the activity is RUNNING")
	// ErrCanceled: a cancel of the activity of a Run was requested, or the activity is CANCELED. The context of work ends with
	// it as the cause, and the error of Run wraps it.
	ErrCanceled = errors.New("the activity is canceled")
	// ErrReplaced: the activity of a Run was queued again, or another worker has taken it over.
	ErrReplaced = errors.New("another worker has the activity")
	// ErrReset: the database has fewer lines than Watch has read from it, or other ones. Either a restore or a failover lost
	// some; then start Watch again from a Seq that you trust. Or the activity was deleted and created again, and has other
	// lines from Seq 1 on.
	ErrReset = errors.New("the database lost lines that were already read")
)

// errDecode means that this package does not fit the functions installed in the database.
var errDecode = errors.New("agentexec: unexpected JSON from Postgres")

// DBError is an error from Postgres. errors.Is finds its kind. errors.As finds it in any error of this package, and the
// *pgconn.PgError in it.
type DBError struct {
	// Code is the SQLSTATE, such as "TA409". If this package detects the error first (JSON that cannot be made, NUL in a
	// text), Code is the one that Postgres would give.
	Code string
	// Message is one line for people, such as "percentage must be between 0 and 100, got 101".
	Message string
	// Detail and Hint have more text; they are often empty.
	Detail, Hint string

	err error
}

// Error returns the message and the code.
func (e *DBError) Error() string { return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code) }

// SQLState returns the code.
func (e *DBError) SQLState() string { return e.Code }

// Is reports whether target is the sentinel for the code.
func (e *DBError) Is(target error) bool {
	kind := sentinel(e.Code)
	if pg := (*pgconn.PgError)(nil); kind == ErrExists && errors.As(e.err, &pg) && pg.ConstraintName != agentIDKey {
		return false // another key, such as that of the log's lines
	}
	return kind != nil && kind == target
}

// Unwrap returns the error from pgx, nil where Postgres was not asked.
func (e *DBError) Unwrap() error { return e.err }

// agentIDKey is the constraint that a taken agent_id violates.
const agentIDKey = "activity_agent_id_key"

// sentinel returns the sentinel of a SQLSTATE, nil for all others. No other place has this mapping.
func sentinel(code string) error {
	switch code {
	case "TA404":
		return ErrNotFound
	case "TA409":
		return ErrFinished
	case "TA422":
		return ErrInvalid
	case "23505":
		return ErrExists
	}
	if len(code) == 5 && code[:2] == "22" { // data exception
		return ErrInvalid
	}
	return nil
}

// dbError makes a DBError of an error from Postgres, or of an argument that was not sent there, and adds the failed action to any
// other error.
func dbError(doing string, err error) error {
	if err == nil {
		return nil
	}
	if wrong := (*sqlcall.ArgumentError)(nil); errors.As(err, &wrong) {
		return &DBError{Code: wrong.Code, Message: wrong.Message}
	}
	if state := (interface{ SQLState() string })(nil); errors.As(err, &state) {
		e := &DBError{Code: state.SQLState(), Message: err.Error(), err: err}
		if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
			e.Message, e.Detail, e.Hint = pg.Message, pg.Detail, pg.Hint
		}
		return e
	}
	return fmt.Errorf("agentexec: %s: %w", doing, err)
}

func invalid(message string) error { return &DBError{Code: "TA422", Message: message} }

// isAny reports whether errors.Is finds one of the targets in err.
func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// sqlState returns the SQLSTATE in err, "" if there is none.
func sqlState(err error) string {
	if e := (*DBError)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}
