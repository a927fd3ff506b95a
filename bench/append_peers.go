package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/agentexec/agentexec/pkg/migrate"
)

// notifyingSchema is a copy of the schema with a NOTIFY in every transaction, as many programs do it. It is the name of the
// channel, too.
const notifyingSchema = "notifying"

// makeNotifying installs the copy and makes activities in it.
func makeNotifying(ctx context.Context, url string) ([]uuid.UUID, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if err := migrate.Up(ctx, conn, &migrate.Options{Schema: notifyingSchema}); err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `create function `+notifyingSchema+`.notify() returns trigger language plpgsql volatile as $$
		begin
		  perform pg_catalog.pg_notify(tg_table_schema, '');
		  return null;
		end $$;
		create trigger notify after insert on `+notifyingSchema+`.activity_log for each statement execute function `+notifyingSchema+`.notify()`)
	if err != nil {
		return nil, err
	}
	return makeActivities(ctx, url, notifyingSchema, benchActivities)
}

// listen receives a channel's notifications until stopListening is called, and drops them.
func listen(ctx context.Context, url, channel string) (stopListening func(), err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := conn.WaitForNotification(ctx); err != nil {
				_ = conn.Close(context.WithoutCancel(ctx))
				return
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// job is the plainest job that River knows.
type job struct{}

func (job) Kind() string { return "bench" }

func installRiver(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// riverInsert inserts a job through a client that works none, over as many connections as there are writers.
func riverInsert(ctx context.Context, url, settings string, writers int) (op func(context.Context, *pgx.Conn, int, int) error, stop func(), err error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, nil, err
	}
	c.MinConns, c.MaxConns = int32(writers), int32(writers)
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, settings)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return func(ctx context.Context, _ *pgx.Conn, _, _ int) error {
		_, err := client.Insert(ctx, job{}, nil)
		return err
	}, pool.Close, nil
}
