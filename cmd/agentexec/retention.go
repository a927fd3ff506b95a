package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/process"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// age is a flag or an argument that takes a duration above zero that may have days: 30d, 12h, 1d12h.
type age struct{ value time.Duration }

func (a *age) String() string { return "" }
func (a *age) Type() string   { return "AGE" }

func (a *age) Set(text string) error {
	when, err := client.ParseWhen(text)
	if before := when.Before(); err == nil && before != nil && *before > 0 {
		a.value = *before
		return nil
	}
	return errors.New("must be an age above zero, such as 30d, 12h or 1d12h")
}

// ageText returns an age as the flag takes it.
func ageText(d time.Duration) string {
	const day = 24 * time.Hour
	switch days, rest := d/day, d%day; {
	case days == 0:
		return rest.String()
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	default:
		return fmt.Sprintf("%dd%s", days, rest)
	}
}

func newRetention(s *settings.Reader) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Show and set for how long finished activities are kept",
		Long: "Show and set for how long finished activities are kept. Without a rule nothing is ever deleted.\n\n" +
			"The most specific rule counts: the one for the type and the status, then that for the type, then that for the status,\n" +
			"then the default. Every sidecar deletes what the rules say. A tree follows the rule of its root, and goes as a whole when\n" +
			"everything in it has finished. See docs/retention.md.",
		Example: "  agentexec retention set 30d\n" +
			"  agentexec retention set 90d --agent-type research --status ERROR\n" +
			"  agentexec retention remove --agent-type research --status ERROR",
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	group(cmd, "", newRetentionList(s), newRetentionSet(s), newRetentionRemove(s))
	return cmd
}

func newRetentionList(s *settings.Reader) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the rules as \"retention set\" takes them, the most specific first",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.WithClient(cmd.Context(), s, func(c *client.Client) error {
				rules, err := c.Retention(cmd.Context())
				if err != nil {
					return err
				}
				for _, rule := range rules {
					if _, err := fmt.Fprintln(cmd.OutOrStdout(), ruleText(rule)); err != nil {
						return err
					}
				}
				if len(rules) == 0 {
					_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "No rules: nothing is ever deleted. Set one: agentexec retention set 30d")
				}
				return nil
			})
		},
	}
}

// ruleText returns a rule as "retention set" takes it.
func ruleText(rule client.RetentionRule) string {
	text := ageText(rule.Keep.Duration())
	if rule.AgentType != "" {
		text += " --agent-type " + shellWord(rule.AgentType)
	}
	if rule.Status != "" {
		text += " --status " + rule.Status.String()
	}
	return text
}

// ruleFlags are the flags that say which rule: those of set and remove.
type ruleFlags struct {
	agentType argument.Name
	status    argument.Statuses
}

func (r *ruleFlags) register(cmd *cobra.Command) {
	r.status.One, r.status.Finished = true, true
	cmd.Flags().Var(&r.agentType, "agent-type", "the rule is for this type (default: any)")
	cmd.Flags().Var(&r.status, "status", "the rule is for COMPLETE, ERROR or CANCELED (default: any)")
}

func (r *ruleFlags) rule(keep time.Duration) client.RetentionRule {
	return client.RetentionRule{AgentType: r.agentType.Value, Status: r.status.First(), Keep: client.Seconds(keep)}
}

func newRetentionSet(s *settings.Reader) *cobra.Command {
	var flags ruleFlags
	cmd := &cobra.Command{
		Use:   "set AGE",
		Short: "Keep finished activities for an age, such as 30d, and delete them then",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			var keep age
			if err := keep.Set(args[0]); err != nil {
				return exit.UsageError(cmd, "AGE %.50q %w", args[0], err)
			}
			rule := flags.rule(keep.value)
			due, dueErr := dueUnder(cmd.Context(), s, rule) // before a sidecar deletes it
			err := connect.WithClient(cmd.Context(), s, func(c *client.Client) error { return c.SetRetention(cmd.Context(), rule) })
			switch {
			case err != nil:
			case dueErr != nil:
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "The rule is set. The activities that are due now were not counted: %v\n", dueErr)
			default:
				_, err = fmt.Fprintln(cmd.OutOrStdout(), due)
			}
			return err
		},
	}
	flags.register(cmd)
	return cmd
}

// countTimeout bounds how long a command counts what is due.
const countTimeout = 5 * time.Second

