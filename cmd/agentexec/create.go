package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

func newCreate(s *settings) *cobra.Command {
	var id uuidFlag
	metadata := document{object: true}
	cmd := &cobra.Command{
		Use:   "create TASK [MESSAGE]",
		Short: "Create an activity and print its agent_id",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			var opts []client.CreateOption
			if metadata.value != nil {
				opts = append(opts, client.WithMetadata(metadata.members()))
			}
			if id.value != nil {
				opts = append(opts, client.WithAgentID(*id.value))
			}
			return s.withClient(cmd.Context(), func(c *client.Client) error {
				id, err := c.Create(cmd.Context(), args[0], optional(args, 1), opts...)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
				return err
			})
		},
	}
	cmd.Flags().Var(&metadata, "metadata", "JSON object to keep with the activity, for filters")
	cmd.Flags().Var(&id, "agent-id", "id to give it (default: a new one)")
	return cmd
}
