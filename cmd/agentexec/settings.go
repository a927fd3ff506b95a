package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/pflag"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar"
)

// settings are the settings that all commands share. Each is a flag, or else an environment variable.
type settings struct {
	flags *pflag.FlagSet
	// ownDatabase is the URL of a Postgres that this process has started, where no other was named.
	ownDatabase string
}

// The variables that stand in for flags, where their names differ from the flag's. Their values are no defaults of the flags,
// because help would print them, passwords included.
var variables = map[string][]string{
	"database-url":     {"AGENTEXEC_DATABASE_URL", "DATABASE_URL"},
	"private-key-file": {"AGENTEXEC_JWT_PRIVATE_KEY_FILE"},
}

func (s *settings) register(flags *pflag.FlagSet) {
	s.flags = flags
	flags.String("database-url", "", "Postgres to work with, a `URL` (AGENTEXEC_DATABASE_URL, else DATABASE_URL)")
	flags.String("listen-url", "", "direct connection for LISTEN where the other `URL` goes through a pooler (AGENTEXEC_LISTEN_URL)")
	flags.String("listen", "", "`on`, or off to read on a timer and never LISTEN (AGENTEXEC_LISTEN; default on)")
	flags.String("schema", "", "`NAME` of the tracker's schema (AGENTEXEC_SCHEMA; default agentexec)")
	flags.String("addr", "", "address of the sidecar, `HOST:PORT` (AGENTEXEC_ADDR; default "+sidecar.DefaultAddr+")")
	flags.String("log-level", "", "`LEVEL` to log from: debug, info, warn or error (AGENTEXEC_LOG_LEVEL; default info)")
}

// check rejects invalid settings, even where a command does not use them: a user who gives one expects an effect.
func (s *settings) check() error {
	_, err1 := s.schema()
	_, _, err2 := s.addr()
	_, err3 := s.logger(io.Discard, slog.LevelInfo)
	_, err4 := s.pollOnly()
	return cmp.Or(err1, err2, err3, err4)
}

// get returns a setting and its source: the flag if it was given, else the first variable that is set. Both are empty where
// there is neither.
func (s *settings) get(name string) (value, source string) {
	if flag := s.flags.Lookup(name); flag != nil && flag.Changed { // not every command has all of them
		return flag.Value.String(), "--" + name
	}
	for _, variable := range variablesOf(name) {
		if value := os.Getenv(variable); value != "" {
			return value, variable
		}
	}
	return "", ""
}

// guard is get for a setting that protects. An empty value, which elsewhere counts as not given, is rejected here: a variable
// of a script or a compose file that is unset by mistake would remove the protection silently.
func (s *settings) guard(name, protection string) (value, source string, err error) {
	value, source = s.get(name)
	if source == "" {
		for _, variable := range variablesOf(name) {
			if _, set := os.LookupEnv(variable); set {
				source = variable
			}
		}
	}
	if value == "" && source != "" {
		err = exit.UsageError(nil, "%s must not be empty: give it a value, or leave it out where no %s is wanted", source, protection)
	}
	return value, source, err
}

