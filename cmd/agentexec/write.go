package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
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
			"Its status is the activity's: a worker that reads CANCELED there should stop.\n\n" +
			"With - as MESSAGE, each line of standard input is one line of the log, with the flags given, written as it comes\n" +
			"and many at once where many come; at the end it prints how many. Ctrl-C writes what has come, and ends with 130.",
		Example: "  agentexec log 01234567-89ab-cdef-0123-456789abcdef 'Reading papers' --status RUNNING --percentage 40\n" +
			"  make 2>&1 | agentexec log 01234567-89ab-cdef-0123-456789abcdef - --status RUNNING",
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
			if args[1] == "-" && cmd.ArgsLenAtDash() < 0 {
				return s.logInput(cmd, client.Entry{AgentID: id, Percentage: percentage.value, Status: status.first(), Data: data.value})
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

// logInput writes standard input into a log. Each line also gets the other fields of the entry.
func (s *settings) logInput(cmd *cobra.Command, each client.Entry) error {
	ctx, stop := untilStopped(cmd.Context(), cmd.ErrOrStderr())
	defer stop()
	return s.withClient(context.WithoutCancel(ctx), func(c *client.Client) error {
		l := &inputLog{client: c, each: each}
		if err := l.copy(ctx, cmd.InOrStdin()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), l.written)
		if ctx.Err() != nil {
			return &exitError{code: codeInterrupted}
		}
		return err
	})
}

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
