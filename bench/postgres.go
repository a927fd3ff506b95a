package main

import (
	"context"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/agentexec/agentexec/internal/devpg"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// postgresVersion is what the last started server said of itself.
var postgresVersion = "no Postgres"

// startPostgres starts a server of our own with the schema installed, and returns how to stop it. It keeps its promises
// (fsync, full_page_writes), except for what settings say.
func startPostgres(ctx context.Context, settings map[string]string) (url string, stop func(), err error) {
	all := map[string]string{
		"shared_buffers":     "512MB",
		"max_wal_size":       "8GB",
		"max_connections":    "300",
		"checkpoint_timeout": "15min",
		"log_min_messages":   "warning",
	}
	maps.Copy(all, settings)
	s, err := devpg.Start(ctx, devpg.Options{Temporary: true, Settings: all})
	if err != nil {
		return "", nil, err
	}
	stop = func() { _ = s.Remove() }
	if err := install(ctx, s.URL("postgres")); err != nil {
		stop()
		return "", nil, err
	}
	return s.URL("postgres"), stop, nil
}

func install(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, "select 'PostgreSQL ' || current_setting('server_version')").Scan(&postgresVersion)
	if err != nil {
		return err
	}
	return migrate.Up(ctx, conn, nil)
}

// execute runs statements, one after the other, on a connection of their own.
func execute(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
