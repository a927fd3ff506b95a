package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

func newLog(s *settings) *cobra.Command {
	var (
		percentage number
		data       document
	)
	status := statuses{one: true}
	cmd := &cobra.Command{
		Use:   "log AGENT_ID MESSAGE",
		Short: "Append a line to an activity's log",
		Long: "Append a line to an activity's log, and print the line as it was written.\n\n" +
			"Its status is the activity's: a worker that reads CANCELED there should stop.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := agentID(cmd, args[0])
			if err != nil {
				return err
			}
			var opts []client.UpdateOption
			if percentage.value != nil {
				opts = append(opts, client.WithPercentage(*percentage.value))
			}
			if len(status.values) > 0 {
				opts = append(opts, client.WithStatus(status.values[0]))
			}
			if data.value != nil {
				opts = append(opts, client.WithData(data.value))
			}
			return s.withClient(cmd.Context(), func(c *client.Client) error {
				line, err := c.Update(cmd.Context(), id, args[1], opts...)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), plainLine(line))
				return err
			})
		},
	}
	cmd.Flags().Var(&percentage, "percentage", "progress, 0 to 100")
	cmd.Flags().Var(&status, "status", "QUEUED, RUNNING, COMPLETE, ERROR or CANCELED (default: as it is)")
	cmd.Flags().Var(&data, "data", "JSON to keep with the line")
	return cmd
}
