package main

import (
	"context"
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

// logInput writes standard input into a log, each line with what the entry has besides.
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
