package main

import (
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/argument"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/source"
	"github.com/agentexec/agentexec/pkg/client"
)

func newShow(s *settings.Reader) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show AGENT_ID",
		Short: "Show one activity and its log",
		Args:  arguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			id, err := argument.AgentID(cmd, args[0])
			if err != nil {
				return err
			}
			out := output.NewScreen(cmd.OutOrStdout())
			return connect.WithSource(ctx, s, cmd, func(src source.Source) error {
				id, err := id.Find(ctx, src.FindID)
				if err != nil {
					return err
				}
				if asJSON {
					answer, err := src.DetailJSON(ctx, id, client.DetailParams{})
					if err != nil {
						return err
					}
					return out.JSON(answer)
				}
				detail, err := source.Detail(ctx, src, id, client.DetailParams{LogLimit: new(0), IncludeMetadata: true})
				if source.NotAllowed(err) { // the token shows no metadata
					detail, err = source.Detail(ctx, src, id, client.DetailParams{LogLimit: new(0)})
				}
				if err != nil {
					return err
				}
				if err := out.Activity(detail.Activity); err != nil {
					return err
				}
				var previous client.Log
				for line, err := range src.Logs(ctx, id, 0) { // page by page, a log may be long
					if err != nil {
						return err
					}
					if err := out.Annotated(previous, line); err != nil {
						return err
					}
					previous = line
				}
				return nil
			})
		},
	}
	connect.SourceFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the JSON of agentexec.activity_detail")
	return cmd
}
