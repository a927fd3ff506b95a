package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/process"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/demo"
	"github.com/agentexec/agentexec/pkg/client"
	"github.com/agentexec/agentexec/pkg/migrate"
)

// demoFlags are the flags of dev and demo that configure the agents.
type demoFlags struct {
	dir    string
	agents argument.Number
}

func (d *demoFlags) register(cmd *cobra.Command) {
	d.agents.Value = new(4)
	cmd.Flags().StringVar(&d.dir, "demo-dir", ".", "directory whose files the demo agents read")
	cmd.Flags().Var(&d.agents, "demo-agents", "how many demo agents work at a time (default 4)")
}

func (d *demoFlags) check(cmd *cobra.Command, least int) error {
	const most = 1000
	switch n := *d.agents.Value; {
	case n < least || n > most:
		return exit.UsageError(cmd, "--demo-agents must be between %d and %d, got %d", least, most, n)
	case n == 0:
		return nil
	case d.dir == "":
		return exit.UsageError(cmd, "--demo-dir must not be empty")
	}
	return demo.CheckDir(d.dir)
}

func newDemo(s *settings.Reader) *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the demo agents, which hash the files of a directory, until stopped",
		Long: "Run the demo agents until stopped. A coordinator divides the directory into parts, and the agents hash the files of these.\n\n" +
			"Now and then a coordinator asks a question about the rounds to come. The agents go on meanwhile, and without an answer the\n" +
			"question expires after 3 minutes: agentexec questions, agentexec answer.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := s.Logger(cmd.ErrOrStderr(), slog.LevelInfo)
			if err != nil {
				return err
			}
			if err := flags.check(cmd, 1); err != nil {
				return err
			}
			ctx, stop := process.UntilStopped(cmd.Context(), cmd.ErrOrStderr())
			defer stop()
			run, err := demoAgents(ctx, s, flags, logger)
			if err != nil {
				return unlessStopped(ctx, err)
			}
			logger.Info("the demo agents are at work", "agents", *flags.agents.Value, "dir", flags.dir)
			return run(ctx)
		},
	}
	flags.register(cmd)
	return cmd
}

// demoAgents returns a function that runs the demo agents until its context ends. It requires the database and its schema.
func demoAgents(ctx context.Context, s *settings.Reader, flags demoFlags, logger *slog.Logger) (func(context.Context) error, error) {
	schema, err := s.Schema()
	if err != nil {
		return nil, err
	}
	conn, err := connect.Open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := needSchema(ctx, conn, schema); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		// The pool outlives ctx: the agents' last lines are written after it has ended.
		pool, err := connect.Pool(context.WithoutCancel(ctx), s, nil)
		if err != nil {
			return err
		}
		defer pool.Close()
		return demo.Run(ctx, demo.Config{
			Client: connect.NewClient(s, pool, schema), Dir: flags.dir, Agents: *flags.agents.Value, Logger: logger,
		})
	}, nil
}

// needSchema returns an error that names the command to run, unless the schema is usable.
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

// unlessStopped returns err, or nil where ctx has ended: the stop was requested, so it is no error.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sayRunning tells a new user which addresses there are, and which commands to try.
func (d *dev) sayRunning(page, schema string) {
	url, setURL := `"$AGENTEXEC_DATABASE_URL"`, ""
	if d.postgres != nil {
		setURL = fmt.Sprintf("    export AGENTEXEC_DATABASE_URL='%s'\n", d.DatabaseURL())
	} else if _, source := d.Get("database-url"); source == "DATABASE_URL" {
		url = `"$DATABASE_URL"`
	} else if source == "--database-url" {
		setURL = "    export AGENTEXEC_DATABASE_URL=...\n" // the user's own, with a password that must not be printed
	}
	psql := ""
	if program := d.psql(); program != "" {
		psql = fmt.Sprintf("    %s %s -c \"select %s.append_log(agent_id, 'Hello from psql') from %[3]s.activity_list where status = 'RUNNING' limit 1\"\n",
			program, url, schema)
	}
	stays := ""
	if d.postgres != nil {
		stays = fmt.Sprintf(" (the data stay in %s; --fresh begins anew)", tilde(d.postgres.DataDir))
	}
	if d.basePath != "" {
		page += "/" // the addresses in the page are relative
	}
	out := output.NewScreen(d.out)
	_, _ = fmt.Fprintf(out, "\n  agentexec is running:  %s\n\n", out.Paint(client.StatusRunning, page))
	if n := *d.demo.agents.Value; n > 0 {
		_, _ = fmt.Fprintf(out, "  %s the files of %s, with their progress.\n", agentsHash(n), tilde(absolute(d.demo.dir)))
		_, _ = fmt.Fprintf(out, "  Now and then a question waits for your answer: on the page, or with %s questions.\n", self())
		_, _ = fmt.Fprintln(out, "  One more agent fails now and then, or falls silent, to show what that looks like.")
	}
	_, _ = fmt.Fprintf(out, "  In another terminal, try:\n\n%s%s    %s list\n\n  Stop with Ctrl-C%s.\n\n", setURL, psql, self(), stays)
}

func (d *dev) sayStopping() {
	lead := ""
	if output.NewScreen(d.errOut).Terminal {
		lead = "\n" // behind the ^C
	}
	_, _ = fmt.Fprintln(d.errOut, lead+"Stopping ... (once more: at once)")
}

func (d *dev) sayStopped() { _, _ = fmt.Fprintln(d.errOut, "Stopped.") }

// psql returns the command that calls psql, or nothing where psql is not installed.
func (d *dev) psql() string {
	if _, err := exec.LookPath("psql"); err == nil {
		return "psql"
	}
	if d.postgres != nil {
		program := filepath.Join(d.postgres.Binaries.Dir, "psql")
		if _, err := os.Stat(program); err == nil {
			return program
		}
	}
	return ""
}

// self returns the command that calls this program again.
func self() string {
	if process.UnderGoRun() {
		return "go run ./cmd/agentexec"
	}
	if name := filepath.Base(os.Args[0]); name == os.Args[0] {
		return name // found in PATH
	}
	return os.Args[0]
}

func agentsHash(n int) string {
	if n == 1 {
		return "One demo agent hashes"
	}
	return fmt.Sprintf("%d demo agents hash", n)
}

// tilde shortens the user's home directory in a path.
func tilde(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok {
		return "~/" + rest
	}
	return path
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
