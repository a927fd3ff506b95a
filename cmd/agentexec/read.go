package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/pkg/client"
)

func newList(s *settings) *cobra.Command {
	var (
		status         statuses
		agentType      name
		after          string
		page, pageSize number
		stale, asJSON  bool
	)
	var metadata pairs
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List activities: RUNNING, then QUEUED, then finished, the newest first",
		Long: "List activities: RUNNING, then QUEUED, then finished, the newest first.\n\n" +
			"The status of a RUNNING activity may have a mark: \"RUNNING,stopping\" while a cancel is requested,\n" +
			"\"RUNNING,stale\" when its worker sent no heartbeat and no line for longer than it promised.",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			params := client.ListParams{
				Statuses: status.values, AgentType: agentType.value, MetadataFilter: metadata, After: after,
			}
			if cmd.Flags().Changed("stale") {
				params.Stale = &stale
			}
			for flag, value := range map[string]*number{"page": &page, "page-size": &pageSize} {
				if value.value != nil && *value.value < 1 {
					return usageError(cmd, "--%s must be at least 1", flag)
				}
			}
			if page.value != nil {
				params.Page = *page.value
			}
			if pageSize.value != nil {
				params.PageSize = *pageSize.value
			}
			out := newScreen(cmd.OutOrStdout())
			return s.withClient(cmd.Context(), func(c *client.Client) error {
				answer, err := c.ListJSON(cmd.Context(), params)
				if err != nil {
					return err
				}
				if asJSON {
					return out.json(answer)
				}
				var list client.List
				if err := json.Unmarshal(answer, &list); err != nil {
					return err
				}
				if err := out.table(list.Items); err != nil {
					return err
				}
				if out.terminal {
					_, _ = fmt.Fprint(cmd.ErrOrStderr(), pageNote(list))
				}
				return nil
			})
		},
	}
	cmd.Flags().Var(&status, "status", "only with one of these statuses, such as RUNNING,QUEUED")
	cmd.Flags().Var(&agentType, "agent-type", "only of this type")
	cmd.Flags().Var(&metadata, "metadata", "only with this value in the metadata, or with those of a JSON object; may be repeated")
	cmd.Flags().Var(&page, "page", "number of the page (default 1)")
	cmd.Flags().Var(&pageSize, "page-size", "activities on a page, 1 to 1000 (default 50)")
	cmd.Flags().StringVar(&after, "after", "", `"next" of an earlier page, in place of --page`)
	cmd.Flags().BoolVar(&stale, "stale", false, "only stale activities, whose worker did not keep its promise; --stale=false for the others")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the JSON of agentexec.list_activities")
	return cmd
}

// pageNote returns a note about the items outside the page.
func pageNote(list client.List) string {
	switch {
	case len(list.Items) == 0:
		return "No activities.\n"
	case list.Page == nil && list.Next != nil:
		return fmt.Sprintf("More with --after %s\n", *list.Next)
	case list.Page != nil && list.Pages != nil && list.Total != nil && *list.Pages > 1:
		return fmt.Sprintf("Page %d of %d, %d activities. Others with --page N\n", *list.Page, *list.Pages, *list.Total)
	}
	return ""
}

// table prints activities, one a line. On a terminal every line fits.
func (s *screen) table(items []client.ListItem) error {
	rows := [][]string{{"STATUS", "PCT", "TYPE", "AGENT_ID", "AGE", "LATEST"}}
	now := time.Now()
	for _, item := range items {
		latest := ""
		if item.LatestLog != nil {
			latest = printable(*item.LatestLog)
		}
		kind := printable(item.AgentType)
		if s.terminal {
			kind = clip(kind, max(10, min(s.width()-90, 30))) // leaves room for the latest line
		}
		rows = append(rows, []string{
			marked(item.Activity), percent(item.LatestPercentage), kind, item.AgentID.String(), ago(now.Sub(item.CreatedAt)), latest,
		})
	}
	widths := make([]int, len(rows[0])-1) // the last one needs none
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], columns(row[i]))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		if s.terminal && len(items) == 0 {
			break
		}
		var line strings.Builder
		for j, w := range widths {
			cell := pad(row[j], w)
			if j == 1 || j == 4 { // PCT and AGE are numbers
				cell = strings.Repeat(" ", w-columns(row[j])) + row[j]
			}
			line.WriteString(cell + "  ")
		}
		line.WriteString(row[len(widths)])
		text := strings.TrimRight(line.String(), " ")
		if s.terminal {
			text = clip(text, s.width())
		}
		if i > 0 {
			status := items[i-1].Status
			text = s.paint(status, text[:len(status)]) + text[len(status):]
		}
		b.WriteString(text + "\n")
	}
	_, err := fmt.Fprint(s, b.String())
	return err
}

// json prints the JSON of an SQL function as it is. On a terminal, it escapes the characters that control a terminal.
func (s *screen) json(answer json.RawMessage) error {
	text := string(answer)
	if s.terminal {
		var b strings.Builder
		for _, r := range text {
			if !steers(r) {
				b.WriteRune(r)
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		text = b.String()
	}
	_, err := fmt.Fprintln(s, text)
	return err
}

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
				var previous client.Log
				for line, err := range c.Logs(ctx, id, 0) { // page by page, a log may be long
					if err != nil {
						return err
					}
					if err := out.annotated(previous, line); err != nil {
						return err
					}
					previous = line
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the JSON of agentexec.activity_detail")
	return cmd
}
