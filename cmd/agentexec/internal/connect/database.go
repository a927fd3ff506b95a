// Package connect opens what the settings choose for a command: a connection or a pool of the database, or a sidecar.
//
// database.go is for the commands that work with a database only, source.go for those that read from either. The functions
// that begin with With also close what they open.
//
// May import: pkg/client, internal/source, internal/pgurl, and internal/settings, internal/argument and internal/exit of this
// program.
package connect

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

// missingDatabase returns the error that no database was chosen, and how to choose one.
func missingDatabase() error {
	return errors.New("no database: set AGENTEXEC_DATABASE_URL or --database-url to a Postgres, or try: agentexec dev")
}

// connectTimeout bounds a connection attempt, unless the URL has its own connect_timeout.
const connectTimeout = 10 * time.Second

// session configures the sessions of the commands.
var session = pgurl.Session{Name: "agentexec"}

// Config reads the database's URL.
func Config(s *settings.Reader) (*pgxpool.Config, error) {
	url := s.DatabaseURL()
	if url == "" {
		return nil, missingDatabase()
	}
	config, err := pgurl.Parse(url)
	if err != nil {
		_, source := s.Get("database-url")
		return nil, exit.UsageError(nil, "%s: %w", source, err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	return config, nil
}

// Open opens one connection.
func Open(ctx context.Context, s *settings.Reader) (*pgx.Conn, error) {
	config, err := Config(s)
	if err != nil {
		return nil, err
	}
	return session.Connect(ctx, config.ConnConfig)
}

// Pool opens a pool of connections and tries one. The pool reports to outages, which may be nil.
func Pool(ctx context.Context, s *settings.Reader, outages *source.Outages) (*pgxpool.Pool, error) {
	config, err := Config(s)
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

// WithActivity runs do with a client on one connection and the activity that an argument names.
func WithActivity(ctx context.Context, s *settings.Reader, activity argument.ActivityID, do func(c *client.Client, id uuid.UUID) error) error {
	return WithClient(ctx, s, func(c *client.Client) error {
		id, err := activity.Find(ctx, source.NewDatabase(c, nil).FindID)
		if err != nil {
			return err
		}
		return do(c, id)
	})
}

// WithClient runs do with a client on one connection.
func WithClient(ctx context.Context, s *settings.Reader, do func(c *client.Client) error) error {
	schema, err := s.Schema()
	if err != nil {
		return err
	}
	conn, err := Open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	pooled, _, err := pgurl.BehindPooler(ctx, conn)
	if err != nil {
		return err
	}
	if pooled {
		return do(NewClient(s, session.PerTransaction(conn), schema))
	}
	return do(NewClient(s, conn, schema))
}

// NewClient returns a client of the schema on db.
func NewClient(s *settings.Reader, db client.DB, schema string) *client.Client {
	// A separate direct connection means that the other one goes through a pooler, which forgets a LISTEN.
	return client.New(db, &client.Config{Schema: schema, PollOnly: s.ListenURL() != ""})
}

// ListenConfig returns the connection that the settings name for LISTEN, nil where they name none.
func ListenConfig(s *settings.Reader) (*pgx.ConnConfig, error) {
	address, from := s.Get("listen-url")
	if address == "" {
		return nil, nil //nolint:nilnil // nil means the database
	}
	config, err := pgurl.Parse(address)
	if err != nil {
		return nil, exit.UsageError(nil, "%s: %w", from, err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	return config.ConnConfig, nil
}
