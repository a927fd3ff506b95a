package main

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/pkg/client"
)

func newHeartbeat(s *settings.Reader) *cobra.Command {
	var expectEvery argument.Duration
	cmd := &cobra.Command{
		Use:   "heartbeat AGENT_ID",
		Short: "Record that the worker of an activity is alive, and tell whether it should end",
		Long: "Record that the worker of an activity is alive, and print the status of the activity.\n\n" +
			"The exit code is 0; it is 3 when a cancel is requested or the activity is CANCELED: the worker should end. Another code\n" +
			"means that the call failed (1: the database; 2: the arguments), and tells nothing about the activity.\n\n" +
			"--expect-every is a promise: the worker sends a heartbeat or a line at least that often. Otherwise the activity is stale:\n" +
			"readers see that, and nothing else changes. Without the flag the earlier promise stays, or it is 60s. The promise ends with\n" +
			"the run.",
		Example: "  until agentexec heartbeat \"$id\" --expect-every 30s; [ $? -eq 3 ]; do sleep 10; done   # until it should end",
		Args:    arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := argument.AgentID(cmd, args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("expect-every") && expectEvery.Value == 0 {
				return exit.UsageError(cmd, "--expect-every must be above zero")
			}
			return connect.WithActivity(cmd.Context(), s, id, func(c *client.Client, id uuid.UUID) error {
				beat, err := c.Heartbeat(cmd.Context(), id, expectEvery.Value)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), beat.Status); err != nil {
					return err
				}
				switch {
				case beat.CancelRequested && !beat.Status.IsFinished():
					return &exit.Error{Code: exit.CodeCanceled, Err: fmt.Errorf("a cancel is requested: %s", beat.CancelMessage)}
				case beat.CancelRequested, beat.Status == client.StatusCanceled:
					return &exit.Error{Code: exit.CodeCanceled}
				}
				return nil
			})
		},
	}
	cmd.Flags().Var(&expectEvery, "expect-every", "longest time between two heartbeats or lines, 1s to 24h (default: as before, or 60s)")
	return cmd
}

func newSweep(s *settings.Reader) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Do what is due: force cancels, expire questions, delete what the retention rules say",
		Long: "Do what is due, and print three numbers: forced, the activities that were canceled because their grace period is over;\n" +
			"expired, the questions whose time is over; pruned, the activities and lines deleted as the rules of agentexec retention say.\n\n" +
			"One call changes at most 1,000 rows of each. A sidecar that is connected sweeps about once a second, so this command is for\n" +
			"a database without one.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.WithClient(cmd.Context(), s, func(c *client.Client) error {
				swept, err := c.Sweep(cmd.Context(), 0)
				if err != nil {
					return err
				}
				answer := fmt.Sprintf("forced %d, expired %d, pruned %d", swept.Forced, swept.Expired, swept.Pruned)
				if asJSON {
					text, err := json.Marshal(swept)
					if err != nil {
						return err
					}
					answer = string(text)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), answer)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the numbers as JSON")
	return cmd
}
