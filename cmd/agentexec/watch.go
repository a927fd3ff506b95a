package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

func newWatch(s *settings.Reader) *cobra.Command {
	var (
		afterSeq argument.Number
		retrying retries
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "watch AGENT_ID",
		Short: "Follow one activity live to its end",
		Long: "Follow one activity live to its end: with a progress bar on a terminal, as plain lines in a pipe\n" +
			"(seq, time, status, percentage, message). A new attempt, a request to cancel, and a worker that goes on writing after\n" +
			"the activity was canceled are notes: below the line on a terminal, else on standard error. So are a lost connection and\n" +
			"the time until it works again; no line is missed or comes twice.\n\n" +
			"The exit code is 0 when it ended COMPLETE, 1 when ERROR, 3 when CANCELED, 130 after Ctrl-C.\n\n" +
			"With --retries an ERROR is not the end: watch waits for the next attempt, and ends at COMPLETE or CANCELED. With\n" +
			"--retries=30s it ends with 1 where no line follows an ERROR for so long.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && retrying.wanted && new(retries).Set(args[1]) == nil {
				return exit.UsageError(cmd, "a duration of --retries stands behind =: --retries=%s", args[1])
			}
			return arguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := argument.AgentID(cmd, args[0])
			if err != nil {
				return err
			}
			after := 0
			if afterSeq.Value != nil {
				after = *afterSeq.Value
			}
			if after < 0 {
				return exit.UsageError(cmd, "--after-seq must not be negative")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			link := output.NewLink()
			src, err := connect.Source(ctx, s, cmd, link.Outages())
			if err != nil {
				return interrupted(ctx, err)
			}
			defer src.Close()
			found, err := id.Find(ctx, src.FindID)
			if err != nil {
				return interrupted(ctx, err)
			}
			w := watching{src: src, link: link, out: output.NewScreen(cmd.OutOrStdout()), errOut: cmd.ErrOrStderr(), retries: retrying, json: asJSON}
			return w.run(ctx, found, after)
		},
	}
	connect.SourceFlags(cmd)
	cmd.Flags().Var(&afterSeq, "after-seq", "go on after this line (default 0: from the first)")
	cmd.Flags().Var(&retrying, "retries", "wait for the next attempt after an ERROR, for ever or for this long")
	cmd.Flags().Lookup("retries").NoOptDefVal = forEver
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each line as JSON, with the fields of agentexec.activity_detail, one a line")
	return cmd
}

// watching is how to watch an activity.
type watching struct {
	src     source.Source
	link    *output.Link
	out     *output.Screen
	errOut  io.Writer // for notes, unless out is a terminal
	retries retries
	json    bool
}

// run shows the lines of an activity until its end, and returns the exit code for that end.
func (w watching) run(ctx context.Context, id uuid.UUID, after int) error {
	activity, err := source.Activity(ctx, w.src, id)
	if err != nil {
		return interrupted(ctx, err)
	}
	v := output.NewView(w.out, w.errOut, activity)
	if w.json {
		v.AsJSON()
	}
	refresh := func() error {
		activity, err := source.Activity(ctx, w.src, id)
		if err == nil {
			v.Activity = activity
		}
		return err
	}
	err = follow(ctx, w.retries.watch(ctx, w.src, id, after), v, w.link, refresh)
	if err == nil {
		err = refresh()
	}
	if err == nil && output.WritesOn(v.Activity) {
		err = v.Note(output.StillWriting)
	}
	if closeErr := v.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	if v.Lines == 0 { // it ended before --after-seq
		return ending(v.Activity.Status)
	}
	return ending(v.Last.Status)
}

// follow hands the lines to the view. On a terminal, the view is also redrawn between lines, with the elapsed time and the
// state that refresh reads: the lines alone do not show that state.
func follow(ctx context.Context, lines iter.Seq2[client.Log, error], v *output.View, link *output.Link, refresh func() error) error {
	type read struct {
		line client.Log
		err  error
	}
	reads := make(chan read)
	left := make(chan struct{})
	defer func() {
		close(left)
		for range reads { // until the reader has ended
		}
	}()
	go func() {
		defer close(reads)
		for line, err := range lines {
			select {
			case reads <- read{line, err}:
			case <-left:
				return
			}
		}
	}()
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	shown := 0
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-link.Changed:
			for _, note := range link.Take() {
				err = cmp.Or(err, v.Note(note))
			}
		case <-ticker.C:
			if v.Bar && v.Lines > shown && refresh() == nil { // else at the next tick
				shown = v.Lines
			}
			err = v.Redraw()
		case next, ok := <-reads:
			if !ok {
				return ctx.Err()
			}
			if err = next.err; err == nil {
				err = v.Line(next.line)
			}
		}
		if err != nil {
			return err
		}
	}
}

// ending returns the exit code for a status.
func ending(status client.Status) error {
	switch status {
	case client.StatusComplete:
		return nil
	case client.StatusCanceled:
		return &exit.Error{Code: exit.CodeCanceled}
	default:
		return &exit.Error{Code: exit.CodeFailed}
	}
}

// interrupted returns the exit code of an interrupt where the interrupt caused the error.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return &exit.Error{Code: exit.CodeInterrupted}
	}
	return err
}

// retries is a flag that says whether an ERROR is the end, or how long to wait for the next attempt.
type retries struct {
	wanted bool
	atMost time.Duration // 0: for ever
}

// forEver is the flag's value where it is given without one.
const forEver = "for ever"

// retryPoll is how often a failed activity is checked. A retry comes seconds or minutes later.
const retryPoll = 500 * time.Millisecond

func (r *retries) String() string { return "" }
func (r *retries) Type() string   { return "DURATION" }

func (r *retries) Set(text string) error {
	r.wanted, r.atMost = true, 0
	if text == forEver {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("must be a duration above zero, such as 30s, or have no value")
	}
	r.atMost = d
	return nil
}

// watch is Watch of a source, which ends at an ERROR. Where the flag asks for it, watch continues with the lines of the next
// attempt.
func (r retries) watch(ctx context.Context, src source.Source, id uuid.UUID, after int) iter.Seq2[client.Log, error] {
	return func(yield func(client.Log, error) bool) {
		for {
			for line, err := range src.Watch(ctx, id, after) {
				if !yield(line, err) || err != nil {
					return
				}
				after = line.Seq
			}
			if !r.wanted || !r.follows(ctx, src, id, after) {
				return
			}
		}
	}
}

// follows waits until an activity in ERROR has a line after this one. It reports false where the activity has ended otherwise,
// is gone, or gets no line in time.
func (r retries) follows(ctx context.Context, src source.Source, id uuid.UUID, after int) bool {
	if r.atMost > 0 {
		bounded, cancel := context.WithTimeout(ctx, r.atMost)
		defer cancel()
		ctx = bounded
	}
	for {
		activity, err := source.Activity(ctx, src, id)
		switch {
		case errors.Is(err, client.ErrNotFound):
			return false
		case err != nil: // Postgres may be restarting
		case activity.LastSeq > after:
			return true
		case activity.Status != client.StatusError:
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryPoll):
		}
	}
}
