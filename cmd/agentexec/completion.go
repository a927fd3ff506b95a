package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

// completionTime bounds how long a shell waits for ids from the database.
const completionTime = 2 * time.Second

// completeIDs offers the ids of activities with these statuses as the argument AGENT_ID, the newest first. Where the database
// does not answer in time, it offers nothing.
func completeIDs(s *settings, statuses ...client.Status) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var found []cobra.Completion
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionTime)
		defer cancel()
		_ = s.withClient(ctx, func(c *client.Client) error {
			list, err := c.List(ctx, client.ListParams{Statuses: statuses, PageSize: 200})
			if err != nil {
				return err
			}
			for _, item := range list.Items {
				id := item.AgentID.String()
				if strings.HasPrefix(id, strings.ToLower(begun)) {
					about := printable(item.AgentType) + ", " + item.Status.String()
					found = append(found, cobra.CompletionWithDesc(id, about))
				}
			}
			return nil
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// withIDs completes a command's AGENT_ID: with the ids that are QUEUED or RUNNING, or with all ids.
func withIDs(s *settings, cmd *cobra.Command, statuses ...client.Status) *cobra.Command {
	cmd.ValidArgsFunction = completeIDs(s, statuses...)
	return cmd
}

// completeStatuses offers the statuses; for a list, those that it does not have yet.
func completeStatuses(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	have, begun := begun[:strings.LastIndexByte(begun, ',')+1], begun[strings.LastIndexByte(begun, ',')+1:]
	taken := strings.Split(strings.ToUpper(have), ",")
	var found []cobra.Completion
	for _, status := range client.Statuses() {
		if text := status.String(); strings.HasPrefix(text, strings.ToUpper(begun)) && !slices.Contains(taken, text) {
			found = append(found, have+text)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeFlags registers the completions of a command's flags, or of the flags that all commands share. A flag without a
// completion here, and that takes no file, is completed with nothing.
func completeFlags(cmd *cobra.Command) {
	for flag, values := range map[string][]string{
		"log-level": {"debug", "info", "warn", "error"}, "listen": {"on", "off"}, "proxy-header": {"X-Forwarded-For", "Forwarded"},
		"grace": {"10s", "30s", "5m", "never"}, "expect-every": {"10s", "30s", "60s"},
	} {
		if cmd.Flag(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(slices.Clone(values), cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if cmd.Flags().Lookup("status") != nil && cmd.Flag("status").Value.Type() != "bool" {
		_ = cmd.RegisterFlagCompletionFunc("status", completeStatuses)
	}
}
