package client

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentexec/agentexec/pkg/client/internal/sqlcall"
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

// call returns a call of a SQL function, in the scope of the client.
func (c *Client) call(function string) *sqlcall.Call { return sqlcall.New(c.schema, function, c.scope) }

// row runs "select <of> from <call> r" and scans its one value.
func (c *Client) row(ctx context.Context, q *sqlcall.Call, of string, into any) error {
	return dbError(q.Function(), q.Row(ctx, c.db, of, into))
}

// rows runs "select <of> from <call> r". take reads the rows, and closes them.
func (c *Client) rows(ctx context.Context, q *sqlcall.Call, of string, take func(pgx.Rows) error) error {
	return dbError(q.Function(), q.Run(ctx, c.db, of, take))
}
