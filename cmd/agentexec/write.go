package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/loginput"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/process"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

func newCreate(s *settings.Reader) *cobra.Command {
	var (
		id     argument.UUID
		parent argument.ActivityFlag
	)
	metadata := argument.Document{Object: true}
	cmd := &cobra.Command{
		Use:   "create TASK [MESSAGE]",
		Short: "Create an activity and print its agent_id",
		Long: "Create an activity and print its agent_id.\n\n" +
			"With --parent it is a part of another activity, and has the metadata of that one unless --metadata gives its own.",
		Example: "  agentexec create research 'Read the papers' --metadata '{\"org\": \"1\"}'\n" +
			"  agentexec create read-paper --parent 01234567",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			var opts []client.CreateOption
			if metadata.Value != nil {
				opts = append(opts, client.WithMetadata(metadata.Members()))
			}
			if id.Value != nil {
				opts = append(opts, client.WithAgentID(*id.Value))
			}
			return connect.WithClient(cmd.Context(), s, func(c *client.Client) error {
				above, err := parent.Find(cmd.Context(), source.NewDatabase(c, nil).FindID)
				if err != nil {
					return err
				}
				if above != uuid.Nil {
					opts = append(opts, client.WithParent(above))
				}
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
	cmd.Flags().Var(&parent, "parent", "the activity that it is a part of")
	return cmd
}

func newLog(s *settings.Reader) *cobra.Command {
	var (
		percentage, atSeq argument.Number
		data              argument.Document
	)
	status := argument.Statuses{One: true}
	cmd := &cobra.Command{
		Use:   "log AGENT_ID MESSAGE",
		Short: "Append a line to an activity's log",
		Long: "Append a line to an activity's log, and print the line as it was written.\n\n" +
			"Its status is the activity's: a worker that reads CANCELED there should stop. While a cancel is requested, standard\n" +
			"error says so; the exit code of heartbeat tells a script.\n\n" +
			"With --at-seq the line is written only as line N. If that line exists already with the same content, nothing is\n" +
			"written and the exit code is 0, so a log whose answer was lost can be repeated. If line N is a different line, the log is refused.\n\n" +
			"With - as MESSAGE, each line of standard input is one line of the log, with the flags given, written as it comes\n" +
			"and many at once where many come; at the end it prints how many. --at-seq is then the seq of the first line. Ctrl-C\n" +
			"writes what has come, and ends with 130.",
		Example: "  agentexec log 01234567-89ab-cdef-0123-456789abcdef 'Reading papers' --status RUNNING --percentage 40\n" +
			"  make 2>&1 | agentexec log 01234567-89ab-cdef-0123-456789abcdef - --status RUNNING",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := argument.AgentID(cmd, args[0])
			if err != nil {
				return err
			}
			entry := client.Entry{Percentage: percentage.Value, Status: status.First(), Data: data.Value}
			if atSeq.Value != nil {
				if entry.AtSeq = *atSeq.Value; entry.AtSeq < 1 {
					return exit.UsageError(cmd, "--at-seq must be at least 1")
				}
			}
			if args[1] == "-" && cmd.ArgsLenAtDash() < 0 {
				return logInput(s, cmd, id, entry)
			}
			entry.Message = args[1]
			return logLine(s, cmd, id, entry)
		},
	}
	cmd.Flags().Var(&percentage, "percentage", "progress, 0 to 100")
	cmd.Flags().Var(&status, "status", "QUEUED, RUNNING, COMPLETE, ERROR or CANCELED (default: as it is)")
	cmd.Flags().Var(&data, "data", "JSON to keep with the line")
	cmd.Flags().Var(&atSeq, "at-seq", "write the line only as line N")
	return cmd
}

// logLine writes one line into a log, and prints it as it was written.
func logLine(s *settings.Reader, cmd *cobra.Command, id argument.ActivityID, entry client.Entry) error {
	opts := []client.UpdateOption{client.WithData(entry.Data)}
	if entry.Percentage != nil {
		opts = append(opts, client.WithPercentage(*entry.Percentage))
	}
	if entry.Status != "" {
		opts = append(opts, client.WithStatus(entry.Status))
	}
	if entry.AtSeq != 0 {
		opts = append(opts, client.WithAtSeq(entry.AtSeq))
	}
	return connect.WithActivity(cmd.Context(), s, id, func(c *client.Client, id uuid.UUID) error {
		line, err := c.Update(cmd.Context(), id, entry.Message, opts...)
		if err != nil {
			return err
		}
		if line.CancelRequested && !line.Status.IsFinished() {
			sayCancelRequested(cmd.ErrOrStderr())
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), output.PlainLine(line))
		return err
	})
}

// logInput writes standard input into a log. Each line also gets the other fields of the entry; AtSeq is that of the first line.
func logInput(s *settings.Reader, cmd *cobra.Command, id argument.ActivityID, each client.Entry) error {
	ctx, stop := process.UntilStopped(cmd.Context(), cmd.ErrOrStderr())
	defer stop()
	return connect.WithActivity(context.WithoutCancel(ctx), s, id, func(c *client.Client, id uuid.UUID) error {
		each.AgentID = id
		l := &loginput.Writer{Client: c, Each: each, Canceling: func() { sayCancelRequested(cmd.ErrOrStderr()) }}
		if err := l.Copy(ctx, cmd.InOrStdin()); err != nil {
			return err
		}
		var err error
		if out := output.NewScreen(cmd.OutOrStdout()); out.Terminal {
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), terminal.Counted(l.Written, "line", "lines")+" written")
		} else {
			_, err = fmt.Fprintln(out, l.Written)
		}
		if ctx.Err() != nil {
			return &exit.Error{Code: exit.CodeInterrupted}
		}
		return err
	})
}

