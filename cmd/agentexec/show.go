package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

func newShow(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show AGENT_ID",
		Short: "Show one activity and its log",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			id, err := agentID(cmd, args[0])
			if err != nil {
				return err
			}
			out := newScreen(cmd.OutOrStdout())
			return s.withClient(ctx, func(c *client.Client) error {
				if asJSON {
					answer, err := c.DetailJSON(ctx, id, client.DetailParams{})
					if err != nil {
						return err
					}
					return out.json(answer)
				}
				detail, err := c.Detail(ctx, id, client.DetailParams{LogLimit: new(0), IncludeMetadata: true})
				if err != nil {
					return err
				}
				if err := out.activity(detail.Activity); err != nil {
					return err
				}
				for line, err := range c.Logs(ctx, id, 0) { // page by page, a log may be long
					if err != nil {
						return err
					}
					if err := out.line(line); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the JSON of agentexec.activity_detail")
	return cmd
}

// activity prints the state of an activity, and an empty line.
func (s *screen) activity(a client.Activity) error {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "%-10s %s\n", name, value) }
	at := func(name string, t *time.Time) {
		if t != nil {
			row(name, fmt.Sprintf("%s  (%s ago)", t.Local().Format("2006-01-02 15:04:05 -0700"), ago(time.Since(*t))))
		}
	}
	row("agent_id", a.AgentID.String())
	row("type", printable(a.AgentType))
	status := s.paint(a.Status, a.Status.String())
	if a.LatestPercentage != nil {
		status += "  " + percent(a.LatestPercentage)
	}
	if a.Attempt > 1 {
		status += fmt.Sprintf("  attempt %d", a.Attempt)
	}
	row("status", status)
	if len(a.Metadata) > 0 {
		row("metadata", printable(string(a.Metadata)))
	}
	at("created", &a.CreatedAt)
	at("started", a.StartedAt)
	at("updated", &a.UpdatedAt)
	at("finished", a.FinishedAt)
	_, err := fmt.Fprintf(s, "%s\n", b.String())
	return err
}