// variablesOf returns the variables that stand in for a flag, in order of precedence.
func variablesOf(flag string) []string {
	if names := variables[flag]; names != nil {
		return names
	}
	return []string{"AGENTEXEC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

func (s *settings) databaseURL() string {
	if s.ownDatabase != "" {
		return s.ownDatabase
	}
	url, _ := s.get("database-url")
	return url
}

func (s *settings) listenURL() string {
	url, _ := s.get("listen-url")
	return url
}

// pollOnly reports whether LISTEN is turned off.
func (s *settings) pollOnly() (bool, error) {
	switch listen, source := s.get("listen"); listen {
	case "", "on":
		return false, nil
	case "off":
		return true, nil
	default:
		return false, exit.UsageError(nil, "%s: %q is neither on nor off", source, listen)
	}
}

func (s *settings) schema() (string, error) {
	schema, source := s.get("schema")
	switch {
	case schema == "":
		return migrate.DefaultSchema, nil
	case !migrate.ValidName(schema):
		return "", exit.UsageError(nil, "%s: %q is no name for a schema: use lower-case letters, digits and underscores, "+
			"at most 63, not beginning with a digit or pg_", source, schema)
	}
	return schema, nil
}

// advise adds the schema to a command in a message, where a flag has chosen the schema: without it, the command would install
// another.
func (s *settings) advise(message string) string {
	const command = "run: agentexec migrate"
	if schema, source := s.get("schema"); source == "--schema" {
		return strings.ReplaceAll(message, command, command+" --schema "+schema)
	}
	return message
}

// addr returns the address of the sidecar, and whether it was chosen.
func (s *settings) addr() (addr string, chosen bool, err error) {
	addr, source := s.get("addr")
	if addr == "" {
		return sidecar.DefaultAddr, false, nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return "", true, exit.UsageError(nil, "%s: %q is no address: write host:port, such as %s", source, addr, sidecar.DefaultAddr)
	}
	return addr, true, nil
}

// logger returns a logger that writes to w from the chosen level on, or from usual where none was chosen.
func (s *settings) logger(w io.Writer, usual slog.Level) (*slog.Logger, error) {
	level := usual
	if name, source := s.get("log-level"); name != "" {
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return nil, exit.UsageError(nil, "%s: %q is no log level: use debug, info, warn or error", source, name)
		}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: tellErrors})), nil
}

// tellErrors formats errors in a log as in other output: on one line, without passwords.
func tellErrors(_ []string, attr slog.Attr) slog.Attr {
	if err, ok := attr.Value.Any().(error); ok {
		attr.Value = slog.StringValue(exit.Describe(err))
	}
	return attr
}

// missingDatabase returns the error that no database was chosen, and how to choose one.
func missingDatabase() error {
	return errors.New("no database: set AGENTEXEC_DATABASE_URL or --database-url to a Postgres, or try: agentexec dev")
}

// connectTimeout bounds a connection attempt, unless the URL has its own connect_timeout.
const connectTimeout = 10 * time.Second

// session configures the sessions of the commands.
var session = pgurl.Session{Name: "agentexec"}

// poolConfig reads the database's URL.
func (s *settings) poolConfig() (*pgxpool.Config, error) {
	url := s.databaseURL()
	if url == "" {
		return nil, missingDatabase()
	}
	config, err := pgurl.Parse(url)
	if err != nil {
		_, source := s.get("database-url")
		return nil, exit.UsageError(nil, "%s: %w", source, err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	return config, nil
}

// connect opens one connection.
func (s *settings) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := s.poolConfig()
	if err != nil {
		return nil, err
	}
	return session.Connect(ctx, config.ConnConfig)
}

// pool opens a pool of connections and tries one. The pool reports to outages, which may be nil.
func (s *settings) pool(ctx context.Context, outages *source.Outages) (*pgxpool.Pool, error) {
	config, err := s.poolConfig()
	if err != nil {
		return nil, err
	}
	first, err := session.Connect(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	pooled, _, err := pgurl.BehindPooler(ctx, first)
	_ = first.Close(ctx)
	if err != nil {
		return nil, err
	}
	if pooled {
		session.ApplyBehindPooler(config.ConnConfig)
	} else {
		session.Apply(config.ConnConfig)
	}
	if outages != nil {
		outages.Trace(config.ConnConfig)
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// withActivity runs do with a client on one connection and the activity that an argument names.
func (s *settings) withActivity(ctx context.Context, activity argument.ActivityID, do func(c *client.Client, id uuid.UUID) error) error {
	return s.withClient(ctx, func(c *client.Client) error {
		id, err := activity.Find(ctx, source.NewDatabase(c, nil).FindID)
		if err != nil {
			return err
		}
		return do(c, id)
	})
}

// withClient runs do with a client on one connection.
func (s *settings) withClient(ctx context.Context, do func(c *client.Client) error) error {
	schema, err := s.schema()
	if err != nil {
		return err
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	pooled, _, err := pgurl.BehindPooler(ctx, conn)
	if err != nil {
		return err
	}
	if pooled {
		return do(s.client(session.PerTransaction(conn), schema))
	}
	return do(s.client(conn, schema))
}

func (s *settings) client(db client.DB, schema string) *client.Client {
	// A separate direct connection means that the other one goes through a pooler, which forgets a LISTEN.
	return client.New(db, &client.Config{Schema: schema, PollOnly: s.listenURL() != ""})
}