// dueUnder returns a sentence that says how much a rule makes due now. Sidecars begin to delete it at once. It has a connection of
// its own, which does not survive a count that takes too long.
func dueUnder(ctx context.Context, s *settings.Reader, rule client.RetentionRule) (string, error) {
	ctx, done := context.WithTimeout(ctx, countTimeout)
	defer done()
	params := client.PruneParams{FinishedBefore: time.Now().Add(-rule.Keep.Duration()), AgentType: rule.AgentType, DryRun: true}
	if rule.Status != "" {
		params.Statuses = []client.Status{rule.Status}
	}
	var due client.Pruned
	err := connect.WithClient(ctx, s, func(c *client.Client) (err error) {
		due, err = c.Prune(ctx, params)
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("the count takes longer than %s", countTimeout)
	} else if err != nil {
		return "", err
	}
	if due == (client.Pruned{}) {
		return "Nothing is due now.", nil
	}
	return fmt.Sprintf("Due now: up to %s with %s, less what a more specific rule keeps. A running sidecar deletes them.",
		terminal.Counted(due.Activities, "activity", "activities"), terminal.Counted(due.Lines, "line", "lines")), nil
}

func newRetentionRemove(s *settings.Reader) *cobra.Command {
	var flags ruleFlags
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Remove the rule with this type and this status, or without flags the default",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.WithClient(cmd.Context(), s, func(c *client.Client) error {
				rules, err := c.Retention(cmd.Context())
				if err != nil {
					return err
				}
				unwanted := flags.rule(0)
				for _, rule := range rules {
					if rule.AgentType == unwanted.AgentType && rule.Status == unwanted.Status {
						return c.SetRetention(cmd.Context(), unwanted)
					}
				}
				return errors.New("there is no such rule; agentexec retention list shows the rules")
			})
		},
	}
	flags.register(cmd)
	return cmd
}

func newPrune(s *settings.Reader) *cobra.Command {
	var (
		olderThan age
		agentType argument.Name
		status    = argument.Statuses{Finished: true}
		dryRun    bool
	)
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete the activities that finished long ago, with their lines",
		Long: "Delete the activities that finished longer ago than an age, with their lines, and print how many.\n\n" +
			"A tree goes as a whole, when everything in it finished that long ago; --agent-type and --status are those of its root.\n" +
			"It works in small steps, so that it holds no lock for long. After Ctrl-C, what was deleted stays deleted.\n\n" +
			"The rules of agentexec retention do the same all the time.",
		Example: "  agentexec prune --older-than 30d --dry-run\n" +
			"  agentexec prune --older-than 7d --agent-type research --status COMPLETE,CANCELED",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if olderThan.value == 0 {
				return exit.UsageError(cmd, "--older-than is missing, such as --older-than 30d")
			}
			ctx, stop := process.UntilStopped(cmd.Context(), cmd.ErrOrStderr())
			defer stop()
			params := client.PruneParams{
				FinishedBefore: time.Now().Add(-olderThan.value), AgentType: agentType.Value, Statuses: status.Values, DryRun: dryRun,
			}
			// A step that has begun ends, so that the numbers are right.
			return connect.WithClient(context.WithoutCancel(ctx), s, func(c *client.Client) error {
				p := pruning{out: output.NewScreen(cmd.OutOrStdout()), progress: output.NewScreen(cmd.ErrOrStderr()), client: c}
				return p.run(ctx, params)
			})
		},
	}
	cmd.Flags().Var(&olderThan, "older-than", "age since the end, such as 30d (required)")
	cmd.Flags().Var(&agentType, "agent-type", "only trees whose root is of this type")
	cmd.Flags().Var(&status, "status", "only trees whose root is COMPLETE, ERROR or CANCELED")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "delete nothing, and print how many it would be")
	return cmd
}

// pruning deletes in steps, and says how far it is when it takes long.
type pruning struct {
	out, progress *output.Screen
	client        *client.Client
	total         client.Pruned
	told          time.Time
}

// run deletes until nothing is left to delete, or ctx ends. What was deleted before an error is printed too.
func (p *pruning) run(ctx context.Context, params client.PruneParams) error {
	p.told = time.Now()
	for {
		done, err := p.client.Prune(context.WithoutCancel(ctx), params)
		p.total.Activities, p.total.Lines = p.total.Activities+done.Activities, p.total.Lines+done.Lines
		if err != nil {
			if p.total != (client.Pruned{}) {
				_ = p.print(params.DryRun)
			}
			return err
		}
		if params.DryRun || done == (client.Pruned{}) {
			return p.print(params.DryRun)
		}
		if ctx.Err() != nil {
			_ = p.print(false)
			return &exit.Error{Code: exit.CodeInterrupted}
		}
		p.tell()
	}
}

// tell writes the progress: on a terminal in place, once a second; else a line every 10 s.
func (p *pruning) tell() {
	every, text := 10*time.Second, "agentexec: %s so far\n"
	if p.progress.Terminal {
		every, text = time.Second, "\r\x1b[K%s so far"
	}
	if time.Since(p.told) >= every {
		p.told = time.Now()
		_, _ = fmt.Fprintf(p.progress, text, p.deleted("deleted"))
	}
}

func (p *pruning) print(dryRun bool) error {
	if p.progress.Terminal {
		_, _ = fmt.Fprint(p.progress, "\r\x1b[K")
	}
	verb := "deleted"
	if dryRun {
		verb = "would delete"
	}
	_, err := fmt.Fprintln(p.out, p.deleted(verb))
	return err
}

func (p *pruning) deleted(verb string) string {
	return fmt.Sprintf("%s %s with %s", verb, terminal.Counted(p.total.Activities, "activity", "activities"), terminal.Counted(p.total.Lines, "line", "lines"))
}

// shellWord returns a text as one word of a shell's command line.
func shellWord(text string) string {
	text = terminal.Printable(text)
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
