package output

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/agentexec/agentexec/internal/doctor"
	"github.com/agentexec/agentexec/internal/terminal"
)

// Findings prints the findings, each with its advice below.
func (s *Screen) Findings(findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(findings)
		if err != nil {
			return err
		}
		return s.JSON(text)
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
func (s *Screen) level(level doctor.Level, width int) string {
	text := terminal.Pad(string(level), width)
	if !s.colors {
		return text
	}
	color := map[doctor.Level]string{doctor.OK: "32", doctor.Warning: "33", doctor.Problem: "31"}[level]
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
