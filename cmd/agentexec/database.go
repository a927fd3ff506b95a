package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/internal/pgurl"
	"github.com/agentexec/agentexec/pkg/client"
)

// connectTimeout bounds a connection attempt unless the URL has a connect_timeout of its own.
const connectTimeout = 10 * time.Second

// session is how the sessions of the commands behave.
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
		return nil, usageError(nil, "%s: %w", source, err)
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

// pool opens a pool of connections and tries one.
func (s *settings) pool(ctx context.Context) (*pgxpool.Pool, error) {
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
	return pgxpool.NewWithConfig(ctx, config)
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
	// Where there is a direct connection beside it, the other one goes through a pooler, which forgets a LISTEN.
	return client.New(db, &client.Config{Schema: schema, PollOnly: s.listenURL() != ""})
}
