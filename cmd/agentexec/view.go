package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// view shows a followed activity: its lines, and on a terminal a progress bar below them.
//
// The bar is one row at the bottom. A new line replaces it, and the bar is drawn again below.
type view struct {
	out      *screen
	bar      bool                   // there is one: out is a terminal for people
	show     func(client.Log) error // prints a line
	errOut   io.Writer              // for notes where out is no terminal
	activity client.Activity        // as last read
	last     client.Log
	skew     time.Duration // the difference of the database's clock and this one, as far as it is known
	lines    int
}

func newView(out *screen, errOut io.Writer, activity client.Activity) *view {
	return &view{out: out, bar: out.terminal, show: out.line, errOut: errOut, activity: activity, skew: max(0, time.Until(activity.UpdatedAt))}
}

// asJSON makes the view print each line as JSON, and nothing else.
func (v *view) asJSON() {
	v.bar = false
	v.show = v.out.jsonLine
}

const eraseRow = "\r\x1b[K"

// line shows a line. SQL gives the state of the activity after it: see refresh in watch.go.
func (v *view) line(line client.Log) error {
	previous := v.last
	v.last = line
	v.lines++
	if err := v.erase(); err != nil {
		return err
	}
	if err := v.show(line); err != nil {
		return err
	}
	for _, note := range notes(previous, line) {
		if err := v.note(note); err != nil {
			return err
		}
	}
	return v.redraw()
}

// note shows a note: below the line on a terminal, otherwise on errOut.
func (v *view) note(text string) error {
	if !v.bar {
		_, err := fmt.Fprintf(v.errOut, "agentexec: %s\n", text)
		return err
	}
	if err := v.erase(); err != nil {
		return err
	}
	return v.out.note(text)
}

// erase removes the bar, for a line in its place.
func (v *view) erase() error {
	if !v.bar {
		return nil
	}
	_, err := fmt.Fprint(v.out, eraseRow)
	return err
}

// redraw draws the bar for the current time.
func (v *view) redraw() error {
	if !v.bar {
		return nil
	}
	_, err := fmt.Fprint(v.out, eraseRow+v.text(v.out.width()-1))
	return err
}

// close removes the bar, and prints the state of the activity in its place.
func (v *view) close() error {
	if !v.bar {
		return nil
	}
	a := v.activity
	text := a.Status.String()
	if a.LatestPercentage != nil {
		text += "  " + percent(a.LatestPercentage)
	}
	text += fmt.Sprintf("  %s  %d line", v.elapsed(), a.LastSeq)
	if a.LastSeq != 1 {
		text += "s"
	}
	if a.Attempt > 1 {
		text += fmt.Sprintf("  attempt %d", a.Attempt)
	}
	_, err := fmt.Fprintln(v.out, eraseRow+v.out.paint(a.Status, text))
	return err
}

// text returns the bar, one row of so many columns: status, bar, percentage, elapsed time, latest line.
func (v *view) text(width int) string {
	a := v.activity
	status := terminal.Pad(a.Status.String(), 8)
	text := status + "  "
	if cells := min(30, width/4); cells >= 8 {
		full := 0
		if a.LatestPercentage != nil {
			full = cells * *a.LatestPercentage / 100
		}
		text += strings.Repeat("█", full) + strings.Repeat("░", cells-full) + " "
	}
	text += fmt.Sprintf("%4s  %s  %s", percent(a.LatestPercentage), v.elapsed(), v.stopping()+terminal.Printable(v.last.Message))
	text = terminal.Clip(text, width)
	return v.out.paint(a.Status, text[:len(status)]) + text[len(status):]
}

// stopping returns the part of the bar for a requested cancel, with the time that the worker has left.
func (v *view) stopping() string {
	if !stopping(v.activity) {
		return ""
	}
	if at := v.activity.Cancel.ForceAt; at != nil {
		left := max(at.Sub(time.Now().Add(v.skew)), 0).Round(time.Second)
		return fmt.Sprintf("stopping, forced in %s  ", left)
	}
	return "stopping  "
}

// elapsed returns how long the activity has been running, or how long it ran.
func (v *view) elapsed() string {
	since := v.activity.CreatedAt
	if v.activity.StartedAt != nil {
		since = *v.activity.StartedAt
	}
	until := time.Now().Add(v.skew)
	if v.activity.FinishedAt != nil {
		until = *v.activity.FinishedAt
	}
	d := max(until.Sub(since), 0).Truncate(time.Second)
	return d.String()
}
