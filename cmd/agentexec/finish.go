package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

func newComplete(s *settings) *cobra.Command {
	var (
		percentage number
		data       document
	)
	cmd := newFinish(s, &cobra.Command{
		Use:   "complete AGENT_ID [MESSAGE]",
		Short: "End an activity well",
	}, func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error) {
		var opts []client.UpdateOption
		if percentage.value != nil {
			opts = append(opts, client.WithPercentage(*percentage.value))
		}
		return c.Complete(ctx, id, message, append(opts, client.WithData(data.value))...)
	})
	cmd.Flags().Var(&percentage, "percentage", "progress at the end, 0 to 100 (default 100)")
	cmd.Flags().Var(&data, "data", "JSON to keep with the line")
	return cmd
}

func newError(s *settings) *cobra.Command {
	var data document
	cmd := newFinish(s, &cobra.Command{
		Use:   "error AGENT_ID [MESSAGE]",
		Short: "End an activity, or this attempt of it, badly",
		Long: "End an activity, or this attempt of it, badly.\n\n" +
			"A retry begins with: agentexec log AGENT_ID MESSAGE --status RUNNING",
	}, func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error) {
		return c.Error(ctx, id, message, client.WithData(data.value))
	})
	cmd.Flags().Var(&data, "data", "JSON to keep with the line")
	return cmd
}

func newCancel(s *settings) *cobra.Command {
	return newFinish(s, &cobra.Command{
		Use:   "cancel AGENT_ID [MESSAGE]",
		Short: "End an activity as canceled; its worker learns of it with its next line",
	}, func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error) {
		return c.Cancel(ctx, id, message)
	})
}

// newFinish completes a command that ends an activity: it prints the line that write wrote.
func newFinish(
	s *settings, cmd *cobra.Command,
	write func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error),
) *cobra.Command {
	cmd.Args = arguments
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := agentID(cmd, args[0])
		if err != nil {
			return err
		}
		return s.withClient(cmd.Context(), func(c *client.Client) error {
			line, err := write(cmd.Context(), c, id, optional(args, 1))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), plainLine(line))
			return err
		})
	}
	return cmd
}
