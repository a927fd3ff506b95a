package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/top"
	"github.com/agentexec/agentexec/pkg/client"
)

func newTop(s *settings.Reader) *cobra.Command {
	interval := argument.Duration{Value: time.Second}
	cmd := &cobra.Command{
		Use:   "top [FILTER]",
		Short: "Show what runs as a live table, with details and cancel",
		Long: "Show what runs as a live table on a terminal of at least 60 columns: progress, lines a second, stale and stopping\n" +
			"activities, and the log of one of them. The key ? explains the keys; / filters, s sorts, Enter opens details, c cancels\n" +
			"after a question, q leaves.\n\n" +
			"FILTER is the text of the search field: type:research status:error,stale since:1h id:01234567 org=1 and words of the\n" +
			"type, the id or the latest line. It reads one page of at most 200 activities, once a second.\n\n" +
			"NO_COLOR=1 turns colours off. In a pipe use: agentexec list --watch",
		Example: "  agentexec top 'type:research since:1h'\n" +
			"  AGENTEXEC_TOKEN=... agentexec top --url https://example.com/agentexec",
		Args: arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := top.ParseFilter(optional(args, 0)); err != nil {
				return exit.UsageError(cmd, "FILTER: %w", err)
			}
			if interval.Value < top.MinInterval {
				return exit.UsageError(cmd, "--interval must be at least %s", top.MinInterval)
			}
			in, isFile := cmd.InOrStdin().(*os.File)
			out, alsoFile := cmd.OutOrStdout().(*os.File)
			if !isFile || !alsoFile || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
				return exit.UsageError(cmd, "top needs a terminal; in a pipe use: agentexec list --watch")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			src, err := connect.Source(ctx, s, cmd, nil)
			if err != nil {
				return interrupted(ctx, err)
			}
			defer src.Close()
			if _, err := src.ListJSON(ctx, client.ListParams{PageSize: 1}); err != nil { // before the screen changes
				return interrupted(ctx, err)
			}
			err = top.Run(ctx, top.Config{
				Source: src, Place: connect.Place(s, src), Filter: optional(args, 0), Interval: interval.Value, RequestedBy: userName(),
				Describe: exit.Describe, Input: in, Output: out, Environ: os.Environ(),
			})
			return interrupted(ctx, err)
		},
	}
	connect.SourceFlags(cmd)
	cmd.Flags().Var(&interval, "interval", "time between two reads, at least 250ms (default 1s)")
	return cmd
}
