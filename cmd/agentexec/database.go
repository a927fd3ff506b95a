package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentexec/agentexec/pkg/client"
)

// connectTimeout bounds a connection attempt unless the URL has a connect_timeout of its own.
const connectTimeout = 10 * time.Second

// poolConfig reads the database's URL.
func (s *settings) poolConfig() (*pgxpool.Config, error) {
	url := s.databaseURL()
	if url == "" {
		return nil, missingDatabase()
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		_, source := s.get("database-url")
		return nil, usageError(nil, "%s: %s", source, whyNoURL(err))
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "agentexec"
	}
	// Go's texts are UTF-8. A database in another encoding would otherwise take them for its own.
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	return config, nil
}

// whyNoURL says what is wrong with a database URL. It quotes nothing of it: where a broken one has its password, nobody
// can tell.
func whyNoURL(err error) string {
	text := err.Error() // cannot parse `URL`: what (details)
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	text, _, _ = strings.Cut(text, " (")
	return fmt.Sprintf("not a usable database URL (%s); write postgres://USER@HOST:5432/DATABASE", text)
}

// connect opens one connection.
func (s *settings) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := s.poolConfig()
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config.ConnConfig)
}

// pool opens a pool of connections and tries one.
func (s *settings) pool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := s.poolConfig()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
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
	return do(s.client(conn, schema))
}

func (s *settings) client(db client.DB, schema string) *client.Client {
	// Where there is a direct connection beside it, the other one goes through a pooler, which forgets a LISTEN.
	return client.New(db, &client.Config{Schema: schema, PollOnly: s.listenURL() != ""})
}
