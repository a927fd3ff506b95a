// Package sqlcall builds calls of the SQL functions of agentexec, and runs them, also in a scope. It knows how values travel to
// Postgres, and no function by its name. Its errors are those of pgx, or an ArgumentError where Postgres was not asked.
//
// May import: nothing of this module; pgx and google/uuid.
package sqlcall

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// DB runs the statements: a pool, a connection or a transaction.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// ArgumentError is the error of a call that was not sent, because an argument is wrong.
type ArgumentError struct {
	// Code is the SQLSTATE that Postgres would give.
	Code    string
	Message string
}

// Error implements error.
func (e *ArgumentError) Error() string { return e.Message }

func invalid(format string, args ...any) error {
	return &ArgumentError{Code: "TA422", Message: fmt.Sprintf(format, args...)}
}

// Call is a call of one SQL function, in named notation. It leaves out arguments that are not given, so that their defaults are
// in one place, the SQL: Text, UUID, Int, Bool and Interval leave out a zero value; IntPtr, BoolPtr and IntervalPtr leave out
// nil. Every value travels as text with a cast beside it. That means the same in all exec modes of pgx, avoids typed nulls, and
// lets Postgres reject values that do not fit their type. Types are qualified, and there are no operators, because the
// connection's search_path is the caller's own.
type Call struct {
	schema, function, scope string
	names                   []string
	args                    []any
	err                     error
}

// New returns a call without arguments. The name of the schema is given quoted. The scope is the text of a client.Scope, "" for
// that of the session.
func New(schema, function, scope string) *Call {
	return &Call{schema: schema, function: function, scope: scope}
}

// Function returns the name of the function.
func (q *Call) Function() string { return q.function }

// fail notes the first error, which Run returns.
func (q *Call) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// Arg adds an argument of the type.
func (q *Call) Arg(name, typ, value string) *Call {
	if strings.ContainsRune(value, 0) {
		// Postgres refuses it too, but the simple protocol cannot even carry it.
		q.fail(&ArgumentError{Code: "22021", Message: name + ` must not contain a NUL character (U+0000)`})
	}
	return q.add(name, typ, value)
}

func (q *Call) add(name, typ string, value any) *Call { return q.expression(name, "", value, "::"+typ) }

// expression adds an argument that is an expression of the value: the SQL before and after its parameter is given.
func (q *Call) expression(name, before string, value any, after string) *Call {
	q.args = append(q.args, value)
	q.names = append(q.names, fmt.Sprintf("%s => %s$%d%s", name, before, len(q.args), after))
	return q
}

// Null adds a NULL of the type, where that means something else than the default.
func (q *Call) Null(name, typ string) *Call { return q.add(name, typ, nil) }

// Text adds a text unless it is empty.
func (q *Call) Text(name, value string) *Call {
	if value == "" {
		return q
	}
	return q.Arg(name, "pg_catalog.text", value)
}

// UUID adds an id unless it is uuid.Nil.
func (q *Call) UUID(name string, id uuid.UUID) *Call {
	if id == uuid.Nil {
		return q
	}
	return q.UUIDPtr(name, &id)
}

// UUIDPtr adds an id unless it is nil.
func (q *Call) UUIDPtr(name string, id *uuid.UUID) *Call {
	if id == nil {
		return q
	}
	return q.Arg(name, "pg_catalog.uuid", id.String())
}

// Bool adds true, unless it is false.
func (q *Call) Bool(name string, value bool) *Call {
	if !value {
		return q
	}
	return q.BoolPtr(name, &value)
}

// BoolPtr adds a truth value unless it is nil.
func (q *Call) BoolPtr(name string, value *bool) *Call {
	if value == nil {
		return q
	}
	return q.Arg(name, "pg_catalog.bool", strconv.FormatBool(*value))
}

// Int adds a number unless it is 0.
func (q *Call) Int(name string, value int) *Call {
	if value == 0 {
		return q
	}
	return q.IntPtr(name, &value)
}

// IntPtr adds a number unless it is nil.
func (q *Call) IntPtr(name string, value *int) *Call {
	if value == nil {
		return q
	}
	return q.Arg(name, "pg_catalog.int4", strconv.Itoa(*value))
}

// Interval adds a duration unless it is 0.
func (q *Call) Interval(name string, d time.Duration) *Call {
	if d == 0 {
		return q
	}
	return q.IntervalPtr(name, &d)
}

// IntervalPtr adds a duration unless it is nil.
func (q *Call) IntervalPtr(name string, d *time.Duration) *Call {
	if d == nil {
		return q
	}
	return q.Arg(name, "pg_catalog.interval", interval(*d))
}

// interval returns a duration as Postgres reads it.
func interval(d time.Duration) string { return fmt.Sprintf("%d microseconds", d.Microseconds()) }

// When adds a moment: a time, or a duration before now, by the clock of Postgres. It adds nothing where both are nil.
func (q *Call) When(name string, at *time.Time, before *time.Duration) *Call {
	switch {
	case at != nil:
		q.Arg(name, "pg_catalog.timestamptz", at.Format(time.RFC3339Nano))
	case before != nil:
		q.expression(name, "(pg_catalog.statement_timestamp() operator(pg_catalog.-) ", interval(*before), "::pg_catalog.interval)")
	}
	return q
}

// Statuses adds a list of statuses unless it is empty.
func (q *Call) Statuses(name string, statuses []string) *Call {
	if len(statuses) == 0 {
		return q
	}
	return q.add(name, "pg_catalog.text[]::"+q.schema+".status[]", statuses)
}

// JSON adds a JSON value. The caller must not pass a nil value, nor a nil map in it.
func (q *Call) JSON(name string, value any) *Call {
	data, err := json.Marshal(value)
	if err != nil {
		q.fail(invalid("%s cannot be written as JSON: %v", name, err))
	}
	return q.Arg(name, "pg_catalog.jsonb", string(data))
}

// Object adds a JSON object unless it is nil.
func (q *Call) Object(name string, value map[string]any) *Call {
	if value == nil {
		return q
	}
	return q.JSON(name, value)
}

// Filter adds a metadata filter, an object or an array of objects, unless it is nil. An error makes the call fail.
func (q *Call) Filter(filter any, err error) *Call {
	switch {
	case err != nil:
		q.fail(invalid("metadata_filter: %v", err))
	case filter != nil:
		q.JSON("metadata_filter", filter)
	}
	return q
}

// Refuse makes the call fail if an option was given that its function does not have.
func (q *Call) Refuse(given bool, option string) *Call {
	if given {
		q.fail(invalid("%s does not go with %s", option, q.function))
	}
	return q
}

// String returns the call as SQL.
func (q *Call) String() string {
	return fmt.Sprintf("%s.%s(%s)", q.schema, q.function, strings.Join(q.names, ", "))
}

// Row runs "select <of> from <call> r" and scans its one value.
func (q *Call) Row(ctx context.Context, db DB, of string, into any) error {
	return q.Run(ctx, db, of, func(rows pgx.Rows) error {
		_, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (any, error) { return nil, row.Scan(into) })
		return err
	})
}

// Run runs "select <of> from <call> r" in the call's scope. take reads the rows, and closes them.
func (q *Call) Run(ctx context.Context, db DB, of string, take func(pgx.Rows) error) error {
	if q.err != nil {
		return q.err
	}
	sql := "select " + of + " from " + q.String() + " r"
	if q.scope != "" {
		return inScope(ctx, db, q.scope, sql, q.args, take)
	}
	rows, err := db.Query(ctx, sql, q.args...)
	if err != nil {
		return err
	}
	return take(rows)
}
