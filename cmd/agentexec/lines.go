package main

import (
	"fmt"
	"time"

	"github.com/agentexec/agentexec/pkg/client"
)

// plainLine is a log line for programs: seq, time, status, percentage ("-" where the line has none), message.
func plainLine(line client.Log) string {
	return fmt.Sprintf("%d %s %s %s %s", line.Seq, line.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z"),
		line.Status, percent(line.Percentage), printable(line.Message))
}

// line prints a log line: for people on a terminal, else plain.
func (s *screen) line(line client.Log) error {
	var err error
	if s.terminal {
		_, err = fmt.Fprintf(s, "%5d  %s  %s  %4s  %s\n", line.Seq, line.CreatedAt.Local().Format(time.TimeOnly),
			s.paint(line.Status, pad(line.Status.String(), 8)), percent(line.Percentage), printable(line.Message))
	} else {
		_, err = fmt.Fprintln(s, plainLine(line))
	}
	return err
}

func percent(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%d%%", *n)
}

// counted is a number with the word for one or for several.
func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// ago says a span of time roughly: 12s, 3m, 5h, 2d. Clocks differ, so it is never negative.
func ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