func newComplete(s *settings.Reader) *cobra.Command {
	var (
		percentage argument.Number
		data       argument.Document
	)
	cmd := newFinish(s, &cobra.Command{
		Use:   "complete AGENT_ID [MESSAGE]",
		Short: "End an activity well",
	}, func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error) {
		var opts []client.UpdateOption
		if percentage.Value != nil {
			opts = append(opts, client.WithPercentage(*percentage.Value))
		}
		return c.Complete(ctx, id, message, append(opts, client.WithData(data.Value))...)
	})
	cmd.Flags().Var(&percentage, "percentage", "progress at the end, 0 to 100 (default 100)")
	cmd.Flags().Var(&data, "data", "JSON to keep with the line")
	return cmd
}

func newError(s *settings.Reader) *cobra.Command {
	var data argument.Document
	cmd := newFinish(s, &cobra.Command{
		Use:   "error AGENT_ID [MESSAGE]",
		Short: "End an activity, or this attempt of it, badly",
		Long: "End an activity, or this attempt of it, badly.\n\n" +
			"A retry begins with: agentexec log AGENT_ID MESSAGE --status RUNNING",
	}, func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error) {
		return c.Error(ctx, id, message, client.WithData(data.Value))
	})
	cmd.Flags().Var(&data, "data", "JSON to keep with the line")
	return cmd
}

// newFinish completes a command that ends an activity: it prints the line that write wrote.
func newFinish(
	s *settings.Reader, cmd *cobra.Command,
	write func(ctx context.Context, c *client.Client, id uuid.UUID, message string) (client.Log, error),
) *cobra.Command {
	cmd.Args = arguments
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := argument.AgentID(cmd, args[0])
		if err != nil {
			return err
		}
		return connect.WithActivity(cmd.Context(), s, id, func(c *client.Client, id uuid.UUID) error {
			line, err := write(cmd.Context(), c, id, optional(args, 1))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), output.PlainLine(line))
			return err
		})
	}
	return cmd
}
