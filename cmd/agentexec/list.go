package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

func newList(s *settings.Reader) *cobra.Command {
	var (
		filter        listFlags
		watch, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List activities: RUNNING, then QUEUED, then finished",
		Long: "List activities: RUNNING, then QUEUED, then finished, in each the newest first unless --sort says otherwise.\n\n" +
			"The status of a RUNNING activity may have a mark: \"RUNNING,stopping\" while a cancel is requested,\n" +
			"\"RUNNING,stale\" when its worker sent no heartbeat and no line for longer than it promised,\n" +
			"\"RUNNING,waiting\" while a question waits for the answer of a person.\n\n" +
			"Behind the type of an activity with children is how many of them have finished, such as research (3/12).\n\n" +
			"On a terminal the ids are short. Every command accepts the first digits of an agent_id, at least 4, where only one\n" +
			"activity begins with them. In a pipe the ids are whole.\n\n" +
			"With --watch the list stays up to date until Ctrl-C: in place on a terminal; in a pipe as one line for each activity\n" +
			"that is new or has changed, and one with the status \"-\" for each that has left the list.",
		Example: "  agentexec list --status RUNNING,QUEUED --metadata org=1\n" +
			"  agentexec list --since 24h --sort duration\n" +
			"  agentexec list --roots --waiting\n" +
			"  AGENTEXEC_TOKEN=... agentexec list --url https://example.com/agentexec --watch",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := filter.check(cmd); err != nil {
				return err
			}
			out := output.NewScreen(cmd.OutOrStdout())
			if !watch {
				return connect.WithSource(cmd.Context(), s, cmd, func(src source.Source) error { return showList(cmd, src, out, filter, asJSON) })
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return watchList(ctx, s, cmd, out, filter, asJSON)
		},
	}
	filter.register(cmd)
	connect.SourceFlags(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "keep the list up to date, at most once a second, until Ctrl-C")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the JSON of agentexec.list_activities; with --watch one item a line")
	return cmd
}

// listFlags are the flags that choose what a list shows.
type listFlags struct {
	status         argument.Statuses
	agentType      argument.Name
	metadata       argument.Pairs
	after          string
	page, pageSize argument.Number
	stale, waiting argument.OptionalBool
	stopping       argument.OptionalBool
	parent, root   argument.ActivityFlag
	roots          bool
	since, until   argument.Instant
	sort, order    argument.Choice
}

func (f *listFlags) register(cmd *cobra.Command) {
	f.sort.Values, f.order.Values = []string{"created", "duration", "activity"}, []string{"desc", "asc"}
	flags := cmd.Flags()
	flags.Var(&f.status, "status", "only with one of these statuses, such as RUNNING,QUEUED")
	flags.Var(&f.agentType, "agent-type", "only of this type")
	flags.Var(&f.metadata, "metadata", "only with this value in the metadata, or with those of a JSON object; may be repeated")
	flags.Var(&f.since, "since", "only what was not finished before this time: a duration before now, such as 15m, 24h or 7d, or 2006-01-02T15:04:05Z")
	flags.Var(&f.until, "until", "only what was created before this time, given as with --since")
	flags.Var(&f.sort, "sort", "order within RUNNING, QUEUED and finished: created, duration or activity, the last line (default created)")
	flags.Var(&f.order, "order", "desc, the newest or longest first, or asc (default desc)")
	flags.Var(&f.page, "page", "number of the page (default 1)")
	flags.Var(&f.pageSize, "page-size", "activities on a page, 1 to 1000 (default 50)")
	flags.StringVar(&f.after, "after", "", `"next" of an earlier page, in place of --page`)
	flags.Var(&f.stale, "stale", "only stale activities, whose worker did not keep its promise; --stale=false for the others")
	flags.Lookup("stale").NoOptDefVal = "true"
	flags.Var(&f.waiting, "waiting", "only with a question that waits for the answer of a person; --waiting=false for the others")
	flags.Lookup("waiting").NoOptDefVal = "true"
	flags.Var(&f.stopping, "stopping", "only those whose cancel was requested and that have not ended; --stopping=false for the others")
	flags.Lookup("stopping").NoOptDefVal = "true"
	flags.Var(&f.parent, "parent", "only those directly below this activity")
	flags.Var(&f.root, "root", "only the tree of this root: the root and everything below it, at any depth")
	flags.BoolVar(&f.roots, "roots", false, "only those without a parent")
}

func (f *listFlags) check(cmd *cobra.Command) error {
	for _, n := range []struct {
		flag  string
		value *int
	}{{"page", f.page.Value}, {"page-size", f.pageSize.Value}} {
		if n.value != nil && *n.value < 1 {
			return exit.UsageError(cmd, "--%s must be at least 1", n.flag)
		}
	}
	if f.roots && (f.parent.Given() || f.root.Given()) {
		return exit.UsageError(cmd, "--roots does not go with --parent and --root: a root is below nothing")
	}
	return nil
}

// params returns the parameters of the list. It asks src only for ids that are not whole.
func (f *listFlags) params(ctx context.Context, src source.Source) (client.ListParams, error) {
	params := client.ListParams{
		Statuses: f.status.Values, AgentType: f.agentType.Value, MetadataFilter: f.metadata, After: f.after, Stale: f.stale.Value, Waiting: f.waiting.Value,
		Stopping: f.stopping.Value, RootsOnly: f.roots,
		Sort: client.Sort(f.sort.Value), Order: client.Order(f.order.Value), Since: f.since.When, Until: f.until.When,
	}
	if f.page.Value != nil {
		params.Page = *f.page.Value
	}
	if f.pageSize.Value != nil {
		params.PageSize = *f.pageSize.Value
	}
	var err error
	if params.ParentAgentID, err = f.parent.Find(ctx, src.FindID); err != nil {
		return params, err
	}
	params.RootAgentID, err = f.root.Find(ctx, src.FindID)
	return params, err
}

// showList prints a list once.
func showList(cmd *cobra.Command, src source.Source, out *output.Screen, filter listFlags, asJSON bool) error {
	params, err := filter.params(cmd.Context(), src)
	if err != nil {
		return err
	}
	answer, err := src.ListJSON(cmd.Context(), params)
	if err != nil {
		return err
	}
	if asJSON {
		return out.JSON(answer)
	}
	var list client.List
	if err := json.Unmarshal(answer, &list); err != nil {
		return err
	}
	if err := out.Table(list.Items); err != nil {
		return err
	}
	if out.Terminal {
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), output.PageNote(list))
	}
	return nil
}

// listPause is the time between two reads of a list that is kept up to date.
const listPause = time.Second

// watchList keeps a list up to date until ctx ends.
func watchList(ctx context.Context, s *settings.Reader, cmd *cobra.Command, out *output.Screen, filter listFlags, asJSON bool) error {
	src, err := connect.Source(ctx, s, cmd, nil)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer src.Close()
	w := output.NewLiveList(out, cmd.ErrOrStderr(), asJSON)
	defer w.Close()
	var outage output.Outage
	for began := false; ; began = true {
		params, err := filter.params(ctx, src)
		var answer json.RawMessage
		if err == nil {
			answer, err = src.ListJSON(ctx, params)
		}
		switch {
		case ctx.Err() != nil:
			return &exit.Error{Code: exit.CodeInterrupted}
		case err != nil && (!began || source.Lasting(err)):
			return err
		case err != nil:
			err = w.Note(outage.Lost(err))
		default:
			if err = w.Note(outage.Again()); err == nil {
				err = w.Update(answer)
			}
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return &exit.Error{Code: exit.CodeInterrupted}
		case <-time.After(listPause):
		}
	}
}
