package pgurl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Session configures a session of this program. It overrides ALTER ROLE, ALTER DATABASE and postgresql.conf.
type Session struct {
	// Name is the application_name, unless the connection string has one.
	Name string
	// LockTimeout bounds each wait for a lock. 0 is no bound.
	LockTimeout time.Duration
	// StatementTimeout bounds each statement, unless the connection string has a statement_timeout. 0 is no bound.
	StatementTimeout time.Duration
}

// fixed are the settings that would change which rows a statement finds, the format of its result, or whether it fails.
// default_transaction_read_only is not among them: an operator, or a provider whose disk is full, sets it on purpose. A
// search_path of pg_catalog alone keeps operators and functions of other schemas out of every statement.
// idle_in_transaction_session_timeout and the like end sessions that are used rarely, such as the listener's.
// transaction_timeout is one too, but not every server knows it: see transactionTimeoutSince.
var fixed = map[string]string{
	"search_path":                         "pg_catalog",
	"default_transaction_isolation":       "read committed",
	"default_transaction_deferrable":      "off",
	"row_security":                        "on",
	"idle_in_transaction_session_timeout": "0",
	"idle_session_timeout":                "0",
	"client_min_messages":                 "warning",
	"timezone":                            "UTC",
	"datestyle":                           "ISO, MDY",
	"intervalstyle":                       "postgres",
	"extra_float_digits":                  "1",
	"bytea_output":                        "hex",
	"standard_conforming_strings":         "on",
	"transform_null_equals":               "off",
	"array_nulls":                         "on",
	"quote_all_identifiers":               "off",
	"gin_fuzzy_search_limit":              "0",
}

// ofSession are the fixed settings that cannot be set for one transaction.
var ofSession = map[string]bool{
	"default_transaction_isolation": true, "default_transaction_deferrable": true,
	"idle_session_timeout": true,
}

// settings returns the fixed settings and those of the session.
func (s Session) settings() map[string]string {
	settings := maps.Clone(fixed)
	settings["lock_timeout"] = milliseconds(s.LockTimeout)
	settings["statement_timeout"] = milliseconds(s.StatementTimeout)
	return settings
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Apply puts the session's settings into a configuration, as startup parameters: they need no round trip and survive RESET
// ALL. They take precedence over the connection string, except application_name and statement_timeout. transaction_timeout
// takes a round trip, once the server's version is known, where the server has it.
func (s Session) Apply(c *pgx.ConnConfig) {
	s.name(c)
	for name, value := range s.settings() {
		if name == "statement_timeout" && c.RuntimeParams[name] != "" {
			continue
		}
		c.RuntimeParams[name] = value
	}
	delete(c.RuntimeParams, "transaction_timeout")
	next := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := endTransactionTimeout(ctx, conn); err != nil || next == nil {
			return err
		}
		return next(ctx, conn)
	}
}

// transactionTimeoutSince is the first version with transaction_timeout; older ones refuse the name.
const transactionTimeoutSince = 17

// endTransactionTimeout sets transaction_timeout to 0, so that it ends no long read of the session. It does not change a
// session of a pooler, because other clients get that session next.
func endTransactionTimeout(ctx context.Context, conn *pgconn.PgConn) error {
	var major int
	if _, err := fmt.Sscanf(conn.ParameterStatus("server_version"), "%d", &major); err != nil || major < transactionTimeoutSince {
		return nil //nolint:nilerr // a server that tells no version is none that is known to have the setting
	}
	_, err := conn.Exec(ctx, fmt.Sprintf(`select pg_catalog.set_config('transaction_timeout', '0', false)
		where pg_catalog.pg_backend_pid() operator(pg_catalog.=) %d`, conn.PID())).ReadAll()
	return err
}

// ApplyBehindPooler puts only the settings into a configuration that every pooler accepts. [Session.PerTransaction] sets the
// rest.
func (s Session) ApplyBehindPooler(c *pgx.ConnConfig) {
	s.name(c)
	for _, name := range []string{"standard_conforming_strings", "datestyle", "timezone"} {
		c.RuntimeParams[name] = fixed[name]
	}
	delete(c.RuntimeParams, "search_path")
	delete(c.RuntimeParams, "transaction_timeout")
}

func (s Session) name(c *pgx.ConnConfig) {
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = s.Name
	}
	c.RuntimeParams["client_encoding"] = "UTF8" // Go's texts are UTF-8, whatever the database's encoding
}

// Connect opens a connection with the session's settings. Where a pooler refuses them, it opens one without, and the
// statements need [Session.PerTransaction]; [BehindPooler] reports that. The configuration is not changed.
func (s Session) Connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	full := config.Copy()
	s.Apply(full)
	conn, err := pgx.ConnectConfig(ctx, full)
	if !RefusesParameters(err) {
		return conn, err
	}
	return s.ConnectBehindPooler(ctx, config)
}

// ConnectBehindPooler opens a connection with only those settings that every pooler accepts.
func (s Session) ConnectBehindPooler(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	bare := config.Copy()
	s.ApplyBehindPooler(bare)
	return pgx.ConnectConfig(ctx, bare)
}

// RefusesParameters reports whether a connection failed because the other end, such as PgBouncer or RDS Proxy, does not accept
// a startup parameter.
func RefusesParameters(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "08P01" || refused.Code == "0A000")
}

// BehindPooler reports whether conn talks to Postgres through a pooler, and whether the server is in recovery. The process id
// that a pooler sends at the start differs from the server's.
func BehindPooler(ctx context.Context, conn *pgx.Conn) (pooled, standby bool, err error) {
	var pid uint32
	err = conn.QueryRow(ctx, "select pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()", pgx.QueryExecModeSimpleProtocol).
		Scan(&pid, &standby)
	return err == nil && pid != conn.PgConn().PID(), standby, err
}
