package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/migrate"
)

func newMigrate(s *settings) *cobra.Command {
	var onlyPrint, onlyStatus bool
	var opts migrate.Options
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Install the schema, or bring it up to date",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if onlyPrint && onlyStatus {
				return usageError(cmd, "--print and --status do not go together")
			}
			if onlyStatus && (opts.Roles || opts.RowSecurity) {
				return usageError(cmd, "--status changes nothing, so it goes with neither --roles nor --row-security")
			}
			schema, err := s.schema()
			if err != nil {
				return err
			}
			opts.Schema = schema
			if onlyPrint {
				return migrate.Print(cmd.OutOrStdout(), &opts)
			}
			ctx := cmd.Context()
			conn, err := s.connect(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			if !onlyStatus {
				if err := migrate.Up(ctx, conn, &opts); err != nil {
					return err
				}
			}
			status, err := migrate.Check(ctx, conn, &opts)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", schema, s.advise(status.String()))
			return err
		},
	}
	cmd.Flags().BoolVar(&onlyPrint, "print", false, "print the SQL for an empty database, for psql -f; needs no database")
	cmd.Flags().BoolVar(&onlyStatus, "status", false, "say how the schema compares with this program, change nothing")
	cmd.Flags().BoolVar(&opts.Roles, "roles", false, "also make the roles agentexec_worker, agentexec_reader and agentexec_sidecar, and grant them their rights")
	cmd.Flags().BoolVar(&opts.RowSecurity, "row-security", false, "also put the tables under row-level security by the setting agentexec.scope")
	return cmd
}
