package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/process"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/devpg"
	"github.com/agentexec/agentexec/pkg/migrate"
	"github.com/agentexec/agentexec/sidecar"
)

// dev is one run of the command dev.
type dev struct {
	*settings.Reader
	fresh       bool
	insecure    bool
	origins     []string
	basePath    string
	demo        demoFlags
	logger      *slog.Logger
	out, errOut io.Writer

	page     chan string   // gets the address of the dashboard once the sidecar serves it
	postgres *devpg.Server // nil where the user has named a database
}

func newDev(s *settings.Reader) *cobra.Command {
	d := &dev{Reader: s}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Show it all: a private Postgres, the sidecar and demo agents doing real work",
		Long: "Show it all: a private Postgres, the sidecar with its dashboard, and demo agents doing real work.\n" +
			"It needs nothing but this program; Ctrl-C stops all of it.\n\n" +
			"With a database URL set, that database is used in place of a private one, and gets the schema.\n\n" +
			"Pages of web servers on this machine (http://localhost:3000) may use it from a browser; others with --allow-origin.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out, d.errOut = cmd.OutOrStdout(), cmd.ErrOrStderr()
			d.origins = settings.New(cmd.Flags()).AllowOrigins()
			var err error
			if d.basePath, err = settings.New(cmd.Flags()).BasePath(); err != nil {
				return err
			}
			// Only warnings and errors are logged here.
			if d.logger, err = s.Logger(d.errOut, slog.LevelWarn); err != nil {
				return err
			}
			if _, source := s.Get("database-url"); d.fresh && source != "" {
				return exit.UsageError(cmd, "--fresh is for the private Postgres, and %s names another: %s", source, without(source))
			}
			if err := d.demo.check(cmd, 0); err != nil {
				return err
			}
			ctx, stop := process.UntilStopped(cmd.Context(), cmd.ErrOrStderr())
			defer stop()
			ctx, stopWatching := process.WhileParentLives(ctx)
			defer stopWatching()
			return d.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&d.fresh, "fresh", false, "begin anew: remove the data of earlier runs")
	insecureFlag(cmd, &d.insecure)
	settings.OriginFlag(cmd)
	settings.BasePathFlag(cmd)
	d.demo.register(cmd)
	return cmd
}

// run starts Postgres, the sidecar and the agents. When ctx ends, it stops them in the opposite order; when one of them ends
// by itself, it does so with an error.
func (d *dev) run(ctx context.Context) (err error) {
	config, err := d.sidecarConfig()
	if err != nil {
		return err
	}
	if err := d.checkAddress(ctx, config.Addr); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			d.sayStopped()
		}
	}()
	if err := d.startPostgres(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	defer d.stopPostgres(&err)

	if err := d.migrate(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	config.DatabaseURL = d.DatabaseURL()
	if d.OwnDatabase != "" {
		config.ListenURL = "" // one from the environment leads to another Postgres
	}
	server, err := sidecar.New(config)
	if err != nil {
		return err
	}
	serving := process.Start(ctx, server.Run)
	defer serving.Stop()
	var page string
	select {
	case <-ctx.Done():
		return nil
	case <-serving.Done:
		return addressError(config.Addr, serving.Ended("the sidecar"))
	case page = <-d.page:
	}

	agents, err := d.startAgents(ctx)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer agents.Stop()
	d.sayRunning(page, config.Schema)
	select {
	case <-ctx.Done():
		d.sayStopping()
		return nil
	case <-serving.Done:
		return serving.Ended("the sidecar")
	case <-agents.Done:
		return agents.Ended("the demo agents")
	case <-d.postgresDone():
		return fmt.Errorf("the private Postgres ended unexpectedly; its last words: %s",
			lastLines(d.postgres.LastLines(), 2))
	}
}

// sidecarConfig returns the checked configuration of the sidecar, but for its database.
func (d *dev) sidecarConfig() (sidecar.Config, error) {
	config, err := d.Service(d.logger)
	if err != nil {
		return config, err
	}
	config.Insecure, config.AllowOrigins, config.AllowLocalOrigins, config.BasePath = d.insecure, d.origins, true, d.basePath
	d.page = make(chan string, 1)
	config.OnReady = func(page string) {
		select {
		case d.page <- page:
		default:
		}
	}
	if config.Auth, err = d.Auth(); err != nil {
		return config, err
	}
	if err := config.CheckOrigins(); err != nil {
		return config, exit.UsageError(nil, "%s", err)
	}
	return config, config.CheckAddr()
}

// checkAddress checks early whether the sidecar can get its address, because Postgres takes seconds to start.
func (d *dev) checkAddress(ctx context.Context, addr string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return addressError(addr, err)
	}
	return listener.Close()
}

// startPostgres starts the private Postgres, unless the user has named a database.
func (d *dev) startPostgres(ctx context.Context) (err error) {
	if d.DatabaseURL() != "" {
		return nil
	}
	_, _ = fmt.Fprintln(d.errOut, "Starting a private Postgres ...")
	d.postgres, err = devpg.Start(ctx, devpg.Options{
		Fresh: d.fresh,
		Downloading: func(version string) {
			_, _ = fmt.Fprintf(d.errOut, "There is none on this machine: downloading PostgreSQL %s, which may take a minute ...\n", version)
		},
	})
	switch {
	case errors.Is(err, devpg.ErrRunning):
		return errors.New("another agentexec dev uses the private Postgres: stop that, or set AGENTEXEC_DATABASE_URL")
	case err != nil:
		return err
	}
	d.OwnDatabase = d.postgres.URL("")
	return nil
}

func (d *dev) stopPostgres(err *error) {
	if d.postgres != nil {
		*err = errors.Join(*err, d.postgres.Stop())
	}
}

func (d *dev) postgresDone() <-chan struct{} {
	if d.postgres == nil {
		return nil
	}
	return d.postgres.Done()
}

// without returns the advice how to get a private Postgres where a flag or variable names a database.
func without(source string) string {
	if strings.HasPrefix(source, "--") {
		return "leave that out"
	}
	return "unset it"
}

// connectError adds what to do where the named database does not answer. Often it is the private one of a dev that has stopped
// since, because dev prints its URL to be exported.
func (d *dev) connectError(err error) error {
	var connect *pgconn.ConnectError
	if _, source := d.Get("database-url"); d.postgres == nil && errors.As(err, &connect) {
		return fmt.Errorf("%s; %s names it: %s to have a private Postgres started", exit.Explain(err), source, without(source))
	}
	return err
}

// migrate installs the schema.
func (d *dev) migrate(ctx context.Context) error {
	schema, err := d.Schema()
	if err != nil {
		return err
	}
	conn, err := connect.Open(ctx, d.Reader)
	if err != nil {
		return d.connectError(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	return migrate.Up(ctx, conn, &migrate.Options{Schema: schema})
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// startAgents starts the demo agents, unless they are turned off.
func (d *dev) startAgents(ctx context.Context) (*process.Background, error) {
	if *d.demo.agents.Value == 0 {
		return process.Start(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}), nil
	}
	run, err := demoAgents(ctx, d.Reader, d.demo, d.logger)
	if err != nil {
		return nil, err
	}
	return process.Start(ctx, run), nil
}
