package main

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/migrate"
)

func newMigrate(s *settings.Reader) *cobra.Command {
	var onlyPrint, onlyStatus bool
	var opts migrate.Options
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Install the schema, or bring it up to date",
		Long: "Install the schema, or bring it up to date, and say what was done.\n\n" +
			"--status exits with 1 where no schema is installed, and lists what else may be wrong.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if onlyPrint && onlyStatus {
				return exit.UsageError(cmd, "--print and --status do not go together")
			}
			if onlyStatus && (opts.Roles || opts.RowSecurity) {
				return exit.UsageError(cmd, "--status changes nothing, so it goes with neither --roles nor --row-security")
			}
			schema, err := s.Schema()
			if err != nil {
				return err
			}
			opts.Schema = schema
			if opts.LockTimeout <= 0 {
				return exit.UsageError(cmd, "--lock-timeout must be more than 0")
			}
			if onlyPrint {
				return migrate.Print(cmd.OutOrStdout(), &opts)
			}
			ctx := cmd.Context()
			conn, err := connect.Open(ctx, s)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			if onlyStatus {
				return migrateStatus(s, cmd, conn, &opts)
			}
			opts.Done = func(line string) { _, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", schema, s.Advise(line)) }
			opts.Waiting = func(line string) {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "agentexec: %s\n", terminal.Printable(exit.Redact(line)))
			}
			return migrate.Up(ctx, conn, &opts)
		},
	}
	cmd.Flags().BoolVar(&onlyPrint, "print", false, "print the SQL for an empty database, for psql -f; needs no database")
	cmd.Flags().BoolVar(&onlyStatus, "status", false, "say how the schema compares with this program, change nothing")
	cmd.Flags().DurationVar(&opts.LockTimeout, "lock-timeout", time.Minute, "how long to wait for locks of other sessions, in all")
	cmd.Flags().BoolVar(&opts.Roles, "roles", false, "also make the roles agentexec_worker, agentexec_reader and agentexec_sidecar, and grant them their rights")
	cmd.Flags().BoolVar(&opts.RowSecurity, "row-security", false, "also put the tables under row-level security by the setting agentexec.scope")
	return cmd
}

// migrateStatus prints how the schema compares with this program, other problems, and the holder of the wake-up lock.
func migrateStatus(s *settings.Reader, cmd *cobra.Command, conn *pgx.Conn, opts *migrate.Options) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	status, err := migrate.Check(ctx, conn, opts)
	switch {
	case err != nil:
		return err
	case status.State == migrate.Missing:
		return fmt.Errorf("%s: %s", opts.Schema, status)
	}
	lines := []string{status.String()}
	for _, warning := range status.Warnings {
		lines = append(lines, "warning: "+warning)
	}
	holders, err := migrate.Holders(ctx, conn, opts)
	if err != nil {
		return err
	}
	for _, holder := range holders {
		line := holder.String()
		if holder.Foreign {
			line = "warning: " + line
		}
		lines = append(lines, terminal.Printable(line))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "%s: %s\n", opts.Schema, s.Advise(line)); err != nil {
			return err
		}
	}
	return nil
}
