package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is the database of a Client: a *pgxpool.Pool, a *pgx.Conn or a pgx.Tx.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Config adjusts a Client. The zero value selects the defaults.
type Config struct {
	// Schema is the schema that agentexec is installed in. Default "agentexec".
	Schema string
	// MinPoll and MaxPoll bound how long Watch waits for a wake-up before it reads without one: MinPoll after a line, then
	// growing to MaxPoll while no line comes. Defaults 100 ms and 1 s.
	MinPoll, MaxPoll time.Duration
	// PollOnly turns off LISTEN and wake-ups: Watch polls, and Run learns of a request to cancel from its heartbeats and lines.
	// It is for a pooler in transaction mode, where LISTEN is lost. Default false.
	PollOnly bool
}

func (c *Config) withDefaults() Config {
	var out Config
	if c != nil {
		out = *c
	}
	if out.Schema == "" {
		out.Schema = "agentexec"
	}
	if out.MinPoll <= 0 {
		out.MinPoll = 100 * time.Millisecond
	}
	if out.MaxPoll <= 0 {
		out.MaxPoll = time.Second
	}
	out.MaxPoll = max(out.MaxPoll, out.MinPoll)
	return out
}

// Client tracks activities. It holds no state of its own: make as many as you like, and use one from as many
// goroutines as its DB allows (a pool: any number; a connection or transaction: one at a time).
type Client struct {
	db     DB
	config Config
	schema string // quoted
	scope  string // Scope.String
}

// New returns a client on a *pgxpool.Pool, a *pgx.Conn or a pgx.Tx, with at most one config; nil and none mean the
// defaults. It does not talk to the database.
func New(db DB, config ...*Config) *Client {
	var given *Config
	if len(config) > 0 {
		given = config[0]
	}
	c := &Client{db: db, config: given.withDefaults()}
	c.schema = pgx.Identifier{c.config.Schema}.Sanitize()
	return c
}

// WithTx returns the same client inside a transaction. Its writes become visible, and watchers are told, when tx commits; a
// rollback leaves nothing. An append locks the activity's row until then, so other writers of that activity wait.
//
// After an error, Postgres rejects every other statement in tx; a nested transaction (tx.Begin) confines the error.
func (c *Client) WithTx(tx pgx.Tx) *Client {
	in := *c
	in.db = tx
	return &in
}

// call builds a call of one SQL function, in named notation. It leaves out arguments that are not given, so that their
// defaults are in one place, the SQL. Every value travels as text with a cast beside it. That means the same in all exec
// modes of pgx, avoids typed nulls, and lets Postgres reject values that do not fit their type. Types are qualified, and
// there are no operators, because the connection's search_path is the caller's own.
type call struct {
	schema, fn, scope string
	names             []string
	args              []any
	err               error
}

func (c *Client) call(fn string) *call { return &call{schema: c.schema, fn: fn, scope: c.scope} }

// arg adds an argument of the type.
func (q *call) arg(name, typ, value string) *call {
	if strings.ContainsRune(value, 0) && q.err == nil {
		// Postgres refuses it too, but the simple protocol cannot even carry it.
		q.err = &DBError{Code: "22021", Message: name + ` must not contain a NUL character (U+0000)`}
	}
	return q.add(name, typ, value)
}

func (q *call) add(name, typ string, value any) *call { return q.expression(name, "", value, "::"+typ) }

// expression adds an argument that is an expression of the value: the SQL before and after its parameter is given.
func (q *call) expression(name, before string, value any, after string) *call {
	q.args = append(q.args, value)
	q.names = append(q.names, fmt.Sprintf("%s => %s$%d%s", name, before, len(q.args), after))
	return q
}

// text adds a text unless it is empty.
func (q *call) text(name, value string) *call {
	if value == "" {
		return q
	}
	return q.arg(name, "pg_catalog.text", value)
}

// agent adds an agent_id, unless it is uuid.Nil.
func (q *call) agent(name string, id uuid.UUID) *call {
	if id == uuid.Nil {
		return q
	}
	return q.arg(name, "pg_catalog.uuid", id.String())
}

// flag adds true, unless it is false, which stands for the default.
func (q *call) flag(name string, value bool) *call {
	if !value {
		return q
	}
	return q.arg(name, "pg_catalog.bool", "true")
}

// bool adds a truth value unless it is nil.
func (q *call) bool(name string, value *bool) *call {
	if value == nil {
		return q
	}
	return q.arg(name, "pg_catalog.bool", strconv.FormatBool(*value))
}

// interval returns a duration as Postgres reads it.
func interval(d time.Duration) string { return fmt.Sprintf("%d microseconds", d.Microseconds()) }

// interval adds a duration.
func (q *call) interval(name string, d time.Duration) *call {
	return q.arg(name, "pg_catalog.interval", interval(d))
}

// null adds a NULL of the type, where that means something else than the default.
func (q *call) null(name, typ string) *call { return q.add(name, typ, nil) }

// int adds a number.
func (q *call) int(name string, value int) *call {
	return q.arg(name, "pg_catalog.int4", strconv.Itoa(value))
}

// intUnless adds a number unless it equals unless, which stands for the default.
func (q *call) intUnless(name string, value, unless int) *call {
	if value == unless {
		return q
	}
	return q.int(name, value)
}

// statuses adds a list of statuses unless it is empty.
func (q *call) statuses(name string, values []Status) *call {
	if len(values) == 0 {
		return q
	}
	names := make([]string, len(values))
	for i, s := range values {
		names[i] = string(s)
	}
	return q.add(name, "pg_catalog.text[]::"+q.schema+".status[]", names)
}

// json adds a JSON value. The caller must not pass a nil value, nor a nil map in it.
func (q *call) json(name string, value any) *call {
	data, err := json.Marshal(value)
	if err != nil && q.err == nil {
		q.err = invalid(fmt.Sprintf("%s cannot be written as JSON: %v", name, err))
	}
	return q.arg(name, "pg_catalog.jsonb", string(data))
}

// object adds a JSON object unless it is nil.
func (q *call) object(name string, value map[string]any) *call {
	if value == nil {
		return q
	}
	return q.json(name, value)
}

// filter adds a metadata filter in its form for SQL (see alternatives), unless it is nil.
func (q *call) filter(all any, err error) *call {
	if err != nil && q.err == nil {
		q.err = invalid("metadata_filter: " + err.Error())
	}
	if all == nil {
		return q
	}
	return q.json("metadata_filter", all)
}

// String returns the call as SQL.
func (q *call) String() string {
	return fmt.Sprintf("%s.%s(%s)", q.schema, q.fn, strings.Join(q.names, ", "))
}

// row runs "select <of> from <call> r" and scans its one value.
func (q *call) row(ctx context.Context, db DB, of string, into any) error {
	return q.run(ctx, db, of, func(rows pgx.Rows) error {
		_, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (any, error) { return nil, row.Scan(into) })
		return err
	})
}

// run runs "select <of> from <call> r" in the call's scope. take reads the rows, and closes them.
func (q *call) run(ctx context.Context, db DB, of string, take func(pgx.Rows) error) error {
	if q.err != nil {
		return q.err
	}
	sql := "select " + of + " from " + q.String() + " r"
	if q.scope != "" {
		return dbError(q.fn, inScope(ctx, db, q.scope, sql, q.args, take))
	}
	rows, err := db.Query(ctx, sql, q.args...)
	if err == nil {
		err = take(rows)
	}
	return dbError(q.fn, err)
}
