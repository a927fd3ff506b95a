package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// completionTime bounds how long a shell waits for ids from the database.
const completionTime = 2 * time.Second

// completeIDs offers the ids of activities with these statuses as the argument AGENT_ID, the newest first. Where the database or the sidecar
// does not answer in time, it offers nothing.
func completeIDs(s *settings.Reader, statuses ...client.Status) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var found []cobra.Completion
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionTime)
		defer cancel()
		_ = connect.WithSource(ctx, s, cmd, func(src source.Source) error {
			list, err := source.List(ctx, src, client.ListParams{Statuses: statuses, PageSize: 200})
			if err != nil {
				return err
			}
			for _, item := range list.Items {
				id := item.AgentID.String()
				if strings.HasPrefix(id, strings.ToLower(begun)) {
					about := terminal.Printable(item.AgentType) + ", " + item.Status.String()
					found = append(found, cobra.CompletionWithDesc(id, about))
				}
			}
			return nil
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// withIDs completes a command's AGENT_ID: with the ids that are QUEUED or RUNNING, or with all ids.
func withIDs(s *settings.Reader, cmd *cobra.Command, statuses ...client.Status) *cobra.Command {
	cmd.ValidArgsFunction = completeIDs(s, statuses...)
	return cmd
}

// withIDFlags completes the flags of a command that take an AGENT_ID.
func withIDFlags(s *settings.Reader, cmd *cobra.Command) *cobra.Command {
	for _, flag := range []string{"parent", "root"} {
		if cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return completeIDs(s)(cmd, nil, begun)
			})
		}
	}
	return cmd
}

// withQuestions completes the arguments of answer: the ids that wait, the keys of the questions, and the choices of an answer.
func withQuestions(s *settings.Reader, cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var found []cobra.Completion
		offered := map[string]bool{}
		offer := func(value, about string) {
			if strings.HasPrefix(value, begun) && !offered[value] {
				offered[value] = true
				found = append(found, cobra.CompletionWithDesc(value, about))
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionTime)
		defer cancel()
		_ = connect.WithSource(ctx, s, cmd, func(src source.Source) error {
			params := client.QuestionListParams{PageSize: 200}
			if len(args) > 0 {
				id, err := argument.ParseActivityID(args[0])
				if err != nil {
					return err
				}
				if params.AgentID, err = id.Find(ctx, src.FindID); err != nil {
					return err
				}
			}
			list, err := source.Questions(ctx, src, params)
			if err != nil {
				return err
			}
			for _, q := range list.Items {
				prompt := terminal.Clip(terminal.Printable(q.Prompt), 60)
				switch {
				case len(args) == 0:
					offer(q.AgentID.String(), terminal.Printable(q.AgentType)+" asks: "+prompt)
				case len(args) == 1:
					offer(q.Key, prompt)
				case len(args) == 2 && q.Key == args[1]:
					for _, choice := range source.Choices(q.Schema) {
						offer(string(choice), "")
					}
				}
			}
			return nil
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
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
	for _, flag := range []string{"sort", "order"} {
		if flag := cmd.Flags().Lookup(flag); flag != nil {
			values, _ := flag.Value.(*argument.Choice)
			_ = cmd.RegisterFlagCompletionFunc(flag.Name, cobra.FixedCompletions(slices.Clone(values.Values), cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for flag, values := range map[string][]string{
		"log-level": {"debug", "info", "warn", "error"}, "listen": {"on", "off"}, "proxy-header": {"X-Forwarded-For", "Forwarded"},
		"grace": {"10s", "30s", "5m", "never"}, "expect-every": {"10s", "30s", "60s"},
		"state": questionStates, "older-than": {"7d", "30d", "90d", "365d"},
		"since": {"15m", "1h", "24h", "7d"}, "until": {"15m", "1h", "24h", "7d"},
	} {
		if cmd.Flag(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(slices.Clone(values), cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if cmd.Flags().Lookup("status") != nil && cmd.Flag("status").Value.Type() != "bool" {
		_ = cmd.RegisterFlagCompletionFunc("status", completeStatuses)
	}
}
