package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

func newCancelPending(s *settings) *cobra.Command {
	var (
		agentType name
		idleFor   duration
		message   string
		all       bool
	)
	var metadata pairs
	cmd := &cobra.Command{
		Use:   "cancel-pending",
		Short: "Cancel the QUEUED and RUNNING activities that match, and print how many",
		Long: "Cancel the QUEUED and RUNNING activities that match all flags given, and print how many.\n\n" +
			"At least one filter is needed, or --all. Activities that another transaction keeps locked are skipped, and counted on\n" +
			"standard error.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filtered := agentType.value != "" || len(metadata) > 0 || idleFor.value > 0
			switch {
			case !all && !filtered:
				return usageError(cmd, "nothing says which activities: give --agent-type, --metadata or --idle-for, or --all for every QUEUED and RUNNING one")
			case all && filtered:
				return usageError(cmd, "--all goes with no filter: it cancels every QUEUED and RUNNING activity")
			}
			return s.withClient(cmd.Context(), func(c *client.Client) error {
				counts, err := c.CancelPendingCounts(cmd.Context(), client.CancelPendingParams{
					AgentType:      agentType.value,
					MetadataFilter: metadata,
					IdleFor:        idleFor.value,
					Message:        message,
				})
				if err != nil {
					return err
				}
				if counts.Skipped > 0 {
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "agentexec: %s skipped: locked by another transaction for longer than 1 s (run it "+
						"again when that has ended), or at the highest seq\n", counted(counts.Skipped, "activity was", "activities were"))
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), counts.Canceled)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every QUEUED and RUNNING activity")
	cmd.Flags().Var(&agentType, "agent-type", "only of this type")
	cmd.Flags().Var(&metadata, "metadata", "only with this value in the metadata, or with those of a JSON object; may be repeated")
	cmd.Flags().Var(&idleFor, "idle-for", "only without a line for at least this long, such as 15m")
	cmd.Flags().StringVar(&message, "message", "", `line to write (default "Canceled")`)
	return cmd
}
