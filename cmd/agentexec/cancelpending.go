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
	)
	metadata := document{object: true}
	cmd := &cobra.Command{
		Use:   "cancel-pending",
		Short: "Cancel the QUEUED and RUNNING activities that match, and print how many",
		Long: "Cancel the QUEUED and RUNNING activities that match all flags given, and print how many.\n\n" +
			"Without flags that is every one of them.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withClient(cmd.Context(), func(c *client.Client) error {
				n, err := c.CancelPending(cmd.Context(), client.CancelPendingParams{
					AgentType:      agentType.value,
					MetadataFilter: metadata.members(),
					IdleFor:        idleFor.value,
					Message:        message,
				})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), n)
				return err
			})
		},
	}
	cmd.Flags().Var(&agentType, "agent-type", "only of this type")
	cmd.Flags().Var(&metadata, "metadata", "only with these keys and values")
	cmd.Flags().Var(&idleFor, "idle-for", "only without a line for at least this long, such as 15m")
	cmd.Flags().StringVar(&message, "message", "", `line to write (default "Canceled")`)
	return cmd
}
