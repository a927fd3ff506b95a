// Command agentexec tracks long-running work in Postgres and shows it live: the sidecar, its private Postgres for
// development, and small commands that create, log, end, list and watch activities.
//
// main.go runs a command, and prints its error. The other files have one command each, or a few of one kind. They share
// packages below internal/: argument and settings read the user's input, connect opens what it names, output prints the answers,
// exit has the errors and exit codes, process the signals.
//
// May import: everything.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/pkg/client"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns its exit code. Answers go to stdout, everything else to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := &settings.Reader{}
	root := newRoot(s)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if message := exit.Describe(err); message != "" {
		_, _ = fmt.Fprintln(stderr, "agentexec: "+s.Advise(message))
	}
	return exit.Code(err)
}

// newRoot returns the command agentexec with all its subcommands, which share the settings.
func newRoot(s *settings.Reader) *cobra.Command {
	root := &cobra.Command{
		Use:   "agentexec",
		Short: "Track long-running work in Postgres and watch it live",
		Long: "agentexec tracks long-running work (AI agents, jobs) in Postgres and shows it live.\n\n" +
			"Start with: agentexec dev",
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.HasParent() { // help also works with wrong settings
				return nil
			}
			return s.Check()
		},
		Version:       currentVersion(), // what --version prints
		SilenceErrors: true,             // main prints them, on one line
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	cobra.EnableCommandSorting = false
	root.SetFlagErrorFunc(exit.FlagError)
	s.Register(root.PersistentFlags())
	completeFlags(root)

	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run it:"},
		&cobra.Group{ID: "report", Title: "Report work:"},
		&cobra.Group{ID: "look", Title: "Look at it:"},
	)
	group(root, "run", newDev(s), newServe(s), newDemo(s), newMigrate(s), newDoctor(s), newSweep(s), newRetention(s), newPrune(s), newToken())
	pending := []client.Status{client.StatusQueued, client.StatusRunning}
	group(root, "report", withIDFlags(s, newCreate(s)), withIDs(s, newLog(s), pending...), withIDs(s, newComplete(s), pending...),
		withIDs(s, newError(s), pending...), withIDs(s, newHeartbeat(s), pending...),
		withIDs(s, newCancel(s), append(pending, client.StatusError)...), newCancelPending(s), withQuestions(s, newAnswer(s)))
	group(root, "look", newTop(s), withIDFlags(s, newList(s)), withIDs(s, newShow(s)), withIDs(s, newWatch(s), pending...),
		withIDs(s, newQuestions(s)))
	root.AddCommand(newHealthcheck(s), newVersion())
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultCompletionCmd("completion")
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = knownCommand
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		completion.PersistentPreRunE = noSettings
	}
	return root
}

func group(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = id
		completeFlags(cmd)
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		root.AddCommand(cmd)
	}
}

// noSettings is for commands that do not use the settings: these commands also work with wrong settings.
func noSettings(*cobra.Command, []string) error { return nil }

// knownCommand rejects an unknown subcommand, and suggests the name that was probably meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += fmt.Sprintf(", did you mean %s?", strings.Join(near, " or "))
	}
	return exit.UsageError(cmd, "%s", message)
}

// arguments accepts the positional arguments that a command's Use line names: those in brackets may be left out.
func arguments(cmd *cobra.Command, args []string) error {
	var names []string
	required := 0
	for _, word := range strings.Fields(cmd.Use)[1:] {
		names = append(names, strings.Trim(word, "[]"))
		if !strings.HasPrefix(word, "[") {
			required = len(names)
		}
	}
	switch {
	case len(args) < required:
		return exit.UsageError(cmd, "%s is missing: %s %s", names[len(args)], cmd.Parent().CommandPath(), cmd.Use)
	case len(args) > len(names) && len(names) > 0:
		return exit.UsageError(cmd, "unexpected argument %q (put quotes around words that belong together)", args[len(names)])
	case len(args) > len(names):
		return exit.UsageError(cmd, "unexpected argument %q", args[0])
	}
	return nil
}

// optional returns an argument, or nothing where it was left out.
func optional(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

// newHelp returns cobra's help command, in which an unknown command is an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		Args:  arguments,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil {
				err = knownCommand(root, rest)
			}
			if err != nil {
				return err
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
		PersistentPreRunE: noSettings,
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), currentVersion())
			return err
		},
		PersistentPreRunE: noSettings,
	}
}
