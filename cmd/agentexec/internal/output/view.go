package output

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/agentexec/agentexec/internal/terminal"
	"github.com/agentexec/agentexec/pkg/client"
)

// View shows a followed activity: its lines, and on a terminal a progress bar below them.
//
// The bar is one row at the bottom. A new line replaces it, and the bar is drawn again below.
type View struct {
	Activity client.Activity // as last read
	Bar      bool            // there is one: out is a terminal for people
	Last     client.Log      // the line shown last
	Lines    int             // how many were shown

	out    *Screen
	show   func(client.Log) error // prints a line
	errOut io.Writer              // for notes where out is no terminal
	skew   time.Duration          // the difference of the database's clock and this one, as far as it is known
}

// NewView returns the View of an activity as it was just read.
func NewView(out *Screen, errOut io.Writer, activity client.Activity) *View {
	return &View{out: out, Bar: out.Terminal, show: out.line, errOut: errOut, Activity: activity, skew: max(0, time.Until(activity.UpdatedAt))}
}

// AsJSON makes the view print each line as JSON, and nothing else.
func (v *View) AsJSON() {
	v.Bar = false
	v.show = v.out.jsonLine
}

const eraseRow = "\r\x1b[K"

// Line shows a line. SQL gives the state of the activity after it: the caller reads it into Activity.
func (v *View) Line(line client.Log) error {
	previous := v.Last
	v.Last = line
	v.Lines++
	if err := v.erase(); err != nil {
		return err
	}
	if err := v.show(line); err != nil {
		return err
	}
	for _, note := range notes(previous, line) {
		if err := v.Note(note); err != nil {
			return err
		}
	}
	return v.Redraw()
}

// Note shows a note: below the line on a terminal, otherwise on errOut.
func (v *View) Note(text string) error {
	if !v.Bar {
		_, err := fmt.Fprintf(v.errOut, "agentexec: %s\n", text)
		return err
	}
	if err := v.erase(); err != nil {
		return err
	}
	return v.out.note(text)
}

// erase removes the bar, for a line in its place.
func (v *View) erase() error {
	if !v.Bar {
		return nil
	}
	_, err := fmt.Fprint(v.out, eraseRow)
	return err
}

// Redraw draws the bar for the current time.
func (v *View) Redraw() error {
	if !v.Bar {
		return nil
	}
	_, err := fmt.Fprint(v.out, eraseRow+v.text(v.out.width()-1))
	return err
}

// Close removes the bar, and prints the state of the activity in its place.
func (v *View) Close() error {
	if !v.Bar {
		return nil
	}
	a := v.Activity
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
	_, err := fmt.Fprintln(v.out, eraseRow+v.out.Paint(a.Status, text))
	return err
}

// text returns the bar, one row of so many columns: status, bar, percentage, elapsed time, latest line.
func (v *View) text(width int) string {
	a := v.Activity
	status := terminal.Pad(a.Status.String(), 8)
	text := status + "  "
	if cells := min(30, width/4); cells >= 8 {
		full := 0
		if a.LatestPercentage != nil {
			full = cells * *a.LatestPercentage / 100
		}
		text += strings.Repeat("█", full) + strings.Repeat("░", cells-full) + " "
	}
	text += fmt.Sprintf("%4s  %s  %s", percent(a.LatestPercentage), v.elapsed(), v.stopping()+terminal.Printable(v.Last.Message))
	text = terminal.Clip(text, width)
	return v.out.Paint(a.Status, text[:len(status)]) + text[len(status):]
}

// stopping returns the part of the bar for a requested cancel, with the time that the worker has left.
func (v *View) stopping() string {
	if !stopping(v.Activity) {
		return ""
	}
	if at := v.Activity.Cancel.ForceAt; at != nil {
		left := max(at.Sub(time.Now().Add(v.skew)), 0).Round(time.Second)
		return fmt.Sprintf("stopping, forced in %s  ", left)
	}
	return "stopping  "
}

// elapsed returns how long the activity has been running, or how long it ran.
func (v *View) elapsed() string {
	since := v.Activity.CreatedAt
	if v.Activity.StartedAt != nil {
		since = *v.Activity.StartedAt
	}
	until := time.Now().Add(v.skew)
	if v.Activity.FinishedAt != nil {
		until = *v.Activity.FinishedAt
	}
	d := max(until.Sub(since), 0).Truncate(time.Second)
	return d.String()
}
