package main

import (
	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/output"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/doctor"
)

func newDoctor(s *settings.Reader) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the installation: what is wrong, and what to do",
		Long: "Examine the installation, and print what each check found and what to do about it. It changes nothing.\n\n" +
			"The checks are: schema, drift, pooler, listener, wake-up, queue, foreign lines, roles, retention, sweep, stale, cancels,\n" +
			"heartbeats, questions. The exit code is 1 when one of them found a problem; warnings alone leave it 0.",
		Example: "  agentexec doctor\n" +
			"  agentexec doctor --json | jq '.[] | select(.level != \"ok\")'",
		Args: arguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := s.Schema()
			if err != nil {
				return err
			}
			listen, err := connect.ListenConfig(s)
			if err != nil {
				return err
			}
			conn, err := connect.Open(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(cmd.Context()) }()
			findings, err := doctor.Examine(cmd.Context(), conn, doctor.Config{Schema: schema, Listen: listen})
			if err != nil {
				return err
			}
			problems := 0
			for i, f := range findings {
				findings[i].Found, findings[i].Advice = exit.Redact(f.Found), s.Advise(f.Advice)
				if f.Level == doctor.Problem {
					problems++
				}
			}
			if err := output.NewScreen(cmd.OutOrStdout()).Findings(findings, asJSON); err != nil {
				return err
			}
			if problems > 0 {
				return &exit.Error{Code: exit.CodeFailed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as a JSON array of check, level (ok, warning, problem), found, advice")
	return cmd
}
