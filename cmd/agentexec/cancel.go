package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

func newCancel(s *settings.Reader) *cobra.Command {
	var (
		grace       grace
		force, tree bool
	)
	cmd := &cobra.Command{
		Use:   "cancel AGENT_ID [MESSAGE]",
		Short: "Cancel an activity, or request that its worker ends it",
		Long: "Cancel an activity, or request that its worker ends it. Print \"canceled\", or \"requested\" with the time of the force.\n\n" +
			"A QUEUED or ERROR activity becomes CANCELED at once. A RUNNING one stays RUNNING: its worker learns of the request from\n" +
			"its next line or heartbeat, and ends the activity. If it does not end it within the grace period, the next sweep ends it\n" +
			"as CANCELED. If a cancel was requested already, the shorter grace period counts.\n\n" +
			"With --tree, all activities below it that are QUEUED, RUNNING or ERROR are canceled in the same way.\n\n" +
			"The request names the user of the operating system who ran the command. A sidecar (--url) names the subject of the token.",
		Example: "  agentexec cancel 01234567-89ab-cdef-0123-456789abcdef 'Wrong input' --grace 5m\n" +
			"  agentexec cancel 01234567-89ab-cdef-0123-456789abcdef --force",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := argument.AgentID(cmd, args[0])
			if err != nil {
				return err
			}
			if force && grace.given() {
				return exit.UsageError(cmd, "--force and --grace do not go together")
			}
			request := source.Cancel{Message: optional(args, 1), Grace: grace.time, Never: grace.never, Tree: tree, RequestedBy: userName()}
			if force {
				request.Grace = new(time.Duration(0))
			}
			return connect.WithSource(cmd.Context(), s, cmd, func(src source.Source) error {
				id, err := id.Find(cmd.Context(), src.FindID)
				if err != nil {
					return err
				}
				line, err := src.Cancel(cmd.Context(), id, request)
				if err != nil {
					return err
				}
				outcome, err := cancelOutcome(cmd.Context(), src, line, id)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), outcome)
				return err
			})
		},
	}
	connect.SourceFlags(cmd)
	cmd.Flags().Var(&grace, "grace", `time for the worker to end the activity, such as 5m; "never" leaves it to the worker (default 30s)`)
	cmd.Flags().BoolVar(&tree, "tree", false, "cancel also the activities below it")
	cmd.Flags().BoolVar(&force, "force", false, "end a RUNNING activity at once, without its worker")
	return cmd
}

// cancelOutcome returns the text for what a cancel did. Without the right to read, the text has no time of the force.
func cancelOutcome(ctx context.Context, src source.Source, line client.Log, id uuid.UUID) (string, error) {
	switch line.Status {
	case client.StatusCanceled:
		return fmt.Sprintf("canceled (line %d)", line.Seq), nil
	case client.StatusComplete: // with its tree; alone it is refused
		return "canceled what is below it; it is COMPLETE itself", nil
	}
	requested := fmt.Sprintf("requested (line %d)", line.Seq)
	activity, err := source.Activity(ctx, src, id)
	switch {
	case source.NotAllowed(err):
		return requested, nil
	case err != nil:
		return "", err
	case activity.Cancel == nil || activity.Status.IsFinished():
		return fmt.Sprintf("%s: it is %s now", requested, activity.Status), nil
	default:
		return requested + ": " + output.ForcedAt(*activity.Cancel, time.UTC, output.ProgramTime), nil
	}
}

// sayCancelRequested prints the message that tells a worker to end.
func sayCancelRequested(w io.Writer) {
	_, _ = fmt.Fprintln(w, "agentexec: a cancel is requested: the worker should end the activity")
}

// userName returns the name of the user of the operating system, or "uid N" where the user has no name.
func userName() string {
	name := fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = strings.ReplaceAll(strings.ToValidUTF8(u.Username, "\uFFFD"), "\x00", "")
	}
	const longest = 255 // the bound of SQL
	if utf8.RuneCountInString(name) > longest {
		name = string([]rune(name)[:longest])
	}
	return name
}

// grace is a flag that takes a duration, or never.
type grace struct {
	time  *time.Duration // nil where none was given
	never bool
}

func (g *grace) String() string { return "" }
func (g *grace) Type() string   { return "DURATION" }

func (g *grace) Set(text string) error {
	if text == "never" {
		*g = grace{never: true}
		return nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("must be a duration, such as 90s or 15m, or never")
	case d < 0:
		return errors.New("must not be negative")
	}
	*g = grace{time: &d}
	return nil
}

func (g *grace) given() bool { return g.never || g.time != nil }

func newCancelPending(s *settings.Reader) *cobra.Command {
	var (
		agentType argument.Name
		idleFor   argument.Duration
		message   string
		all       bool
	)
	var metadata argument.Pairs
	cmd := &cobra.Command{
		Use:   "cancel-pending",
		Short: "Cancel the QUEUED and RUNNING activities that match, and print how many",
		Long: "Cancel the QUEUED and RUNNING activities that match all flags given, and print how many.\n\n" +
			"At least one filter is needed, or --all. Activities that another transaction keeps locked are skipped, and counted on\n" +
			"standard error.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filtered := agentType.Value != "" || len(metadata) > 0 || idleFor.Value > 0
			switch {
			case !all && !filtered:
				return exit.UsageError(cmd, "nothing says which activities: give --agent-type, --metadata or --idle-for, or --all for every QUEUED and RUNNING one")
			case all && filtered:
				return exit.UsageError(cmd, "--all goes with no filter: it cancels every QUEUED and RUNNING activity")
			}
			return connect.WithClient(cmd.Context(), s, func(c *client.Client) error {
				counts, err := c.CancelPendingCounts(cmd.Context(), client.CancelPendingParams{
					AgentType:      agentType.Value,
					MetadataFilter: metadata,
					IdleFor:        idleFor.Value,
					Message:        message,
				})
				if err != nil {
					return err
				}
				if counts.Skipped > 0 {
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "agentexec: %s skipped: locked by another transaction for longer than 1 s (run it "+
						"again when that has ended), or at the highest seq\n", terminal.Counted(counts.Skipped, "activity was", "activities were"))
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
