package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentexec/agentexec/cmd/agentexec/internal/connect"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/exit"
	"github.com/agentexec/agentexec/cmd/agentexec/internal/settings"
	"github.com/agentexec/agentexec/internal/doctor"
	"github.com/agentexec/agentexec/internal/terminal"
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
			if err := newScreen(cmd.OutOrStdout()).findings(findings, asJSON); err != nil {
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

// findings prints the findings, each with its advice below.
func (s *screen) findings(findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(findings)
		if err != nil {
			return err
		}
		return s.json(text)
	}
	const levelWidth, checkWidth = len(doctor.Problem), len("foreign lines")
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s  %s  %s\n", s.level(f.Level, levelWidth), terminal.Pad(f.Check, checkWidth), terminal.Printable(f.Found))
		if f.Advice != "" {
			fmt.Fprintf(&b, "%*s%s\n", levelWidth+checkWidth+4, "", terminal.Printable(f.Advice))
		}
	}
	_, err := fmt.Fprint(s, b.String())
	return err
}

// level returns the level of a finding in its colour.
func (s *screen) level(level doctor.Level, width int) string {
	text := terminal.Pad(string(level), width)
	if !s.colors {
		return text
	}
	color := map[doctor.Level]string{doctor.OK: "32", doctor.Warning: "33", doctor.Problem: "31"}[level]
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
