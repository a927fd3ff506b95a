package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/internal/demo"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// demoFlags are what dev and demo let one choose about the agents.
type demoFlags struct {
	dir    string
	agents number
}

func (d *demoFlags) register(cmd *cobra.Command) {
	d.agents.value = new(4)
	cmd.Flags().StringVar(&d.dir, "demo-dir", ".", "directory whose files the demo agents read")
	cmd.Flags().Var(&d.agents, "demo-agents", "how many demo agents work at a time (default 4)")
}

func (d *demoFlags) check(cmd *cobra.Command, least int) error {
	const most = 1000
	switch n := *d.agents.value; {
	case n < least || n > most:
		return usageError(cmd, "--demo-agents must be between %d and %d, got %d", least, most, n)
	case n == 0:
		return nil
	case d.dir == "":
		return usageError(cmd, "--demo-dir must not be empty")
	}
	return demo.CheckDir(d.dir)
}

func newDemo(s *settings) *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the demo agents, which hash the files of a directory, until stopped",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := s.logger(cmd.ErrOrStderr(), slog.LevelInfo)
			if err != nil {
				return err
			}
			if err := flags.check(cmd, 1); err != nil {
				return err
			}
			ctx, stop := untilStopped(cmd.Context(), cmd.ErrOrStderr())
			defer stop()
			run, err := s.demo(ctx, flags, logger)
			if err != nil {
				return unlessStopped(ctx, err)
			}
			logger.Info("the demo agents are at work", "agents", *flags.agents.value, "dir", flags.dir)
			return run(ctx)
		},
	}
	flags.register(cmd)
	return cmd
}

// demo returns a function that runs the demo agents until its context ends. The database is there and has the schema.
func (s *settings) demo(ctx context.Context, flags demoFlags, logger *slog.Logger) (func(context.Context) error, error) {
	schema, err := s.schema()
	if err != nil {
		return nil, err
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := needSchema(ctx, conn, schema); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		// The pool outlives ctx: the agents' last lines are written after it has ended.
		pool, err := s.pool(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		defer pool.Close()
		return demo.Run(ctx, demo.Config{
			Client: s.client(pool, schema), Dir: flags.dir, Agents: *flags.agents.value, Logger: logger,
		})
	}, nil
}

// needSchema returns an error that names the command to run, unless the schema can be worked with.
func needSchema(ctx context.Context, conn *pgx.Conn, schema string) error {
	status, err := migrate.Check(ctx, conn, &migrate.Options{Schema: schema})
	switch {
	case err != nil:
		return err
	case status.State == migrate.Current, status.Version == status.Known: // or its functions are of another build
		return nil
	default:
		return fmt.Errorf("schema %s: %s", schema, status)
	}
}

// unlessStopped returns err, or nil where ctx has ended: the end was asked for, so it is no error.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
